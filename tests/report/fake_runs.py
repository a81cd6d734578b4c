"""Run folders as a recorder leaves them, without a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hnet_cl.report.runs import Run, read_runs
from hnet_cl.report.transfer import with_scratch


def square(*last_row: float) -> list[list[float | None]]:
    """An accuracy matrix: every task is learned to 1.0 and falls to its last value with the last task."""
    tasks = len(last_row)
    rows: list[list[float | None]] = [[1.0 if j <= i else None for j in range(tasks)] for i in range(tasks - 1)]
    return [*rows, list(last_row)]


def write_run(root: Path, config: str = "aaaaaaaa", seed: int = 1, **changes: Any) -> Path:
    """Writes one run folder; `changes` to the keys of result.json, None takes a key away.

    Its configuration is small and has what the overrides say.
    """
    matrix = changes.get("accuracy_matrix", square(0.8, 1.0))
    facts: dict[str, Any] = {
        "status": "finished",
        "error": None,
        "config_id": config,
        "benchmark": "smnist",
        "scenario": "cl1",
        "method": "hnet",
        "seed": seed,
        "overrides": [f"seed={seed}"],
        "num_tasks": len(matrix[0]) if matrix else 2,
        "tasks_done": len(matrix),
        "accuracy_matrix": matrix,
        "inferred_tasks": None,
        "metrics": {"majority": 0.5},
        "wall_time_s": 10.0,
        "train_time_s": 9.0,
        "peak_memory_mb": 100.5,
        "parameters": {"trainable": 1000, "target": 2000, "compression_ratio": 0.5},
        "data": {"name": "mnist", "source": "files", "checksum": "c0ffee"},
        "device": "cpu, 1 threads",
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "git_commit": "8a954bbf",
        "command": "python -m hnet_cl benchmark=smnist",
    }
    facts |= changes
    folder = root / "{benchmark}-{scenario}-{method}".format(**facts) / str(facts["config_id"]) / f"seed={seed}"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({k: v for k, v in facts.items() if v is not None or k == "error"}))
    write_config(folder, yaml.safe_dump(_configuration(facts)))
    return folder


def _configuration(facts: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "benchmark": {"_target_": "a.Benchmark", "name": facts["benchmark"]},
        "scenario": {"name": facts["scenario"], "task_known": facts["scenario"] == "cl1"},
        "method": {"_target_": "a.Method", "name": facts["method"]},
        "target": {"_target_": "a.Network", "hidden": [10, 10]},
        "training": {"iterations": 100, "lr": 0.1},
        "device": {"type": "cpu", "threads": 1, "precision": "float32"},
    }
    for override in facts["overrides"] or ():
        key, _, value = override.partition("=")
        *groups, last = key.lstrip("+~").split(".")
        node = config
        for group in groups:
            node = node.setdefault(group, {})
        if key.startswith("~"):
            node.pop(last, None)
        elif not isinstance(node.get(last), dict):
            node[last] = yaml.safe_load(value)
    return config


def write_config(folder: Path, text: str) -> None:
    """Gives a run folder its configuration."""
    (folder / ".hydra").mkdir(exist_ok=True)
    (folder / ".hydra" / "config.yaml").write_text(text)


def readable(*roots: Path) -> Sequence[Run]:
    """The runs of folders in which every run can be read."""
    runs, unreadable = read_runs(roots)
    assert unreadable == []
    return with_scratch(runs)
