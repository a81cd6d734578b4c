"""Selection of the runs that are compared: filters, and runs that may not be averaged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hnet_cl.core.config_hash import is_below
from hnet_cl.core.errors import UserError
from hnet_cl.core.suggest import nearest
from hnet_cl.report.runs import Run, Unreadable

Identity = tuple[object, ...]


@dataclass(frozen=True)
class Selection:
    """Runs sorted by how they can be used.

    Attributes:
        finished: the runs that are averaged, one for each configuration and seed.
        repeats: further finished runs of the same configuration and seed, each with its counterpart in `finished`.
        incomplete: runs that are running (or were killed) or interrupted.
        failed: runs that ended with an error.
        unreadable: folders that cannot be read as runs.
    """

    finished: Sequence[Run]
    repeats: Sequence[tuple[Run, Run]]
    incomplete: Sequence[Run]
    failed: Sequence[Run]
    unreadable: Sequence[Unreadable]

    @property
    def runs(self) -> list[Run]:
        """Returns all runs that can be read."""
        return [*self.finished, *(run for run, _ in self.repeats), *self.incomplete, *self.failed]


def select(runs: Sequence[Run], unreadable: Sequence[Unreadable], ignored: Iterable[str]) -> Selection:
    """Sorts runs by their status; `ignored` are keys that do not distinguish configurations (see `identity_of`)."""
    identity = identity_of(ignored)
    finished: dict[Identity, Run] = {}
    repeats: list[tuple[Run, Run]] = []
    for run in runs:
        if run.result.status == "finished":
            first = finished.setdefault((*identity(run), run.result.seed), run)
            repeats += [(run, first)] if first is not run else []
    incomplete = [run for run in runs if run.result.status in ("running", "interrupted")]
    failed = [run for run in runs if run.result.status == "failed"]
    return Selection([*finished.values()], repeats, incomplete, failed, unreadable)


def identity_of(ignored: Iterable[str]) -> Callable[[Run], Identity]:
    """Returns a function that maps a run to an identity shared with its repetitions under other seeds only.

    The identity consists of data, tasks, scenario, method and the id of the configuration. With `ignored` keys (each
    stands for all keys below it, too) the configuration without them replaces the id, unless it cannot be read.
    """
    keys = tuple(ignored)

    def identity(run: Run) -> Identity:
        result = run.result
        data = (
            result.benchmark,
            result.data.name,
            result.data.checksum,
            result.num_tasks,
            result.scenario,
            result.method,
        )
        if not keys or not run.settings:
            return (*data, result.config_id)
        kept = sorted((key, repr(value)) for key, value in run.settings.items() if not is_below(key, keys))
        return (*data, *kept)

    return identity


def where(runs: Sequence[Run], conditions: Iterable[str]) -> list[Run]:
    """Returns the runs that meet all conditions, each `key=value` or `key=value,value` (any of the values).

    Raises:
        UserError: a condition has another form or an unknown key, or no run is left.
    """
    kept = list(runs)
    for condition in conditions:
        key, equals, wanted = condition.partition("=")
        if not equals:
            raise UserError(f"--where {condition}: must be key=value or key=value,value")
        require_key(key, runs, "--where")
        met = [run for run in kept if _matches(run.value(key), wanted)]
        if not met:
            values = sorted({value for run in kept if (value := run.value(key)) is not None})
            raise UserError(f"--where {condition}: no run has it{nearest(wanted, values)}")
        kept = met
    return kept


def require_key(key: str, runs: Sequence[Run], option: str) -> None:
    """Refuses a key that no run has.

    Raises:
        UserError: no run has it; the message suggests the most similar key.
    """
    if runs and all(run.value(key) is None for run in runs):
        names = {name for run in runs for name in (*run.facts, *run.settings, *run.typed)}
        raise UserError(f"{option} {key}: no run has this key{nearest(key, sorted(names))}")


def require_settings(keys: Iterable[str], runs: Sequence[Run], option: str) -> None:
    """Refuses keys that are neither a setting nor a group of settings of any run.

    Raises:
        UserError: no run's configuration has it; the message suggests the most similar key.
    """
    for key in keys:
        names = {name for run in runs for name in run.settings}
        if not any(is_below(name, [key]) for name in names):
            groups = {name.rpartition(".")[0] for name in names} - {""}
            raise UserError(f"{option} {key}: no run's configuration has it{nearest(key, sorted(names | groups))}")


def _matches(value: str | None, wanted: str) -> bool:
    return value is not None and any(_same(value, one) for one in (wanted, *wanted.split(",")))


def _same(value: str, other: str) -> bool:
    try:
        return value == other or float(value) == float(other)
    except ValueError:
        return False
