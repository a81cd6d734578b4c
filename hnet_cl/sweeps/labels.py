"""Labels of the jobs of a sweep, and the lines that announce them."""

from collections.abc import Sequence
from dataclasses import replace

from hnet_cl.sweeps.jobs import Job


def labelled(jobs: Sequence[Job]) -> list[Job]:
    """Returns the jobs, each labelled with its overrides that not all jobs share, such as `method=ewc seed=2`.

    Jobs that do not differ in what was typed keep the label that they have.
    """
    shared = set.intersection(*(set(job.overrides) for job in jobs)) if jobs else set()
    own = [" ".join(override for override in job.overrides if override not in shared) for job in jobs]
    return [replace(job, label=label or job.label) for job, label in zip(jobs, own, strict=True)]


def announcement(jobs: Sequence[Job]) -> str:
    """Returns the lines that are printed before the jobs of a grid start: which they are, and their presets."""
    shared = set.intersection(*(set(job.overrides) for job in jobs))
    varied: dict[str, dict[str, None]] = {}
    for override in (override for job in jobs for override in job.overrides if override not in shared):
        key, _, value = override.partition("=")
        varied.setdefault(key, {})[value] = None
    values = " ".join(f"{key}={','.join(found)}" for key, found in varied.items())
    number = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
    lines = [f"{number}{values and f': {values}'}", f"Hyperparameters: {_presets(jobs)}."]
    return "\n".join([*lines, "What is finished is not repeated. Each other job first loads PyTorch and its data."])


def _presets(jobs: Sequence[Job]) -> str:
    methods: dict[str | None, dict[str, None]] = {}
    for job in jobs:
        methods.setdefault(job.preset, {})[job.config["method"]["name"]] = None
    named = sorted(methods.items(), key=lambda item: item[0] is None)  # the methods' own come last
    own = "the method's own defaults"
    return "; ".join(
        f"{own if preset is None else f'preset {preset}'} for {', '.join(names)}" for preset, names in named
    )
