"""States of runs, without a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hnet_cl.records.metrics import BenchmarkFacts
from hnet_cl.records.run_state import Progress, RunFacts, RunState

CONFIG = {
    "training": {"lr": 0.001},
    "method": {"name": "hnet", "strength": None, "widths": [100, 100], "lookahead": True},
}


def facts(names: Sequence[str]) -> RunFacts:
    """What is known at the start of a run of tasks with these names."""
    return RunFacts(
        config_id="ab12cd34",
        benchmark="pmnist",
        dataset="mnist",
        scenario="cl1",
        method="hnet",
        target="mlp_1000",
        preset="pmnist/hnet",
        seed=3,
        overrides=["seed=3"],
        parameters={"trainable": 10, "target": 20, "generated": None, "compression_ratio": 0.5},
        data={"name": "mnist", "source": "files", "checksum": "sha256:00"},
        in_shape=[1, 28, 28],
        tasks=[{"name": name, "classes": ["a", "b"]} for name in names],
        device="cpu",
        command="python -m hnet_cl seed=3",
    )


def state(
    folder: Path,
    names: Sequence[str] = ("one", "two"),
    iterations: Sequence[int] = (10, 10),
    progress: Progress | None = None,
    config: Mapping[str, Any] = CONFIG,
) -> RunState:
    """The state of a run of two tasks of ten iterations each, unless told otherwise; half of all answers are easy."""
    tasks = len(names)
    benchmark_facts = BenchmarkFacts([0.5] * tasks, [50 * (number + 1) for number in range(tasks)])
    return RunState(folder, facts(names), config, iterations, benchmark_facts, progress)
