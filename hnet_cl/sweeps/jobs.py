"""The jobs of a sweep: where each one's run folder is, what became of it, and how all are brought to their end."""

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict, read_write

from hnet_cl.config.arguments import refuse_names, run_folder
from hnet_cl.config.conf_files import own_folders
from hnet_cl.config.messages import explain, is_mistake
from hnet_cl.config.resolvers import named
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import Interrupted, UserError
from hnet_cl.core.signals import answer, sleep
from hnet_cl.records.failure import record_failure
from hnet_cl.records.run_folder import RESULT, finished_result, on_stand_in, settled
from hnet_cl.records.run_result import RunResult
from hnet_cl.sweeps.errors import BusyJobError, DeadError, JobError, PrunedError

Status = Literal["finished", "pruned", "busy", "failed"]

LONGEST_WAIT_S = 60  # between two looks at what another process is working on
PATIENCE_S = 15  # that a worker of a sweep which was killed needs at most to end, and to let go of its run


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: the command line of the job, without the part for Hydra.
        for_hydra: overrides for Hydra that this job needs beside those of the sweep.
        folder: its run folder, relative to the working directory if `output_dir` is.
        subdir: the part of it that is the job's own.
        config: its resolved configuration.
    """

    overrides: Sequence[str]
    for_hydra: Sequence[str]
    folder: Path
    subdir: str
    config: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, Any]:
        """What tells it from other runs."""
        return config_id(self.config), self.config["seed"]

    def launched_as(self) -> list[str]:
        """The overrides that a launcher gets: they also say the folder, whatever number the launcher counts."""
        return [*self.overrides, *self.for_hydra, f"hydra.sweep.subdir={quoted(self.subdir)}"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job; `metrics` are those of result.json, `error` is one line.

    `earlier`: it was finished before this sweep began, or by another process. `folder` is None if the configuration
    does not even say that. `stand_in`: the data that it was learned from, where they took the place of others.
    """

    overrides: Sequence[str]
    folder: Path | None
    status: Status
    metrics: Mapping[str, float | None]
    error: str = ""
    earlier: bool = False
    stand_in: str = ""


def quoted(text: str) -> str:
    """A text as a value of Hydra's override grammar."""
    return QuotedString(text, Quote.single).with_quotes()


class Loader(Protocol):
    """What composes the configuration of a job, as Hydra's ConfigLoader."""

    def load_sweep_config(self, config: DictConfig, overrides: list[str], /) -> DictConfig:
        """That of a sweep, with overrides of the job."""


def compose(
    loader: Loader, config: DictConfig, overrides: Sequence[str], number: int, for_hydra: Sequence[str] = ()
) -> Job | Outcome:
    """The job that these overrides make of a sweep's configuration; an Outcome if they are wrong."""
    outer = HydraConfig.instance().cfg
    try:
        refuse_names(overrides)
        job_config = loader.load_sweep_config(config, [*overrides, *for_hydra])
        with read_write(job_config.hydra), open_dict(job_config.hydra):
            job_config.hydra.job.num = job_config.hydra.job.id = number
        HydraConfig.instance().set_config(job_config)
        subdir = str(run_folder(job_config.hydra.sweep.subdir, "hydra.sweep.subdir"))
        folder = run_folder(job_config.hydra.sweep.dir, "hydra.sweep.dir") / subdir
        return Job(overrides, for_hydra, folder, subdir, named(job_config, job_config.hydra.runtime.choices))
    except Exception as error:
        if not is_mistake(error):
            raise
        return Outcome(overrides, None, "failed", {}, explain(error, [*overrides, *_own_flags()]))
    finally:
        HydraConfig.instance().cfg = outer


def _own_flags() -> list[str]:
    return [f"--config-dir={folder}" for folder in own_folders(sys.argv[1:])]


def finish(
    jobs: Sequence[Job | Outcome], launcher: Launcher, first: int, patience: float = PATIENCE_S
) -> list[Outcome]:
    """Brings all jobs to their end and returns an outcome for each.

    Those finished already are not launched; of several that are the same run one is. `first` is the number that the
    launcher gives to the first job of this batch. Jobs that another process is working on come last; what it has not
    finished or given up after `patience` seconds is left to it.

    Raises:
        UserError: several jobs that are not the same run share a folder; nothing has run.
    """
    wanted = by_folder([job for job in jobs if isinstance(job, Job)])
    ended = {folder: earlier for folder, job in wanted.items() if (earlier := _earlier(job))}

    def launch(missing: list[Job]) -> None:
        ended.update(zip((job.folder for job in missing), _launch(missing, launcher, first), strict=True))

    launch([job for folder, job in wanted.items() if folder not in ended])
    until, wait = time.monotonic() + patience, 1.0
    while (busy := [job for job in wanted.values() if ended[job.folder].status == "busy"]) and time.monotonic() < until:
        sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT_S)
        ended |= {job.folder: earlier for job in busy if (earlier := _earlier(job))}
        launch([job for job in busy if ended[job.folder].status == "busy"])
    return [ended[job.folder] if isinstance(job, Job) else job for job in jobs]


