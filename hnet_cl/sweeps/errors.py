"""Exceptions for jobs and sweeps that do not finish normally."""


class JobError(Exception):
    """A job failed; the one-line message is all that its process passes to the sweep's."""


class DeadError(JobError):
    """The job's process died before it could record its failure."""


class BusyJobError(JobError):
    """Another process is working on the job's run."""


class PrunedError(Exception):
    """A search stopped this job because its results were unpromising."""


class SweepError(Exception):
    """Some jobs of a sweep failed; the sweep has already printed which."""
