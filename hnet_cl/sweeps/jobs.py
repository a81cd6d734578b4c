"""The jobs of a sweep: how they are composed and run, where their run folders are, and how they ended."""

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

from hnet_cl.config.arguments import refuse_names, refuse_subdir, run_folder
from hnet_cl.config.conf_files import own_folders
from hnet_cl.config.messages import explain, is_mistake
from hnet_cl.config.presets import preset_of
from hnet_cl.config.resolvers import named
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import Interrupted, UserError, described
from hnet_cl.core.signals import answer, sleep
from hnet_cl.records.failure import record_failure
from hnet_cl.records.run_folder import RESULT, finished_result, on_stand_in, settled
from hnet_cl.records.run_result import RunResult
from hnet_cl.sweeps.errors import BusyJobError, DeadError, JobError, PrunedError

Status = Literal["finished", "pruned", "busy", "failed"]

LONGEST_WAIT_S = 60  # between two checks of runs that another process is working on
PATIENCE_S = 15  # the longest time that the worker of a killed sweep takes to end and unlock its run


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: the job's overrides, except those for Hydra.
        for_hydra: overrides for Hydra that this job needs in addition to those of the sweep.
        folder: its run folder; relative to the working directory if `output_dir` is.
        subdir: the last part of `folder`, `hydra.sweep.subdir`.
        config: its resolved configuration.
        preset: the preset that its method's settings come from; None if there is none.
        label: what its lines on the screen begin with; empty for its folder.
    """

    overrides: Sequence[str]
    for_hydra: Sequence[str]
    folder: Path
    subdir: str
    config: Mapping[str, Any]
    preset: str | None = None
    label: str = ""

    @property
    def identity(self) -> tuple[str, Any]:
        """Returns configuration id and seed, which identify the run."""
        return config_id(self.config), self.config["seed"]

    def launched_as(self) -> list[str]:
        """Returns the overrides for the launcher, which also fix the folder, however the launcher numbers the job."""
        label = [f"hydra.sweeper.label={quoted(self.label)}"] if self.label else []
        return [*self.overrides, *self.for_hydra, *label, f"hydra.sweep.subdir={quoted(self.subdir)}"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        overrides: the job's overrides, except those for Hydra.
        folder: its run folder; None if its configuration could not be composed.
        status: how it ended; `busy` if another process is working on the run.
        metrics: those of result.json; empty unless the job is finished.
        error: why it did not finish, in one line (several if it could not be composed).
        earlier: whether it was finished before this sweep began, or by another process.
        stand_in: name of the data if they stood in for the ones that were asked for.
        data: name of the data; empty if the job is not finished.
    """

    overrides: Sequence[str]
    folder: Path | None
    status: Status
    metrics: Mapping[str, float | None]
    error: str = ""
    earlier: bool = False
    stand_in: str = ""
    data: str = ""


def quoted(text: str) -> str:
    """Quotes a text as a value in Hydra's override grammar."""
    return QuotedString(text, Quote.single).with_quotes()


class Loader(Protocol):
    """The interface of Hydra's ConfigLoader that composes the configuration of a job."""

    def load_sweep_config(self, config: DictConfig, overrides: list[str], /) -> DictConfig:
        """Composes a job's configuration from that of its sweep and the job's overrides."""


