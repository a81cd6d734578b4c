"""Networks in a module beside the user, from the command line to the run folder."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from builders import run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from processes import folder_of, hnet_cl, mistake, result_of

from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core.errors import UserError

NETS = """
import torch
from torch import nn

class Frozen(nn.Module):
    def __init__(self, in_shape, num_outputs):
        super().__init__()
        self.features = nn.Linear(in_shape[0], 7).requires_grad_(False)
        self.head = nn.Linear(7, num_outputs)

    def forward(self, x):
        return self.head(self.features(x).relu())

class LSTM(nn.Module):
    def __init__(self, in_shape, num_outputs):
        super().__init__()
        self.cells = nn.LSTM(1, 3, batch_first=True)
        self.head = nn.Linear(3, num_outputs)

    def forward(self, x):
        return self.head(self.cells(x[:, :, None])[0][:, -1])

class Masks(nn.Linear):
    def __init__(self, in_shape, num_outputs):
        super().__init__(in_shape[0], num_outputs)

    def forward(self, x):
        y = super().forward(x)
        y[y < 0] = 0
        return y

class Lazy(nn.Sequential):
    def __init__(self, in_shape, num_outputs):
        super().__init__(nn.LazyLinear(4), nn.Linear(4, num_outputs))
"""
SHORT = ["benchmark=toy", "training.iterations=5", "benchmark.num_tasks=2", "checkpoint_every=0"]


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    (tmp_path / "nets_beside.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}


def given(network: str, method: str, scenario: str = "cl1") -> list[str]:
    chosen = [f"target._target_=nets_beside.{network}", "~target.hidden"]
    return [*SHORT, f"method={method}", f"scenario={scenario}", *chosen]


def run_here(arguments: list[str], folder: Path) -> dict[str, Any]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", arguments), resolve=True)
    folder.mkdir(exist_ok=True)
    return run(config, folder, [])


@pytest.mark.parametrize(
    "method",
    ["hnet", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ewc", "ewc_offline", "si", "scratch"))],
)
def test_what_is_not_trained_does_not_count(method: str, tmp_path: Path) -> None:
    parameters = run_here(given("Frozen", method), tmp_path / "run")["parameters"]
    weights = 8 * (2 if method == "scratch" else 4)
    assert parameters["target"] == weights
    assert parameters["compression_ratio"] == pytest.approx(parameters["trainable"] / weights)
    if method != "hnet":
        assert parameters["trainable"] == weights * (2 if method == "scratch" else 1)


@pytest.mark.parametrize(("network", "method"), [("LSTM", "hnet_ent"), ("Masks", "ewc")])
@pytest.mark.slow
def test_the_slower_way_is_told_once(
    network: str, method: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = run_here(given(network, method, "cl3"), tmp_path / "run")
    assert result["status"] == "finished"
    (line,) = [record.getMessage() for record in caplog.records if "torch.func.vmap" in record.getMessage()]
    assert line.startswith(f"target._target_=nets_beside.{network}: ")


def test_a_network_that_cannot_be_trained_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^target\._target_=nets_beside\.Lazy: 0\.weight has no shape yet"):
        run_here(given("Lazy", "hnet"), tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.slow
def test_as_processes(tmp_path: Path, nets: Mapping[str, str]) -> None:
    for network, method in (("LSTM", "hnet_ent"), ("Masks", "ewc")):
        arguments = given(network, method, "cl3")
        done = hnet_cl(*arguments, **nets)
        folder = folder_of(done)
        assert (done.stdout + done.stderr).count("torch.func.vmap") == 1
        assert (folder / "hnet_cl.log").read_text().count("torch.func.vmap") == 1
        assert result_of(folder)["status"] == "finished"
        assert "torch.func.vmap" not in (again := hnet_cl(*arguments, **nets)).stdout + again.stderr
    line = mistake(*given("Lazy", "ewc"), **nets).splitlines()[-1]
    assert "has no shape yet" in line
    folder = folder_of(hnet_cl(*given("Frozen", "ewc"), **nets))
    assert json.loads((folder / "result.json").read_text())["parameters"]["target"] == 32
