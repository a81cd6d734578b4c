"""Which runs are compared: filters, and runs that may not be averaged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hnet_cl.core.config_hash import is_below
from hnet_cl.core.errors import UserError
from hnet_cl.core.suggest import nearest
from hnet_cl.report.runs import Run, Unreadable

Identity = tuple[object, ...]


@dataclass(frozen=True)
class Selection:
    """Runs by what can be done with them.

    Attributes:
        finished: what is averaged, one run of each configuration and seed.
        repeats: finished runs of a configuration and seed that is in `finished` already, with the folder of that one.
        incomplete: running (or killed) or interrupted.
        failed: ended by an error.
        unreadable: folders that say nothing.
    """

    finished: Sequence[Run]
    repeats: Sequence[tuple[Run, Run]]
    incomplete: Sequence[Run]
    failed: Sequence[Run]
    unreadable: Sequence[Unreadable]

    @property
    def runs(self) -> list[Run]:
        """All that can be read."""
        return [*self.finished, *(run for run, _ in self.repeats), *self.incomplete, *self.failed]


def select(runs: Sequence[Run], unreadable: Sequence[Unreadable], ignored: Iterable[str]) -> Selection:
    """Sorts runs by their status; `ignored` are keys that do not tell configurations apart (see `identity_of`)."""
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
    """Gives for a run what it shares with its repetitions under other seeds, and with no other run.

    That is the id of its configuration. With `ignored` keys (each also stands for all below it) it is the
    configuration without them; a run whose configuration cannot be read keeps its id.
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
    """The runs that meet all conditions, each `key=value` or `key=value,value`.

    Raises:
        UserError: not of this form, no such key, or nothing is left.
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
        UserError: with the nearest key that there is.
    """
    if runs and all(run.value(key) is None for run in runs):
        names = {name for run in runs for name in (*run.facts, *run.settings, *run.typed)}
        raise UserError(f"{option} {key}: no run has this key{nearest(key, sorted(names))}")


def require_settings(keys: Iterable[str], runs: Sequence[Run], option: str) -> None:
    """Refuses a key that stands for nothing in the configuration of any run.

    Raises:
        UserError: with the nearest key that there is.
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
