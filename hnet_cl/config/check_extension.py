"""Checks that a run can extend a finished one by tasks, before anything is read or written."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from hnet_cl.core.errors import UnsupportedError, UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.methods.base import Learner


def _ascending(value: Any) -> Any:
    """Returns the value of `extends` if it is a number of tasks, or at least two in ascending order.

    Raises:
        ValueError: it is neither.
    """
    numbers = value if isinstance(value, list) and len(value) > 1 else [value]
    whole = all(type(number) is int and number > 0 for number in numbers)
    if value is not None and not (whole and sorted(set(numbers)) == numbers):
        raise ValueError(
            "give the number of tasks of a finished run, as 3, or if that was extended itself, those of all in "
            "ascending order, as [3,5]"
        )
    return value


Extended = Annotated[Any, BeforeValidator(_ascending)]


def extended(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Returns the numbers of tasks of the runs that a checked configuration extends, one after the other."""
    value = config.get("extends")
    return tuple(value) if isinstance(value, list) else () if value is None else (value,)


def check_extension(kind: type[Learner], checked: Any) -> None:
    """Refuses to extend what cannot be extended.

    Args:
        kind: the method's class.
        checked: the settings of a run.

    Raises:
        UserError: there are no more tasks than before, or the method cannot go on with more.
    """
    if checked.extends is None:
        return
    given = f"extends={shown(checked.extends)}"
    if reason := kind.unextendable:
        raise UnsupportedError(f"{given} with method={checked.method.name}: it cannot be extended, as {reason}")
    if not hasattr(checked.benchmark, "num_tasks"):
        raise UserError(f"{given}: benchmark={checked.benchmark.name} has no key num_tasks, so it cannot be extended")
    number, last = checked.benchmark.num_tasks, checked.extends
    last = last[-1] if isinstance(last, list) else last
    if number is not None and number <= last:
        raise UserError(
            f"{given}: {checked.benchmark.key('num_tasks')}={number} is no more than the {last} tasks that are "
            "learned already; give more"
        )
