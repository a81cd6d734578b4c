"""How jobs and sweeps can end other than well."""


class JobError(Exception):
    """Why a job failed, in one line: all that goes from the job's process to the sweep's."""


class DeadError(JobError):
    """The job's process died, so that it could not even record its failure."""


class BusyJobError(JobError):
    """Another process works on the job's run."""


class PrunedError(Exception):
    """A search saw no hope in this job and stopped it."""


class SweepError(Exception):
    """Some jobs of a sweep failed; the sweep has said which."""
