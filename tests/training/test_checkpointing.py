"""A run that stopped goes on as if nothing had happened; foreign and damaged files are refused."""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import (
    BLOCKS,
    EXPLICIT,
    FAST,
    HNET,
    OF_HYPERNETWORKS,
    blobs,
    learned,
    learner,
    rows_of,
    same_state,
    training,
)
from marks import few
from torch import Tensor, nn

from hnet_cl.core.errors import OccupiedError, UserError
from hnet_cl.core.seeding import stream
from hnet_cl.hypernet import TargetNetwork
from hnet_cl.methods.base import Learner
from hnet_cl.training.batches import BatchStream
from hnet_cl.training.checkpointing import FOLDER, Checkpoints
from hnet_cl.training.task_state import TaskInProgress
from hnet_cl.training.trainer import Start


def noisy(images: Tensor, draws: torch.Generator) -> Tensor:
    """An augmentation."""
    return images + 0.1 * torch.randn(images.shape, generator=draws)


BENCHMARK = blobs()
BENCHMARK.tasks = [replace(task, train=replace(task.train, augment=noisy)) for task in BENCHMARK.tasks]


def normalized(num_outputs: int) -> nn.Module:
    """A target with buffers and with randomness of its own."""
    return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, num_outputs))


def plain(num_outputs: int) -> nn.Module:
    """A target with linear layers alone, and with randomness of its own."""
    return nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, num_outputs))


PLASTIC = HNET["hypernet"] | {"old_embeddings": "plastic"}
LEARNERS: dict[str, dict[str, Any]] = {
    "hnet": {"method": "hnet"},
    "hnet explicit": {"method": "hnet", "regularizer": EXPLICIT},
    "hnet sampling tasks": {"method": "hnet", "regularizer": FAST | {"sampled_tasks": 1}},
    "hnet sampling blocks": {"method": "hnet", "regularizer": BLOCKS},
    "hnet separate": {"method": "hnet", "update": "separate", "lookahead": False, "hypernet": PLASTIC},
    "hnet with buffers": {"method": "hnet", "target": normalized},
    "hnet_ent cl3": {"method": "hnet_ent", "scenario": "cl3"},
    "finetune": {"method": "finetune"},
    "finetune cl3": {"method": "finetune", "scenario": "cl3", "reset_optimizer": False},
    "finetune with buffers": {"method": "finetune", "target": normalized},
    "joint": {"method": "joint", "scenario": "cl3"},
    "ewc": {"method": "ewc", "scenario": "cl2"},
    "ewc offline": {"method": "ewc", "online": False},
    "si": {"method": "si"},
    "scratch": {"method": "scratch"},
    "hnet_r": {"method": "hnet_r", "scenario": "cl3"},
    "hnet_tir": {"method": "hnet_tir", "scenario": "cl3"},
    "dgr": {"method": "dgr", "scenario": "cl3"},
    "er": {"method": "er", "scenario": "cl3"},
    "er_ace": {"method": "er_ace", "scenario": "cl3"},
    "agem": {"method": "agem"},
    "derpp": {"method": "derpp", "scenario": "cl3"},
    "gdumb": {"method": "gdumb", "scenario": "cl3"},
    "icarl": {"method": "icarl", "scenario": "cl3"},
    "lwf": {"method": "lwf", "scenario": "cl2"},
    "mas": {"method": "mas"},
    "owm": {"method": "owm", "scenario": "cl3", "target": plain},
    "gpm": {"method": "gpm", "target": plain},
    "packnet": {"method": "packnet", "target": plain, "reset_optimizer": False},
    "hat": {"method": "hat", "target": plain},
    "xdg": {"method": "xdg", "target": plain},
    "wsn": {"method": "wsn", "target": plain, "reset_optimizer": False},
    "supsup": {"method": "supsup", "scenario": "cl3", "target": plain},
    "hint": {"method": "hint", "target": plain},
    "hint linear": {"method": "hint", "target": plain, "hypernet": HNET["hypernet"] | {"hidden": []}},
    "hypermask": {"method": "hypermask", "target": normalized},
    "hypermask plastic": {"method": "hypermask", "hypernet": PLASTIC, "lookahead": True},
    "hnet_posterior": {"method": "hnet_posterior", "target": normalized},
    "h_embedding": {"method": "h_embedding", "target": normalized},
    "generative_classifier": {"method": "generative_classifier", "scenario": "cl3"},
    "simple_cil": {"method": "simple_cil", "scenario": "cl3"},
    "ranpac": {"method": "ranpac", "scenario": "cl3"},
}
QUICK = ("hnet", "hnet with buffers", "ewc", "hnet_r", "derpp")
every_learner = pytest.mark.parametrize(
    "choices",
    [pytest.param(LEARNERS[name], id=name, marks=[] if name in QUICK else pytest.mark.slow) for name in LEARNERS],
)


