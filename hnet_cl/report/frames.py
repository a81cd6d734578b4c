"""Runs as a pandas DataFrame."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hnet_cl.report.runs import Run, read_runs
from hnet_cl.report.transfer import with_scratch

_log = logging.getLogger(__name__)


def frame_of_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """Returns a table with one row for each run below some folders; see `hnet_cl.records` for its columns.

    Runs that cannot be read are left out, with a warning in the log.

    Raises:
        UserError: a folder does not exist, or none holds a run.
    """
    readable, unreadable = read_runs(folders)
    for found in unreadable:
        _log.warning("%s: left out: %s", found.folder, found.reason)
    runs = with_scratch(readable)
    parts = [[_facts(run) for run in runs], [run.metrics for run in runs], [run.settings for run in runs]]
    ends = [{"error": run.result.error, "folder": str(run.folder), "matrix": run.result.matrix} for run in runs]
    rows = [{**settings, **metrics, **facts, **end} for facts, metrics, settings, end in zip(*parts, ends, strict=True)]
    columns = dict.fromkeys(key for part in (*parts, ends) for row in part for key in row)
    return pd.DataFrame(rows, columns=[*columns])


def _facts(run: Run) -> dict[str, Any]:
    names = ("status", "benchmark", "scenario", "method", "seed", "config_id")
    return {name: run.result[name] for name in names} | {"data": run.result.data.name}
