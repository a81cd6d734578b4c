"""The sweeper `compare`: a grid whose finished runs end in a table on the screen and a report."""

import hashlib
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hnet_cl.core.errors import UserError
from hnet_cl.report.comparison import Choice, compare_runs
from hnet_cl.report.folders import run_folders
from hnet_cl.report.ownership import require_own
from hnet_cl.sweeps.grid import GridSweeper
from hnet_cl.sweeps.jobs import Outcome
from hnet_cl.sweeps.summary import conclude, finished_folders

START = "comparison-"  # of the name of a report's folder


class ComparisonSweeper(GridSweeper):
    """A grid that is followed by `python -m hnet_cl.report` on its finished runs.

    Args:
        report: the folder of the report; None for one in the folder of all runs, named by which runs it compares.
        grid: as for `GridSweeper`.
    """

    def __init__(self, report: str | None, **grid: Any) -> None:
        super().__init__(**grid)
        self._report = report

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Checks the settings as `GridSweeper` does, and the report's folder.

        Raises:
            UserError: a setting is wrong, or the folder holds files that no report has written.
        """
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        if self._report is not None and not str(self._report).strip():
            raise UserError("hydra.sweeper.report=: is empty; give a folder, or null for one named after the runs")
        if self._report is not None:
            require_own(Path(self._report), f"hydra.sweeper.report={self._report}")
        self._folder = Path(config.hydra.sweep.dir)

    def sweep(self, arguments: list[str]) -> list[Outcome]:
        """Runs all jobs, prints a summary, the table and the page of the report; returns an outcome for each job.

        Jobs that failed are missing in the table. The command that makes the report again is printed above it.

        Raises:
            UserError, HydraException: an override of any job is wrong; nothing has run.
            SweepError: jobs failed.
        """
        started = time.monotonic()
        outcomes = self.outcomes(arguments)
        try:
            conclude(outcomes, time.monotonic() - started)
        finally:
            if folders := finished_folders(outcomes):
                report(folders, Path(self._report) if self._report else self._folder / name_for(folders))
        return outcomes


def report(folders: Sequence[Path], output: Path) -> None:
    """Writes the report on these run folders to `output`; prints its command, the table and the path of the page.

    Raises:
        UserError: `output` holds files that no report has written.
        OSError: it cannot be written.
    """
    print("\nWriting tables and figures.", flush=True)
    from hnet_cl.report.output import write_report  # imports matplotlib, which takes a while

    command = shlex.join(["python", "-m", "hnet_cl.report", *map(str, named(folders)), "--output", str(output)])
    print(f"{command}\n", flush=True)
    page = write_report(output, compare_runs(folders, Choice(), every_metric=True), command)
    print(f"{compare_runs(folders, Choice())}\n{page}", flush=True)


def named(folders: Sequence[Path]) -> Sequence[Path]:
    """Returns the folders above these run folders if no other run is below them, else the run folders themselves."""
    above = list(dict.fromkeys(folder.parent for folder in folders))
    return above if {*run_folders(above, lambda _: None)} == {*folders} else folders


def name_for(folders: Sequence[Path]) -> str:
    """Returns a name for the report on these run folders, the same for the same ones in any order."""
    return START + hashlib.sha256("\n".join(sorted(map(str, folders))).encode()).hexdigest()[:8]
