"""A run on features of a frozen network: from the command line to a prediction that needs no network."""

import sys
from pathlib import Path

import pytest
import torch
from processes import folder_of, in_process, result_of

from hnet_cl import load

NETWORK = """
import torch


class Doubled(torch.nn.Linear):
    \"\"\"Computes (x, y, 2x, 2y).\"\"\"

    def __init__(self):
        super().__init__(2, 4)
        with torch.no_grad():
            self.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))
            self.bias.zero_()
"""


@pytest.mark.slow
def test_features_are_learned_and_predicted_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "doubled_network.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    frozen = ("dataset.network=doubled_network.Doubled", "dataset.weights=null")
    words = ("benchmark=split", "dataset=features", "dataset.of=blobs", "dataset.of.num_classes=4", *frozen)
    short = ("method=finetune", "target=mlp_10", "training.iterations=60", "training.lr=0.02", "device.threads=1")
    done = in_process(*words, *short, f"data_dir={tmp_path}", f"output_dir={tmp_path / 'out'}")
    folder = folder_of(done)
    result = result_of(folder)
    assert result["data"]["name"] == "blobs-doubled_network.Doubled" and result["in_shape"] == [2]
    assert result["accuracy_matrix"][1][1] > 0.9
    assert (folder / ".hydra" / "config.yaml").read_text().count("_target_: hnet_cl.datasets.blobs.GaussianBlobs") == 1
    (tmp_path / "doubled_network.py").unlink()
    monkeypatch.delitem(sys.modules, "doubled_network")
    learner = load(folder)
    assert len(learner.predict(torch.zeros(3, 2), task=1).label) == 3
    assert "doubled_network" not in sys.modules
