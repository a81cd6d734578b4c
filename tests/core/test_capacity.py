"""Sizes: what is absurd is refused at once, what cannot fit before its memory is taken, and the rest in one line."""

import errno
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from processes import limited, mistake, result_of
from torch import nn

from hnet_cl import build
from hnet_cl.benchmarks.toy import GaussianBlobs
from hnet_cl.config.arguments import refuse_long_numbers, spread_seeds
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core import capacity
from hnet_cl.core.capacity import amount, largest_of, memory_limit, out_of_memory
from hnet_cl.core.errors import UserError

GIGABYTES = 10**9
NUMBERS = ["seed", "training.iterations", "training.lr", "benchmark.spread", "method.strength", "device.threads"]


class Stubborn(nn.Module):
    """Looks at its weights while it is built, which torch's meta device cannot show."""

    def __init__(self, in_shape: Any, num_outputs: int, width: Any = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(in_shape[0], 0 + width)
        self.head = nn.Linear(width, num_outputs)
        assert self.layer.weight.abs().max().item() > 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x).relu())


class Picky(nn.Module):
    """Can be built for no input at all."""

    def __init__(self, in_shape: Any, num_outputs: int, width: int = 3) -> None:
        raise RuntimeError(f"width must not\nbe {width}")


@cache
def _composed(*overrides: str) -> Any:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose("config", ["training.iterations=2", *overrides]), resolve=True)


def refused(folder: Path, key: str, value: Any, *overrides: str) -> str:
    """The line that ends a run with another value at a key."""
    node = config = deepcopy(_composed("benchmark=toy", *overrides))
    *groups, last = key.split(".")
    for group in groups:
        node = node[group]
    node[last] = value
    with pytest.raises(UserError) as caught:
        run(config, folder, [])
    line = str(caught.value)
    assert "\n" not in line and len(line) < 400
    return line


@pytest.fixture(autouse=True)
def machine_of_16_gigabytes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(build, "memory_limit", lambda: 16 * GIGABYTES)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("value", [2**63, 10**400, -(10**400)], ids=["2^63", "10^400", "-10^400"])
@pytest.mark.parametrize("key", [*NUMBERS, "target.hidden", "method.hypernet.hidden", "data_dir"])
def test_no_setting_is_beyond_63_bits(key: str, value: int, tmp_path: Path) -> None:
    nested = key.endswith("hidden")
    line = refused(tmp_path, key, [3, value] if nested else value)
    digits = "=" if value == 2**63 else ": has 401 digits and is too large"
    assert line.startswith(f"{key}{'.1' if nested else ''}{digits}")
    assert line.endswith("too large; give at most 9223372036854775807 (63 bits)")


@pytest.mark.parametrize("value", [1e300, float("inf"), float("nan")])
@pytest.mark.parametrize(
    "key", ["training.lr", "checkpoint_every", "method.strength", "training.lr_decay", "target.hidden"]
)
def test_no_setting_is_beyond_float32(key: str, value: float, tmp_path: Path) -> None:
    line = refused(tmp_path, key, [[0.5, value]] if key == "training.lr_decay" else value)
    assert line.startswith(key) and line.endswith(f"={value}: give a finite number, at most 3.4e+38")


def test_no_list_is_longer_than_any_use(tmp_path: Path) -> None:
    assert refused(tmp_path, "target.hidden", [3] * 10_001).startswith(
        "target.hidden: is a list of 10001 entries; give"
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device.threads", 1_000_000),
        ("training.iterations", 10**18),
        ("training.log_every", 10**18),
        ("training.batch_size", 10**9),
        ("training.eval_batch_size", 10**18),
        ("checkpoint_every", 1e30),
        ("benchmark.num_tasks", 1_000_000),
        ("benchmark.num_classes", 1_000_000),
        ("benchmark.train_per_class", 10**10),
        ("method.hypernet.task_embedding", 10**10),
        ("method.hypernet.chunk_embedding", 10**10),
        ("method.hypernet.chunk_size", 10**10),
    ],
)
def test_sizes_have_bounds_of_their_own(key: str, value: float, tmp_path: Path) -> None:
    assert refused(tmp_path, key, value).startswith(f"{key}={value}: input should be less than or equal to ")


