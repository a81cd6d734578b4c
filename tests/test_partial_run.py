"""Runs that start from a file of weights and train a part of the network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hnet_cl import build, load, run
from hnet_cl.config.check import check
from hnet_cl.config.composing import compose_job
from hnet_cl.config.resolvers import weights_checksum
from hnet_cl.core.errors import UserError
from hnet_cl.records.run_result import RunResult
from hnet_cl.targets.mlp import MLP
from hnet_cl.testing import check_learner

SMALL = ("benchmark=toy", "target=mlp_10", "training.iterations=15", "device.threads=1", "logger=[]")
HEAD = "training.parameters=head"
HIDDEN = 300


def network(outputs: int, seed: int = 5, hidden: int = 10) -> nn.Module:
    torch.manual_seed(seed)
    return MLP((2,), outputs, [hidden, hidden])


def file_of(module: nn.Module, path: Path) -> Path:
    torch.save(module.state_dict(), path)
    return path


def made(folder: Path, *words: str, **keys: Any) -> RunResult:
    return run(*SMALL, *words, output_dir=folder / "outputs", **keys)


@pytest.mark.parametrize(
    "words", [("method=hnet", "method.base=initial"), pytest.param(("method=scratch",), marks=pytest.mark.slow)]
)
def test_a_run_needs_its_file_no_more(words: tuple[str, ...], tmp_path: Path) -> None:
    given = network(4)
    file = file_of(given, tmp_path / "given.pt")
    result = made(tmp_path, *words, HEAD, "benchmark.num_tasks=2", **{"training.initial_weights": file})
    file.unlink()
    trained = load(result.folder)
    learner = trained.trained.learner
    tasks = build.build_benchmark(trained.trained.plan, tmp_path, torch.device("cpu")).tasks
    for task, accuracy in zip(tasks, result["accuracy_matrix"][-1], strict=True):
        inputs, labels = task.test.batch(slice(None))
        found = learner.predict(inputs, task.id).output - learner.heads.own(task.id).start
        assert (found == labels).float().mean().item() == pytest.approx(accuracy)
        weights = trained.network(task.id + 1).state_dict()
        for name, value in given.state_dict().items():
            assert torch.equal(weights[name], value) == name.startswith(("layers.0", "layers.1"))


@pytest.mark.slow
def test_two_files_are_two_runs_and_two_places_of_one_are_not(tmp_path: Path) -> None:
    def identity(*words: str) -> tuple[str, ...]:
        return compose_job([*SMALL, *words], None).folder.parts[-2:]

    first, other = (file_of(network(4, seed), tmp_path / f"{seed}.pt") for seed in (5, 6))
    again = tmp_path / "again.pt"
    again.write_bytes(first.read_bytes())
    ids = [identity(f"training.initial_weights={path}") for path in (first, again, other)]
    assert ids[0] == ids[1] and len({*ids, identity()}) == 3
    assert identity("training.parameters=all", "training.initial_weights=null") == identity()
    first.write_bytes(other.read_bytes())
    assert identity(f"training.initial_weights={first}") == ids[2]


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return dict(compose_job([*SMALL], None).settings)


def mistake(settings: dict[str, Any], **training: Any) -> str:
    """What is said against keys of training, before anything is trained."""
    plan = check({**settings, "training": settings["training"] | training})
    with pytest.raises(UserError) as error:
        build.build_learner(plan, (2,), [2, 2], torch.device("cpu"))
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1.0], "holds something else than the tensors of a network by name: save its state_dict()"),
        ({"layers.0.weight": 3}, "holds something else than the tensors of a network by name: save its state_dict()"),
        (b"PK\x03\x04", "is cut short or damaged"),
        (network(4, hidden=4).state_dict(), "has other shapes: layers.0.weight (4, 2) in place of (10, 2), layers.0.b"),
        (nn.Linear(2, 4).state_dict(), "lacks what MLP has: layers.0.weight, layers.0.bias, layers.1.weight, layers.1"),
    ],
)
def test_a_file_of_something_else_is_a_line(content: Any, said: str, tmp_path: Path, settings: dict[str, Any]) -> None:
    file = tmp_path / "w.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    line = mistake(settings, initial_weights=str(file), initial_weights_checksum=weights_checksum(str(file)))
    assert line.startswith(f"training.initial_weights={file}: {said}")


def test_a_file_that_cannot_be_read_or_has_changed_is_a_line(tmp_path: Path, settings: dict[str, Any]) -> None:
    gone, file = tmp_path / "gone.pt", file_of(network(4), tmp_path / "w.pt")
    line = f"training.initial_weights={gone}: cannot be read (No such file or directory)"
    assert mistake(settings, initial_weights=str(gone)) == line
    with pytest.raises(UserError) as error:
        weights_checksum(str(gone))
    assert str(error.value) == line and weights_checksum(None) is None
    with pytest.raises(UserError, match=r"^training\.initial_weights=w\\x00\.pt: cannot be read \(embedded null"):
        weights_checksum("w\0.pt")
    changed = mistake(settings, initial_weights=str(file), initial_weights_checksum="abc")
    assert changed == (
        f"training.initial_weights={file}: is not the file that initial_weights_checksum=abc is of; leave that key out"
    )


def test_words_that_select_nothing_are_a_line(settings: dict[str, Any]) -> None:
    line = (
        "training.parameters=norms+head: 'norms' selects nothing that can be trained in MLP, which has layers.0.weight"
    )
    assert mistake(settings, parameters="norms+head").startswith(f"{line}, layers.0.bias, ")


def test_low_rank_parts_of_no_layer_are_a_line(settings: dict[str, Any]) -> None:
    line = "training.lora_layers=conv*: fits no such layer of MLP; beside the output layer there are layers.0, layers.1"
    assert mistake(settings, parameters="lora+head", lora_layers="conv*") == line


def test_low_rank_parts_are_added_to_the_given_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    given = network(4)
    file = file_of(given, tmp_path / "w.pt")
    keys = {"initial_weights": str(file), "initial_weights_checksum": weights_checksum(str(file))}
    chosen = {"parameters": "lora+head", "lora_rank": 3, "lora_layers": "layers.1"}
    plan = check({**settings, "training": settings["training"] | keys | chosen})
    learner = build.build_learner(plan, (2,), [2, 2], torch.device("cpu"))
    assert learner.target_size == 3 * (10 + 10) + 4 * 10 + 4
    (line,) = (line for line in build.choices(plan, learner) if line.startswith("Chosen by training.parameters"))
    assert "lora+head: 104 of the target network's 244 weights (layers.1.parametrizations.weight.0.A, " in line
    made = learner.context.new_target(4)
    assert torch.equal(made(torch.ones(1, 2)), given(torch.ones(1, 2)))


@pytest.mark.parametrize("words", [("method=hnet", "method.base=initial"), ("method=scratch",)])
@pytest.mark.slow
def test_a_checkpoint_does_not_grow_with_tasks_by_what_is_frozen(words: tuple[str, ...], tmp_path: Path) -> None:
    wide = (f"target.hidden=[{HIDDEN},{HIDDEN}]", "training.parameters=layers.0.bias", "training.iterations=1")
    sizes = []
    for tasks in (2, 6):
        folder = made(tmp_path, *words, *wide, f"benchmark.num_tasks={tasks}").folder
        (file,) = (folder / "checkpoint").glob("after-*.pt")
        sizes.append(file.stat().st_size)
    frozen = 4 * HIDDEN * HIDDEN
    assert frozen < sizes[0] and sizes[1] - sizes[0] < frozen / 2


@pytest.mark.parametrize("words", [("method=hnet", "method.base=initial"), ("method=scratch",), ("method=ewc",)])
@pytest.mark.slow
def test_it_goes_on_bit_for_bit(words: tuple[str, ...], tmp_path: Path) -> None:
    file = file_of(network(6), tmp_path / "w.pt")
    check_learner(*words, "training.parameters=last_2", f"training.initial_weights={file}", scenarios=["cl1"])