def by_folder(jobs: Sequence[Job]) -> dict[Path, Job]:
    """The jobs by their run folders; of several that are the same run the first.

    Raises:
        UserError: different runs share a folder.
    """
    wanted: dict[Path, Job] = {}
    for job in jobs:
        other = wanted.setdefault(job.folder, job)
        if other.identity != job.identity:
            mine, its = (
                " ".join(override for override in one.overrides if override not in two.overrides)
                for one, two in ((job, other), (other, job))
            )
            raise UserError(
                f"hydra.sweep.subdir={job.subdir}: {its} and {mine} are different runs and cannot share a folder; "
                "leave hydra.sweep.subdir out"
            )
    return wanted


def _earlier(job: Job) -> Outcome | None:
    """What makes it needless to run the job, or impossible."""
    try:
        result = finished_result(job.folder, job.config)
    except (OSError, UserError) as error:
        return Outcome(job.overrides, job.folder, "failed", {}, _one_line(error))
    return _finished(job, result, earlier=True) if result and settled(result) else None


def _finished(job: Job, result: RunResult, earlier: bool = False) -> Outcome:
    stand_in = result.data.name if on_stand_in(result) else ""
    return Outcome(job.overrides, job.folder, "finished", result.metrics, earlier=earlier, stand_in=stand_in)


def _result(job: Job) -> RunResult | None:
    """The result of a job that has finished."""
    with contextlib.suppress(OSError, UserError):
        return finished_result(job.folder, {**job.config, "fresh": False})
    return None


Stamp = tuple[int, int] | None


def _stamp(job: Job) -> Stamp:
    """Tells one version of a job's result.json from the next."""
    with contextlib.suppress(OSError):
        status = (job.folder / RESULT).stat()
        return status.st_mtime_ns, status.st_ino
    return None


def _launch(jobs: list[Job], launcher: Launcher, first: int) -> list[Outcome]:
    """Outcomes of jobs that have to run, in their order."""
    if not jobs:
        return []
    before = {job.folder: _stamp(job) for job in jobs}
    answer()
    try:
        returns = launcher.launch([job.launched_as() for job in jobs], initial_job_idx=first)
        answer()
        return [_outcome(job, done, before[job.folder]) for job, done in zip(jobs, returns, strict=True)]
    except Interrupted as asked:
        asked.begun |= any((job.folder / RESULT).exists() for job in jobs)
        raise
    except (BrokenExecutor, OSError) as error:  # one killed process ends its whole pool, one unusable folder a loop
        reason = _one_line(error)
        if len(jobs) == 1:
            return [_dead(jobs[0], reason)]
    except Exception as error:
        return [_as_left(job, before[job.folder], f"the launcher failed ({_one_line(error)})") for job in jobs]
    ended = {job.folder: _as_left(job, before[job.folder], reason) for job in jobs}
    left = [job for job in jobs if ended[job.folder].status == "failed"]
    # The one that ended the pool is among those that had begun.
    begun = [job for job in left if _stamp(job) != before[job.folder]] or left
    for group in ([job for job in left if job not in begun], *([job] for job in begun)):
        again = _launch(group, launcher, first)
        ended |= {job.folder: outcome for job, outcome in zip(group, again, strict=True)}
    return [ended[job.folder] for job in jobs]


def _as_left(job: Job, before: Stamp, otherwise: str) -> Outcome:
    """What a job's folder says of it after its launcher died."""
    if _stamp(job) != before and (result := _result(job)):
        return _finished(job, result)
    return Outcome(job.overrides, job.folder, "failed", {}, otherwise)


def _outcome(job: Job, done: JobReturn, before: Stamp) -> Outcome:
    value: Any = done._return_value
    if done.status == JobStatus.COMPLETED:
        result = _result(job)
        shown = _finished(job, result, earlier=_stamp(job) == before) if result else None
        return replace(shown or Outcome(job.overrides, job.folder, "finished", {}), metrics=value)
    if isinstance(value, DeadError):
        return _dead(job, str(value))
    ends: dict[type, Status] = {PrunedError: "pruned", BusyJobError: "busy"}
    status = ends.get(type(value), "failed")
    return Outcome(job.overrides, job.folder, status, {}, _one_line(value))


def _dead(job: Job, reason: str) -> Outcome:
    record_failure(job.folder, job.config, job.overrides, reason)
    return Outcome(job.overrides, job.folder, "failed", {}, reason)


def _one_line(error: Any) -> str:
    if isinstance(error, JobError | PrunedError | UserError):
        return str(error)
    if isinstance(error, BrokenExecutor):  # a paragraph, of which one line says something
        said = [line for line in str(error).splitlines() if "exit code" in line] or [str(error)]
        return f"its process died ({said[0]}); was there memory enough?"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