def compose(
    loader: Loader, config: DictConfig, overrides: Sequence[str], number: int, for_hydra: Sequence[str] = ()
) -> Job | Outcome:
    """Composes a job from a sweep's configuration and the job's overrides.

    Args:
        loader: composes the configuration.
        config: the sweep's configuration.
        overrides: the job's overrides.
        number: the job's number in the sweep.
        for_hydra: overrides for Hydra that this job needs in addition.

    Returns:
        the job, or a failed Outcome if the overrides are wrong.
    """
    outer = HydraConfig.instance().cfg
    try:
        refuse_names(overrides)
        job_config = loader.load_sweep_config(config, [*overrides, *for_hydra])
        with read_write(job_config.hydra), open_dict(job_config.hydra):
            job_config.hydra.job.num = job_config.hydra.job.id = number
        HydraConfig.instance().set_config(job_config)
        refuse_subdir(job_config.hydra.output_subdir)
        subdir = str(run_folder(job_config.hydra.sweep.subdir, "hydra.sweep.subdir"))
        folder = run_folder(job_config.hydra.sweep.dir, "hydra.sweep.dir") / subdir
        choices = job_config.hydra.runtime.choices
        return Job(overrides, for_hydra, folder, subdir, named(job_config, choices), preset_of(choices))
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
    """Runs all jobs to their end and returns an outcome for each, in their order.

    Finished jobs are not launched again; of several jobs that are the same run, only one is launched. Jobs that another
    process is working on come last.

    Args:
        jobs: jobs to run; Outcomes among them are returned as they are.
        launcher: runs the jobs.
        first: the number that the launcher gives to the first job of this batch.
        patience: seconds to wait for runs of other processes; those that are then still busy are left to them.

    Raises:
        UserError: jobs that are not the same run share a folder; nothing has run.
        Interrupted: a signal came.
    """
    wanted = by_folder([job for job in jobs if isinstance(job, Job)])
    ended = {folder: earlier for folder, job in wanted.items() if (earlier := _earlier(job))}

    def launch(missing: list[Job]) -> None:
        ended.update(zip((job.folder for job in missing), _launch(missing, launcher, first), strict=True))

    launch([job for folder, job in wanted.items() if folder not in ended])
    until, wait = time.monotonic() + patience, 1.0
    while (busy := [job for job in wanted.values() if ended[job.folder].status == "busy"]) and time.monotonic() < until:
        if wait == 1.0:
            print(f"Waiting for jobs that other processes are working on: {len(busy)}.", flush=True)
        sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT_S)
        ended |= {job.folder: earlier for job in busy if (earlier := _earlier(job))}
        launch([job for job in busy if ended[job.folder].status == "busy"])
    return [ended[job.folder] if isinstance(job, Job) else job for job in jobs]


def by_folder(jobs: Sequence[Job]) -> dict[Path, Job]:
    """Returns the jobs by run folder; of several jobs that are the same run, the first.

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
    """Returns an outcome if the job is already finished or its folder cannot be used; None if it has to run."""
    try:
        result = finished_result(job.folder, job.config)
    except (OSError, UserError) as error:
        return Outcome(job.overrides, job.folder, "failed", {}, _one_line(error))
    return _finished(job, result, earlier=True) if result and settled(result) else None


def _finished(job: Job, result: RunResult, earlier: bool = False) -> Outcome:
    stand_in = result.data.name if on_stand_in(result) else ""
    return Outcome(job.overrides, job.folder, "finished", result.metrics, "", earlier, stand_in, result.data.name)


def _result(job: Job) -> RunResult | None:
    """Returns the result of a finished job; None if there is none."""
    with contextlib.suppress(OSError, UserError):
        return finished_result(job.folder, {**job.config, "fresh": False})
    return None


Stamp = tuple[int, int] | None


def _stamp(job: Job) -> Stamp:
    """Returns a stamp that changes whenever a job's result.json is replaced; None if there is no such file."""
    with contextlib.suppress(OSError):
        status = (job.folder / RESULT).stat()
        return status.st_mtime_ns, status.st_ino
    return None


def _launch(jobs: list[Job], launcher: Launcher, first: int) -> list[Outcome]:
    """Launches jobs and returns their outcomes, in their order.

    If a process dies and takes the launcher's pool with it, the unfinished jobs are launched again: those that had not
    begun together, the others one at a time, so that the job that died can be identified.
    """
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
    except (BrokenExecutor, OSError) as error:  # one killed process ends its pool, one unusable folder a loop
        reason = _one_line(error)
        if len(jobs) == 1:
            return [_dead(jobs[0], reason)]
    except Exception as error:
        return [_as_left(job, before[job.folder], f"the launcher failed ({_one_line(error)})") for job in jobs]
    ended = {job.folder: _as_left(job, before[job.folder], reason) for job in jobs}
    left = [job for job in jobs if ended[job.folder].status == "failed"]
    # The job that ended the pool is among those that had begun.
    begun = [job for job in left if _stamp(job) != before[job.folder]] or left
    for group in ([job for job in left if job not in begun], *([job] for job in begun)):
        again = _launch(group, launcher, first)
        ended |= {job.folder: outcome for job, outcome in zip(group, again, strict=True)}
    return [ended[job.folder] for job in jobs]


def _as_left(job: Job, before: Stamp, otherwise: str) -> Outcome:
    """Returns the outcome of a job after its launcher died: finished if its folder says so, else failed."""
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
    if isinstance(error, BrokenExecutor):  # its message is a paragraph with one informative line
        said = [line for line in str(error).splitlines() if "exit code" in line] or [str(error)]
        return f"its process died ({said[0]}); was there memory enough?"
    return described(error)