@pytest.mark.parametrize(
    ("key", "value", "overrides", "what"),
    [
        ("target.hidden", [10**9], (), "the target network takes at least 36 GB"),
        ("target.hidden", [10**6, 10**6], ("method=ewc",), "the target network takes at least 4,000 GB"),
        ("target.hidden", [10**9, 10**9], ("method=scratch",), "the target network takes at least 4,000 PB"),
        ("method.hypernet.hidden", [10**5, 10**5], (), "the learner with its gradients and its optimiser's"),
        ("method.hypernet.task_embedding", 10**9, (), "the learner with its gradients and its optimiser's"),
        ("method.generator.latent", 10**9, ("method=hnet_r", "scenario=cl3"), "the learner with its gradients and "),
        ("method.projected", 10**9, ("method=ranpac",), "the learner with its gradients and its optimiser's"),
        ("benchmark.train_per_class", 10**9, (), "the data of this benchmark take at least 96 GB"),
        (
            "benchmark.padding",
            10_000,
            ("benchmark=pmnist_mini",),
            "the data of this benchmark take at least 2,",
        ),
        (
            "benchmark.num_tasks",
            10_000,
            ("benchmark=pmnist_mini", "benchmark.padding=500"),
            "the data of this benchmark",
        ),
    ],
)
def test_what_cannot_fit_is_refused_before_it_is_taken(
    key: str, value: Any, overrides: tuple[str, ...], what: str, tmp_path: Path
) -> None:
    line = refused(tmp_path, key, value, *overrides)
    assert line.startswith(f"{key}={value}: {what}") and " of memory, and there are 16 GB; use smaller sizes" in line


def test_a_batch_that_cannot_fit_is_refused(tmp_path: Path) -> None:
    line = refused(tmp_path, "training.batch_size", 10**7, "benchmark=pmnist_mini")
    assert line.startswith("training.batch_size=10000000: a batch of inputs takes at least 31.4 GB")


