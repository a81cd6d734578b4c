"""An optimiser and a scheduler of a user's own, from a folder of his: one yaml each, and Python where it is new."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import rows_of, same_state
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from processes import folder_of, in_process, result_of

from hnet_cl import build
from hnet_cl.config.check import Plan, check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core.config_hash import config_id
from hnet_cl.methods.base import Learner
from hnet_cl.training.trainer import Start

SIGNS = '''\
import torch


class Signs(torch.optim.Optimizer):
    """Steps of one size along the signs of averaged gradients."""

    def __init__(self, params, lr=0.1, average=0.9):
        super().__init__(params, {"lr": lr, "average": average})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.mul_(group["average"]).add_(p.grad, alpha=1 - group["average"])
                p.sub_(group["lr"] * mean.sign())
'''
FILES = {
    "my_signs.py": SIGNS,
    "conf/optimizer/signs.yaml": "# My own\n_target_: my_signs.Signs\naverage: 0.8\n",
    "conf/optimizer/rmsprop.yaml": "# One of torch's\n_target_: torch.optim.RMSprop\nalpha: 0.9\n",
    "conf/lr_scheduler/linear.yaml": (
        "# Down to a tenth\n_target_: torch.optim.lr_scheduler.LinearLR\n"
        "start_factor: 1.0\nend_factor: 0.1\ntotal_iters: steps_per_task\n"
    ),
}
OURS = [*Path(build.__file__).parent.rglob("*.py"), *conf_dir().rglob("*.yaml")]
SMALL = ["benchmark=toy", "benchmark.num_tasks=2", "training.lr=0.003", "lr_scheduler=linear"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files; none of ours is touched."""
    before = {path: path.read_bytes() for path in OURS}
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert {path: path.read_bytes() for path in OURS} == before and len(before) > 100
    return tmp_path / "conf"


def plan(folder: Path, *words: str) -> Plan:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        chosen = compose("config", [*SMALL, *words, f"hydra.searchpath=[file://{folder}]"])
    config: Any = OmegaConf.to_container(chosen, resolve=True)
    return check(config)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("signs", {"average": 0.8}), pytest.param("rmsprop", {"alpha": 0.9}, marks=pytest.mark.slow)],
)
@pytest.mark.slow
def test_it_trains_from_a_folder_of_the_users_own(name: str, keys: dict[str, float], own: Path, tmp_path: Path) -> None:
    done = in_process(f"--config-dir={own}", *SMALL, f"optimizer={name}", f"output_dir={tmp_path / 'runs'}")
    folder = folder_of(done)
    assert result_of(folder)["metrics"]["acc"] > 0.9
    written = OmegaConf.load(folder / ".hydra" / "config.yaml")
    assert {key: written.optimizer[key] for key in keys} == keys


@pytest.mark.parametrize("name", ["signs", "rmsprop"])
def test_it_goes_on_in_the_middle_of_a_task_bit_for_bit(name: str, own: Path) -> None:
    made = plan(own, f"optimizer={name}", "training.iterations=20")
    benchmark = build.build_benchmark(made, Path("unused"), torch.device("cpu"))

    def new() -> Learner:
        return build.build_learner(made, benchmark.in_shape, benchmark.class_counts, torch.device("cpu"))

    def pause(iteration: int, state: Any) -> None:
        if stopped.latest == 1 and iteration == 11:
            kept.append(copy.deepcopy(state()))
            raise InterruptedError

    whole, stopped, resumed, kept = new(), new(), new(), []  # type: ignore[var-annotated]
    rows = list(rows_of(whole, benchmark.tasks, made.training, []))
    first = rows_of(stopped, benchmark.tasks, made.training, [], pause=pause)
    next(first)
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    with pytest.raises(InterruptedError):
        next(first)
    again = rows_of(resumed, benchmark.tasks, made.training, [], Start(1, 11, kept[0]))
    assert list(again) == rows[1:] and same_state(whole.state_dict(), resumed.state_dict())
    names = {type(optimizer).__name__.lower() for optimizer in resumed.optimizers()}
    assert names == {name}


@pytest.mark.parametrize(
    "words",
    [
        ("optimizer=sgd", "training.lr=0.2", "training.gradient_clip_norm=1"),
        pytest.param(("optimizer=sgd", "training.lr=0.3", "method=ewc"), marks=pytest.mark.slow),
        pytest.param(("optimizer=adamw", "lr_scheduler=cosine"), marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_shipped_optimizers_learn(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = folder_of(in_process("benchmark=toy", "benchmark.num_tasks=2", *words, f"output_dir={tmp_path}"))
    assert result_of(folder)["metrics"]["acc"] > 0.95


def test_an_optimizer_and_a_scheduler_make_another_id(own: Path) -> None:
    ids = set()
    for words in (["optimizer=signs"], ["optimizer=rmsprop"], ["lr_scheduler=none"], ["optimizer=adam"]):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            chosen = compose("config", [*SMALL, *words, f"hydra.searchpath=[file://{own}]"])
        ids.add(config_id(OmegaConf.to_container(chosen, resolve=True)))  # type: ignore[arg-type]
    assert len(ids) == 4