def make(method: str, **choices: Any) -> Learner:
    made: Learner = learner(method, BENCHMARK, **choices)
    return made


def answers(learner: Learner) -> list[Any]:
    known = learner.heads.task_known
    return [learner.predict(t.test.images, t.id if known else None).output.tolist() for t in BENCHMARK.tasks]


class Losses:
    """A log of all losses, which the keeping of checkpoints must not change."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, int], Mapping[str, float]] = {}

    def begin_task(self, task: int, iteration: int) -> None: ...
    def end_task(self, task: int) -> None: ...
    def accuracy(self, task: int, iteration: int, accuracy: float | None) -> None: ...
    def samples(self, task: int, pictures: Any, recognised: Any, real: float) -> None: ...
    def certified(self, task: int, shares: Any) -> None: ...
    def row(self, task: int, accuracies: Any, inferred: Any) -> None: ...
    def losses(self, task: int, iteration: int, losses: Mapping[str, float]) -> None:
        self.seen[task, iteration] = dict(losses)


class Stop(BaseException):
    """The run dies here."""


def die_at(store: Checkpoints, task: int, iteration: int, made: Learner) -> Callable[..., None]:
    """A pause that writes every state of a run and ends it."""

    def pause(now: int, state: Callable[[], Any]) -> None:
        if (made.latest, now) == (task, iteration):
            store.in_task(task, now, state(), {"died": now})
            raise Stop

    return pause


@pytest.mark.parametrize(("task", "iteration"), few([(0, 1), (1, 7), (2, 15)], [(1, 7)]))
@every_learner
def test_continued_in_mid_task_equals_uninterrupted(
    choices: dict[str, Any], task: int, iteration: int, tmp_path: Path
) -> None:
    whole, expected, losses = make(**choices), Losses(), Losses()
    settings = training(log_every=1, lr_decay=[[0.5, 0.1]])
    rows = list(rows_of(whole, BENCHMARK.tasks, settings, [expected]))
    store, dying = Checkpoints(tmp_path, "abc"), make(**choices)
    with pytest.raises(Stop):
        for number, _ in enumerate(
            rows_of(dying, BENCHMARK.tasks, settings, [losses], pause=die_at(store, task, iteration, dying)), 1
        ):
            store.after_task(number, dying, {})
    torch.rand(7)
    resumed = make(**choices)
    restored = Checkpoints(tmp_path, "abc").restore(resumed)
    assert (restored.start.task, restored.start.iteration) == (task, iteration)
    assert restored.progress == {"died": iteration} and restored.problems == []
    assert list(rows_of(resumed, BENCHMARK.tasks, settings, [losses], restored.start)) == rows[task:]
    assert losses.seen == expected.seen
    assert same_state(whole.state_dict(), resumed.state_dict())
    assert answers(whole) == answers(resumed)


@pytest.mark.parametrize("stop", [1, 2])
@every_learner
def test_continued_after_a_task_equals_uninterrupted(choices: dict[str, Any], stop: int, tmp_path: Path) -> None:
    whole = make(**choices)
    rows = list(rows_of(whole, BENCHMARK.tasks, training(), []))
    stopped = make(**choices)
    for number, row in enumerate(rows_of(stopped, BENCHMARK.tasks, training(), []), 1):
        assert row == rows[number - 1]
        if number == stop:
            Checkpoints(tmp_path, "abc").after_task(stop, stopped, {"tasks_done": number})
            break
    torch.rand(7)
    resumed = make(**choices)
    restored = Checkpoints(tmp_path, "abc").restore(resumed)
    assert restored.progress == {"tasks_done": stop}
    assert restored.start == Start(stop)
    assert resumed.latest == stop - 1
    assert list(rows_of(resumed, BENCHMARK.tasks, training(), [], restored.start)) == rows[stop:]
    assert same_state(whole.state_dict(), resumed.state_dict())


@every_learner
def test_a_restored_learner_gives_the_same_answers(choices: dict[str, Any], tmp_path: Path) -> None:
    first, second = make(**choices), make(**choices, seed=2)
    list(rows_of(first, BENCHMARK.tasks, training(), []))
    learned(second, blobs(seed=7), 3, 0)
    before = answers(first)
    assert answers(second) != before
    Checkpoints(tmp_path, "abc").after_task(3, first, {})
    Checkpoints(tmp_path, "abc").restore(second)
    assert answers(second) == before


def test_without_a_checkpoint_training_starts_at_the_beginning(tmp_path: Path) -> None:
    made = make("finetune")
    before = {name: p.clone() for name, p in made.named_parameters()}
    restored = Checkpoints(tmp_path, "abc").restore(made)
    assert (restored.start, restored.progress, restored.problems) == (Start(), {}, [])
    assert same_state(before, dict(made.named_parameters()))


def names(folder: Path) -> list[str]:
    """What lies in the folder of checkpoints, without digests."""
    return sorted(path.name.rsplit(".", 2)[0] for path in (folder / FOLDER).iterdir())


def test_only_what_somebody_may_go_back_to_is_kept(tmp_path: Path) -> None:
    store, made = Checkpoints(tmp_path, "abc"), make("finetune")
    seen = []
    for task in range(3):
        for iteration in (5, 10, 15):
            store.in_task(task, iteration, {}, {})
        seen.append(names(tmp_path))
        store.after_task(task + 1, made, {})
        seen.append(names(tmp_path))
    ten, fifteen = "in-task-{}-iteration-10", "in-task-{}-iteration-15"
    one, two, three = "after-1-tasks", "after-2-tasks", "after-3-tasks"
    assert seen == [
        [ten.format(1), fifteen.format(1)],
        [one],
        [one, ten.format(2), fifteen.format(2)],
        [one, two],
        [one, two, ten.format(3), fifteen.format(3)],
        [two, three],
    ]
    store.keep_last()
    assert names(tmp_path) == [three]
    (tmp_path / FOLDER / "notes.txt").touch()
    store.clear()
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["notes.txt"]


def history(folder: Path) -> dict[str, Path]:
    """The checkpoints of a run that stopped in its third task, by name without digest."""
    store, made = Checkpoints(folder, "abc"), make("hnet")

    def pause(now: int, state: Callable[[], Any]) -> None:
        if now in (5, 10):
            store.in_task(made.latest, now, state(), {"at": f"{made.latest}.{now}"})
        if (made.latest, now) == (2, 10):
            raise Stop

    with pytest.raises(Stop):
        for number, _ in enumerate(rows_of(made, BENCHMARK.tasks, training(), [], pause=pause), 1):
            store.after_task(number, made, {"at": f"after {number}"})
    return {path.name.rsplit(".", 2)[0]: path for path in (folder / FOLDER).iterdir()}


@pytest.mark.parametrize(
    ("spoiled", "used"),
    [
        ([], "2.10"),
        (["in-task-3-iteration-10"], "2.5"),
        (["in-task-3-iteration-10", "in-task-3-iteration-5"], "after 2"),
        (["after-2-tasks"], "after 1"),  # what builds on it is of no use alone
        (["after-2-tasks", "in-task-3-iteration-10"], "after 1"),
    ],
)
@pytest.mark.parametrize("how", ["cut", "gone"])
@pytest.mark.slow
def test_an_older_good_one_is_used(spoiled: list[str], used: str, how: str, tmp_path: Path) -> None:
    files = history(tmp_path)
    for name in spoiled:
        if how == "gone":
            files[name].unlink()
        else:
            files[name].write_bytes(files[name].read_bytes()[:-1])
    made, whole = make("hnet"), make("hnet")
    restored = Checkpoints(tmp_path, "abc").restore(made)
    assert restored.progress == {"at": used}
    assert all("checkpoint cannot be used (" in problem for problem in restored.problems)
    if how == "cut":
        assert len(restored.problems) >= len(spoiled)
    rows = list(rows_of(whole, BENCHMARK.tasks, training(), []))
    assert list(rows_of(made, BENCHMARK.tasks, training(), [], restored.start)) == rows[restored.start.task :]
    assert same_state(whole.state_dict(), made.state_dict())


def test_a_checkpoint_of_another_configuration_is_refused_and_nothing_loaded(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "abc").after_task(1, make("finetune", seed=2), {})
    made = make("finetune")
    before = {name: p.clone() for name, p in made.named_parameters()}
    line = r"after-1-tasks\.\w+\.pt: checkpoint cannot be used \(it is of configuration abc, not xyz\); give fresh=true"
    with pytest.raises(UserError, match=line):
        Checkpoints(tmp_path, "xyz").restore(made)
    assert same_state(before, dict(made.named_parameters()))


@pytest.mark.parametrize(
    ("saved", "now", "words"),
    [
        (2, 1, "run of 2 processes, and this one is of one process; continue it with torchrun --nproc-per-node=2 -m"),
        (1, 3, "run of one process, and this one is of 3 processes; continue it without torchrun, or give fresh=true"),
    ],
)
def test_a_state_belongs_to_its_number_of_processes(saved: int, now: int, words: str, tmp_path: Path) -> None:
    Checkpoints(tmp_path, "abc", saved, writes=False).after_task(1, make("finetune"), {})
    assert not [*tmp_path.iterdir()]
    Checkpoints(tmp_path, "abc", saved).after_task(1, make("finetune"), {})
    with pytest.raises(OccupiedError, match=words):
        Checkpoints(tmp_path, "abc", now).restore(make("finetune"))
    for processes in (saved, None):
        assert Checkpoints(tmp_path, "abc", processes).restore(make("finetune")).start.task == 1


def damaged(content: bytes) -> dict[str, bytes]:
    return {
        "cut": content[: len(content) // 2],
        "cut to a few bytes": content[:10],
        "empty": b"",
        "text": b"not a checkpoint\n",
        "a wrong bit inside": content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    }


@pytest.mark.parametrize("kind", sorted(damaged(b" " * 300)))
def test_a_damaged_checkpoint_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    Checkpoints(tmp_path, "abc").after_task(1, make("finetune"), {})
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_bytes(damaged(path.read_bytes())[kind])
    assert_refused(tmp_path, "its content does not match the digest in its name")


def put(folder: Path, content: Any) -> None:
    """A file of another program under a right name."""
    store = Checkpoints(folder, "abc")
    store.after_task(1, make("finetune"), {})
    (path,) = store.folder.iterdir()
    torch.save(content, folder / "other.pt")
    digest = hashlib.sha256((folder / "other.pt").read_bytes()).hexdigest()[:16]
    path.unlink()
    shutil.move(folder / "other.pt", store.folder / f"after-1-tasks.{digest}.pt")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "it is not of hnet_cl"),
        (torch.zeros(3), "it is not of hnet_cl"),
        ({"owner": "abc", "place": [2, 0]}, "it was made at another place of the run: [2, 0]"),
        ({"owner": "abc", "place": [1, 0]}, "'progress'"),
        ({"owner": "abc", "place": [1, 0], "learner": {}, "progress": {}}, "Error"),
    ],
)
def test_another_programs_file_is_one_clear_line(content: Any, reason: str, tmp_path: Path) -> None:
    put(tmp_path, content)
    assert_refused(tmp_path, reason)


class Stranger:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    put(tmp_path, {"owner": "abc", "learner": Stranger(tmp_path / "made"), "progress": {}})
    assert_refused(tmp_path, "(it is damaged, or holds something else than tensors and plain values)")
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_of_another_network_is_one_clear_line(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "abc").after_task(1, make("finetune", target=normalized), {})
    assert_refused(tmp_path, "where it has network.0.weight (5, 2), there is network.layers.0.weight (5, 2) now")


class Cut(nn.Module):
    """A network whose parameters have these names and shapes, in this order; 45 numbers and a buffer in all."""

    def __init__(self, num_outputs: int, shapes: Mapping[str, tuple[int, ...]], buffer: str = "mean") -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.full(shape, 0.1)))
        self.register_buffer(buffer, torch.zeros(3))
        self.num_outputs = num_outputs

    def forward(self, x: Tensor) -> Tensor:
        total = torch.stack([weight.sum() for weight in self.parameters()]).sum()
        return x.sum(1, keepdim=True) * total + torch.arange(self.num_outputs)


SHAPES = {"first": (5, 4), "second": (5, 4), "bias": (5,)}
CUTS: dict[str, tuple[dict[str, Any], str]] = {
    "renamed": (
        {"shapes": {"one": (5, 4), "second": (5, 4), "bias": (5,)}},
        r"where it has .+ \(5, 4\), there is .+ \(5, 4\) now",
    ),
    "reordered": (
        {"shapes": {"second": (5, 4), "first": (5, 4), "bias": (5,)}},
        r"where it has .+ \(5, 4\), there is .+ \(5, 4\) now",
    ),
    "reshaped": (
        {"shapes": {"first": (4, 5), "second": (5, 4), "bias": (5,)}},
        r"where it has .+ \(5, 4\), there is .+ \(4, 5\) now",
    ),
    "less": ({"shapes": {"first": (5, 4), "second": (5, 4)}}, r"where it has .+ \(5,\), there is "),
    "another buffer": ({"shapes": SHAPES, "buffer": "middle"}, r"where it has .+ \(3,\), there is .+ \(3,\) now"),
}


def names_of(layout: list[tuple[str, list[int]]]) -> str:
    return " ".join(name for name, _ in layout)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("method", "place"),
    [("hnet", (0, 2)), ("hnet", (1, 0)), ("hnet", (1, 2)), ("finetune", (1, 0)), ("hnet_tir", (0, 2))],
)
def test_weights_are_never_cut_at_another_place(method: str, cut: str, place: tuple[int, int], tmp_path: Path) -> None:
    scenario = "cl3" if method == "hnet_tir" else "cl1"
    benchmark, store = blobs(), Checkpoints(tmp_path, "abc")
    made = learner(method, benchmark, scenario, target=lambda n: Cut(n, SHAPES))

    def pause(now: int, state: Callable[[], Any]) -> None:
        if (made.latest, now) == place:
            store.in_task(*place, state(), {})

    for number, _ in enumerate(rows_of(made, benchmark.tasks, training(iterations=3), [], pause=pause), 1):
        if number == place[0]:
            store.after_task(number, made, {})
        if number > place[0]:
            break
    again = learner(method, benchmark, scenario, target=lambda n: Cut(n, SHAPES))
    assert Checkpoints(tmp_path, "abc").restore(again).start.task == place[0]
    changes, reason = CUTS[cut]
    other = learner(method, benchmark, scenario, target=lambda n: Cut(n, **changes))
    before = {name: value.clone() for name, value in other.named_parameters()}
    with pytest.raises(UserError, match=rf"the classes of network or method have changed: {reason}.*; give fresh=true"):
        Checkpoints(tmp_path, "abc").restore(other)
    assert same_state(before, dict(other.named_parameters()))


def test_heads_are_part_of_the_layout(tmp_path: Path) -> None:
    counts = [blobs(num_classes=number).tasks for number in (2, 4)]
    benchmark, other = blobs(num_tasks=2), blobs(num_tasks=2)
    benchmark.tasks = [counts[0][0], counts[1][1]]
    other.tasks = [counts[1][0], counts[0][1]]
    Checkpoints(tmp_path, "abc").after_task(1, learner("hnet", benchmark), {})
    line = r"where it has classes of task 1 \(2,\), there is classes of task 1 \(4,\) now\)"
    with pytest.raises(UserError, match=line):
        Checkpoints(tmp_path, "abc").restore(learner("hnet", other))


@every_learner
def test_a_layout_knows_all_that_is_generated(choices: dict[str, Any]) -> None:
    made = make(**choices)
    names = names_of(made.layout)
    for path, part in made.named_modules():
        for key, generated in vars(part).items():
            if isinstance(generated, TargetNetwork):
                assert all(f"{path}.{key}: {name}".lstrip(".") in names for name in generated.layout.shapes)
    of_target = {"hnet", "hnet_ent", "hnet_tir", "supsup"} | OF_HYPERNETWORKS
    assert ("target: " in names) == (choices["method"] in of_target)
    assert ("decoder: " in names) == (choices["method"] in ("hnet_r", "hnet_tir"))
    assert made.layout == learned(made, BENCHMARK, 2).layout, "it is the same at any time"


def test_checkpoints_of_versions_that_kept_no_layout_are_read(tmp_path: Path) -> None:
    made = learned(make("hnet"), BENCHMARK, 1)
    put(tmp_path, {"owner": "abc", "place": [1, 0], "learner": made.state_dict(), "progress": {"at": 1}})
    again = make("hnet")
    restored = Checkpoints(tmp_path, "abc").restore(again)
    assert restored.progress == {"at": 1} and restored.problems == []
    assert same_state(made.state_dict(), again.state_dict())


@pytest.mark.parametrize("kept", [True, False], ids=["with layout", "without"])
def test_a_task_classifier_under_its_old_name_is_read(kept: bool, tmp_path: Path) -> None:
    def old(name: str) -> str:
        return name.replace("task_inference.classifier", "task_classifier", 1)

    made = learned(make("hnet_tir", scenario="cl3"), BENCHMARK, 1)
    state = {old(name): value for name, value in made.state_dict().items()}
    layout = {"layout": [(old(name), shape) for name, shape in made.layout]} if kept else {}
    assert any(name.startswith("task_classifier.") for name in state)
    put(tmp_path, {"owner": "abc", "place": [1, 0], "learner": state, **layout, "progress": {}})
    again = make("hnet_tir", scenario="cl3")
    assert Checkpoints(tmp_path, "abc").restore(again).problems == []
    assert same_state(made.state_dict(), again.state_dict())


@pytest.mark.parametrize("layout", [None, 3, [1], [["outputs"]], {"outputs": 6}, [[["a"], {}]]])
def test_a_layout_of_another_kind_is_one_clear_line(layout: Any, tmp_path: Path) -> None:
    state = make("finetune").state_dict()
    put(tmp_path, {"owner": "abc", "place": [1, 0], "learner": state, "layout": layout, "progress": {}})
    assert_refused(tmp_path, "")


def assert_refused(folder: Path, reason: str) -> None:
    with pytest.raises(UserError, match=r"checkpoint cannot be used \(.+\); give fresh=true") as caught:
        Checkpoints(folder, "abc").restore(make("finetune"))
    assert "\n" not in str(caught.value) and reason in str(caught.value)


def test_damaged_replay_is_one_clear_line(tmp_path: Path) -> None:
    """DER++ keeps rows and logits beside its tensors; another number of them, or other rows, cannot be replayed."""
    made = make("derpp", scenario="cl3")
    learned(made, BENCHMARK, 1)
    state = made.state_dict()
    (rows, logits), extra = state["_extra_state"]["stored"][0], state["_extra_state"]
    for stored in ([(rows, logits[:, :-1])], [(rows[:-1], logits)], [(rows.flip(0), logits)], [(1, 2)], [rows], 3):
        again = make("derpp", scenario="cl3")
        damaged = {**state, "_extra_state": {**extra, "stored": stored}}
        put(tmp_path, {"owner": "abc", "place": [1, 0], "learner": damaged, "progress": {}})
        with pytest.raises(UserError, match=r"checkpoint cannot be used \(.+\); give fresh=true") as caught:
            Checkpoints(tmp_path, "abc").restore(again)
        assert "\n" not in str(caught.value)
    for stored in ([], [(rows, logits)] * 2, [(rows[:-1], logits[:-1])], [(rows + 1000, logits)]):
        again = make("derpp", scenario="cl3")
        again.load_state_dict({**state, "_extra_state": {**extra, "stored": stored}})
        with pytest.raises(UserError, match=r"^the checkpoint after 1 tasks holds logits of other examples than are"):
            again.begin_task(BENCHMARK.tasks[:2])


def test_a_damaged_state_in_the_middle_of_a_task_is_one_clear_line() -> None:
    made = make("finetune")
    made.begin_task(BENCHMARK.tasks[:1])
    task = TaskInProgress(made, BatchStream(len(BENCHMARK.tasks[0].train), 8, stream(1)), stream(1))
    state = task.state()
    for part in ("learner", "moving", "batches", "augmentation", "torch"):
        with pytest.raises(UserError, match=r"^the checkpoint in the middle of a task cannot be used \(.+\); give fr"):
            task.restore({**state, part: torch.zeros(1)})
        with pytest.raises(UserError, match=rf"^the checkpoint in the middle of a task cannot be used \('{part}'\)"):
            task.restore({key: value for key, value in state.items() if key != part})


def test_a_task_whose_steps_went_on_in_another_way_is_not_continued() -> None:
    made = make("joint")
    made.begin_task(BENCHMARK.tasks[:1])
    task = TaskInProgress(made, BatchStream(len(BENCHMARK.tasks[0].train), 8, stream(1)), stream(1))
    state = task.state()
    task.restore(state)
    state["moving"] = {"draws": stream(1, "joint batches", 0).get_state()}  # as joint training had them once
    with pytest.raises(UserError, match=r"^this run was interrupted in the middle of a task by .* give fresh=true"):
        task.restore(state)
