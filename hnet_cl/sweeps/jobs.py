"""The jobs of a sweep: where each one's run folder is, what became of it, and how all are brought to their end."""

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict, read_write

from hnet_cl.complaints import explain, is_mistake
from hnet_cl.conf_files import own_folders
from hnet_cl.resolvers import plain
from hnet_cl.results.failure import record_failure
from hnet_cl.results.recorder import RESULT, read_result
from hnet_cl.sweeps.errors import DeadError, JobError, PrunedError

Status = Literal["finished", "pruned", "failed"]


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

    def launched_as(self) -> list[str]:
        """The overrides that a launcher gets: they also say the folder, whatever number the launcher counts."""
        return [*self.overrides, *self.for_hydra, f"hydra.sweep.subdir={quoted(self.subdir)}"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job; `metrics` are those of result.json, `error` is one line.

    `earlier`: it was finished before this sweep began. `folder` is None if the configuration does not even say that.
    """

    overrides: Sequence[str]
    folder: Path | None
    status: Status
    metrics: Mapping[str, float | None]
    error: str = ""
    earlier: bool = False


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
        job_config = loader.load_sweep_config(config, [*overrides, *for_hydra])
        with read_write(job_config.hydra), open_dict(job_config.hydra):
            job_config.hydra.job.num = job_config.hydra.job.id = number
        HydraConfig.instance().set_config(job_config)
        subdir = job_config.hydra.sweep.subdir
        return Job(overrides, for_hydra, Path(job_config.hydra.sweep.dir, subdir), subdir, plain(job_config))
    except Exception as error:
        if not is_mistake(error):
            raise
        return Outcome(overrides, None, "failed", {}, explain(error, [*overrides, *_own_flags()]))
    finally:
        HydraConfig.instance().cfg = outer


def _own_flags() -> list[str]:
    return [f"--config-dir={folder}" for folder in own_folders(sys.argv[1:])]


def finish(jobs: Sequence[Job | Outcome], launcher: Launcher, first: int) -> list[Outcome]:
    """Brings all jobs to their end and returns an outcome for each.

    Those finished already are not launched; of several with the same run folder one is. `first` is the number that
    the launcher gives to the first job of this batch.
    """
    wanted = {job.folder: job for job in jobs if isinstance(job, Job)}
    ended = {folder: earlier for folder, job in wanted.items() if (earlier := _earlier(job))}
    missing = [job for folder, job in wanted.items() if folder not in ended]
    ended |= {job.folder: outcome for job, outcome in zip(missing, _launch(missing, launcher, first), strict=True)}
    return [ended[job.folder] if isinstance(job, Job) else job for job in jobs]


def _earlier(job: Job) -> Outcome | None:
    """What makes it needless to run the job, or impossible."""
    try:
        result = None if job.config["fresh"] else _result(job, 0.0)
    except OSError as error:
        return Outcome(job.overrides, job.folder, "failed", {}, _one_line(error))
    return Outcome(job.overrides, job.folder, "finished", result["metrics"], earlier=True) if result else None


def _result(job: Job, since: float) -> dict[str, Any] | None:
    """The result of a job that has finished, not before `since`."""
    result = read_result(job.folder)
    finished = result and result.get("status") == "finished" and _touched(job, since)
    return result if finished else None


def _touched(job: Job, since: float) -> bool:
    path = job.folder / RESULT
    return path.exists() and path.stat().st_mtime >= since


def _launch(jobs: list[Job], launcher: Launcher, first: int) -> list[Outcome]:
    """Outcomes of jobs that have to run, in their order."""
    if not jobs:
        return []
    since = time.time() - 1  # file systems count coarsely
    try:
        returns = launcher.launch([job.launched_as() for job in jobs], initial_job_idx=first)
        return [_outcome(job, done) for job, done in zip(jobs, returns, strict=True)]
    except (BrokenExecutor, OSError) as error:  # one killed process ends its whole pool, one unusable folder a loop
        reason = _one_line(error)
        if len(jobs) == 1:
            return [_dead(jobs[0], reason)]
    except Exception as error:
        return [_as_left(job, since, f"the launcher failed ({_one_line(error)})") for job in jobs]
    ended = {job.folder: _as_left(job, since, reason) for job in jobs}
    left = [job for job in jobs if ended[job.folder].status == "failed"]
    begun = [job for job in left if _touched(job, since)] or left  # the one that ended the pool is among these
    for group in ([job for job in left if job not in begun], *([job] for job in begun)):
        again = _launch(group, launcher, first)
        ended |= {job.folder: outcome for job, outcome in zip(group, again, strict=True)}
    return [ended[job.folder] for job in jobs]


def _as_left(job: Job, since: float, otherwise: str) -> Outcome:
    """What a job's folder says of it after its launcher died."""
    if result := _result(job, since):
        return Outcome(job.overrides, job.folder, "finished", result["metrics"])
    return Outcome(job.overrides, job.folder, "failed", {}, otherwise)


def _outcome(job: Job, done: JobReturn) -> Outcome:
    value: Any = done._return_value
    if done.status == JobStatus.COMPLETED:
        return Outcome(job.overrides, job.folder, "finished", value)
    if isinstance(value, DeadError):
        return _dead(job, str(value))
    status: Status = "pruned" if isinstance(value, PrunedError) else "failed"
    return Outcome(job.overrides, job.folder, status, {}, _one_line(value))


def _dead(job: Job, reason: str) -> Outcome:
    record_failure(job.folder, job.config, job.overrides, reason)
    return Outcome(job.overrides, job.folder, "failed", {}, reason)


def _one_line(error: Any) -> str:
    if isinstance(error, JobError | PrunedError):
        return str(error)
    if isinstance(error, BrokenExecutor):  # a paragraph, of which one line says something
        said = [line for line in str(error).splitlines() if "exit code" in line] or [str(error)]
        return f"its process died ({said[0]}); was there memory enough?"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