@pytest.mark.parametrize(
    "method", ["finetune", "hnet", "hnet_ent", "hnet_r", "hnet_tir", "dgr", "ewc", "si", "scratch"]
)
def test_the_estimate_is_what_the_learner_takes(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte less than it needs is too little; with just as much it is built, the same as without an estimate."""
    scenario = "cl1" if method in ("finetune", "hnet", "ewc", "si", "scratch") else "cl3"
    plan = check(_composed("benchmark=toy", f"method={method}", f"scenario={scenario}"))
    learner = build.build_learner(plan, (2,), (2, 2, 2), torch.device("cpu"))
    kept = sum(t.nbytes for t in (*learner.parameters(), *learner.buffers()))
    parameters = learner.networks[0].parameters() if method == "scratch" else learner.parameters()
    needed = kept + 12 * sum(p.numel() for p in parameters)
    monkeypatch.setattr(build, "memory_limit", lambda: needed)
    again = build.build_learner(plan, (2,), (2, 2, 2), torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(learner.parameters(), again.parameters(), strict=True))
    monkeypatch.setattr(build, "memory_limit", lambda: needed - 1)
    with pytest.raises(UserError, match="the learner with its gradients"):
        build.build_learner(plan, (2,), (2, 2, 2), torch.device("cpu"))


def of_users(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"{__name__}.{name}", **arguments}


@pytest.mark.slow
def test_networks_of_users_that_cannot_be_rehearsed_are_built_all_the_same(tmp_path: Path) -> None:
    config = deepcopy(_composed("benchmark=toy", "method=finetune"))
    config["target"] = of_users("Stubborn", width=5)
    assert run(config, tmp_path, [])["parameters"]["target"] == 3 * 5 + 6 * 6


@pytest.mark.parametrize(
    ("target", "line"),
    [
        (of_users("Stubborn", width=2**62), "target: Stubborn cannot be built for inputs [2] and 6 outputs with "),
        (
            of_users("Stubborn", width=10**14),
            "memory: there is not enough (tried to allocate 800000000000000 bytes); use ",
        ),
        (
            of_users("Picky"),
            "target: Picky cannot be built for inputs [2] and 6 outputs with no arguments (RuntimeError",
        ),
        (
            of_users("Picky", width=7),
            "target: Picky cannot be built for inputs [2] and 6 outputs with width=7 (RuntimeEr",
        ),
        (
            of_users("Stubborn", width="x"),
            "target: Stubborn cannot be built for inputs [2] and 6 outputs with width=x (",
        ),
        (
            of_users("Stubborn", width=2**63),
            "target.width=9223372036854775808: is too large; give at most 922337203685",
        ),
    ],
)
def test_networks_of_users_that_cannot_be_built_are_one_line(target: Any, line: str, tmp_path: Path) -> None:
    assert refused(tmp_path, "target", target, "method=finetune").startswith(line)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 7.45 GiB for an array"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes. Error"
        ),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"),
        RuntimeError("can't start new thread"),
        RuntimeError("CUDA error: out of memory"),
    ],
    ids=str,
)
def test_running_out_of_memory_in_training_is_one_line(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("hnet_cl.training.evaluation.test", fails)
    line = refused(tmp_path, "seed", 1)
    assert line.startswith("memory: there is not enough") and "training.eval_batch_size" in line
    if "ried to allocate" in str(error):
        assert "(tried to allocate 40 bytes)" in line or "(tried to allocate 2.00 GiB)" in line


@pytest.mark.parametrize("error", [RuntimeError("a shape"), OSError(errno.ENOSPC, "No space"), ValueError("memory")])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert out_of_memory(error) is None


def test_the_limit_is_the_smallest_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = memory_limit()
    assert machine > GIGABYTES / 2
    (tmp_path / "memory.max").write_text("1000000\n")
    monkeypatch.setattr(capacity, "_CGROUP_LIMITS", (str(tmp_path / "memory.max"), str(tmp_path / "missing")))
    assert memory_limit() == 1_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit() == machine


def test_ulimit_counts() -> None:
    code = "from hnet_cl.core.capacity import memory_limit as m; print(m())"
    limit = 2 * GIGABYTES
    said = limited(limit // 1024, "-c", code).stdout
    assert limit * 0.9 < int(said) < limit


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 GB"), (28 * 10**9, "28 GB"), (4 * 10**12, "4,000 GB"), (16 * 10**15, "16 PB")]
)
def test_amounts_are_for_people(size: int, shown: str) -> None:
    assert amount(size) == shown


def test_the_key_in_the_line_is_that_of_the_largest_number() -> None:
    assert largest_of({"a": 1, "b": {"c": [7, 3], "d": True}, "e": 0.5, "f": "x"}, "target") == "target.b.c=[7, 3]"
    assert largest_of({"a": "x"}, "target") == "target"


def test_data_of_the_toy_are_counted_exactly() -> None:
    settings = GaussianBlobs.Settings(
        name="toy", num_tasks=2, num_classes=3, train_per_class=5, test_per_class=4, spread=0.1, seed=1
    )
    tasks = GaussianBlobs(settings, None, torch.device("cpu")).tasks
    tensors = [t for task in tasks for split in (task.train, task.test) for t in (split.images, split.labels)]
    assert GaussianBlobs.memory(settings, None) == sum(t.nbytes for t in tensors)


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("seed=1" + "0" * 400, "seed=1000000000...: is a number of 401 digits; give a smaller one"),
        ("training.lr=1,1" + "0" * 5000, "training.lr=1000000000...: is a number of 5001 digits; give a smaller one"),
        ("seeds=1000000000", "seeds=1000000000: give at most 10000 seeds"),
        ("seeds=10001", "seeds=10001: give at most 10000 seeds"),
    ],
    ids=["10^400", "10^5000", "10^9 seeds", "10001 seeds"],
)
def test_absurd_numbers_on_the_command_line(argument: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        refuse_long_numbers(["benchmark=toy", argument])
        spread_seeds(["benchmark=toy", argument])
    assert str(caught.value) == line


def test_many_seeds_and_digits_are_fine() -> None:
    refuse_long_numbers(["seed=" + "1" * 300, "hydra.sweep.subdir=" + "a1" * 1000])
    assert len(spread_seeds(["seeds=10000"])[0].split(",")) == 10_000


@pytest.mark.slow
def test_a_million_threads_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    line = mistake("benchmark=toy", "device.threads=1000000", f"output_dir={tmp_path / 'out'}")
    assert line.startswith("device.threads=1000000: input should be less than or equal to ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kilobytes", [30_000, 150_000, 500_000, 1_000_000])
def test_too_little_memory_to_start_is_one_line(kilobytes: int, tmp_path: Path) -> None:
    done = limited(kilobytes, "-m", "hnet_cl", "benchmark=toy", f"output_dir={tmp_path / 'out'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hnet_cl: ulimit -v {kilobytes}: torch and its libraries take 1100000 kB of ")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


def test_the_same_for_predictions() -> None:
    done = limited(500_000, "-m", "hnet_cl.predict", "run=x", "input=y")
    assert done.returncode == 2 and done.stderr.startswith("hnet_cl.predict: ulimit -v 500000: torch and")


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [1150, 1250, 1400])
def test_memory_that_runs_out_later_is_one_line_and_nothing_is_lost(megabytes: int, tmp_path: Path) -> None:
    command = ("-m", "hnet_cl", "benchmark=toy", "method=ewc_offline", "benchmark.num_tasks=3", "training.iterations=3")
    folder = tmp_path / "run"
    # 4 MB of weights, and as much for what each of 2 old tasks and the optimiser keep
    command += ("target.hidden=[1500,1500]", "training.batch_size=20000", "device.threads=1", f"hydra.run.dir={folder}")
    done = limited(megabytes * 1000, *command)
    if done.returncode == 0:
        assert result_of(folder)["status"] == "finished"
    else:
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("hnet_cl: ") and " memory" in done.stderr and done.stderr.count("\n") == 1
