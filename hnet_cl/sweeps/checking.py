"""Checks of all jobs of a sweep before the first one runs."""

import json
from collections.abc import Iterator, Sequence

from hnet_cl.core.config_hash import without
from hnet_cl.core.errors import UserError
from hnet_cl.sweeps.jobs import Job, Outcome

NAMED = 3  # the most jobs that a line names


def check_jobs(jobs: Sequence[Job | Outcome]) -> list[Job]:
    """Checks each job as its run would at its start, and returns the jobs.

    Args:
        jobs: composed jobs, or Outcomes of those that could not be composed.

    Raises:
        UserError: there are mistakes; the message has a line for each, with the jobs concerned.
    """
    made: dict[str, list[Sequence[str]]] = {}
    passed: set[str] = set()
    for job in jobs:
        for line in _mistakes(job, passed):
            made.setdefault(line, []).append(job.overrides)
    if made:
        shared = set.intersection(*(set(job.overrides) for job in jobs))
        raise UserError("\n".join(line + _jobs(who, len(jobs), shared) for line, who in made.items()))
    return [job for job in jobs if isinstance(job, Job)]


def _mistakes(job: Job | Outcome, passed: set[str]) -> Iterator[str]:
    """Yields a line for each mistake in a job; seeds, and configurations without them, that `passed` are skipped."""
    from hnet_cl.config.check import check  # imports torch, which takes seconds

    if isinstance(job, Outcome):
        yield from job.error.splitlines()
        return
    parts = {json.dumps(without(job.config, ["seed"]), sort_keys=True), f"seed={job.config['seed']!r}"}
    if parts <= passed:
        return
    try:
        check(job.config)
        passed |= parts
    except UserError as error:
        yield from str(error).splitlines()


def _jobs(who: Sequence[Sequence[str]], of: int, shared: set[str]) -> str:
    """Returns a suffix that names the jobs at fault by the overrides not shared by all jobs; empty if all are."""
    if len(who) == of:
        return ""
    named = [" ".join(override for override in overrides if override not in shared) for overrides in who[:NAMED]]
    more = f" and {len(who) - NAMED} more" if len(who) > NAMED else ""
    return f" (job{'s' * (len(who) > 1)} {'; '.join(named)}{more})"
