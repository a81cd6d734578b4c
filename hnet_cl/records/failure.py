"""The result.json of a run that failed before it could record anything itself."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import OccupiedError
from hnet_cl.core.locking import locked
from hnet_cl.records import provenance
from hnet_cl.records.metrics_table import Evidence, summary
from hnet_cl.records.run_folder import LOCKS, RESULT, earlier_result
from hnet_cl.records.run_result import SCHEMA, json_text


def record_failure(
    folder: Path, config: Mapping[str, Any], overrides: Sequence[str], error: str, command: str = ""
) -> None:
    """Records in result.json that the run failed, and why, so that it is not missing when runs are counted.

    Results of an earlier part of the run are kept, and a finished run stays finished: only its repetition has failed.
    A folder that is not this run's, or in which another process is working, is left alone. Raises no OSError, since
    there is already an error to report.

    Args:
        folder: the run folder; created if missing.
        config: the resolved configuration.
        overrides: the command line's overrides, as typed.
        error: the reason in one line.
        command: the command line that asks for the run, if it is not that of this process.
    """
    with contextlib.suppress(OSError, OccupiedError):
        earlier_result(folder, config)  # before anything is written there
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCKS[0]):
            result = earlier_result(folder, config) or _nothing_done(config, overrides, command)
            if result["status"] == "finished":
                return
            write_atomically(folder / RESULT, json_text({**result, "status": "failed", "error": error}))


def _nothing_done(config: Mapping[str, Any], overrides: Sequence[str], command: str) -> dict[str, Any]:
    """Returns the contents of result.json for a run without any results; the benchmark's facts are unknown or empty."""
    names = {group: config[group].get("name") for group in ("benchmark", "scenario", "method")}
    return {
        "schema": SCHEMA,
        "status": "failed",
        "error": None,
        "config_id": config_id(config),
        **names,
        "dataset": (config.get("dataset") or {}).get("name"),
        "target": None,
        "preset": None,
        "seed": config["seed"],
        "overrides": list(overrides),
        "num_tasks": 0,
        "tasks_done": 0,
        "accuracy_matrix": [],
        "inferred_tasks": None,
        "certified_matrix": [],
        "window": [],
        "metrics": summary(Evidence([])),
        "iterations": 0,
        "wall_time_s": 0.0,
        "train_time_s": 0.0,
        "peak_memory_mb": round(provenance.peak_memory_mb(), 1),
        "memory_bytes": None,
        "parameters": None,
        "data": dict.fromkeys(("name", "source", "checksum"), "unknown"),
        "in_shape": [],
        "tasks": [],
        "device": None,
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
        "command": command or provenance.command_line(),
    }
