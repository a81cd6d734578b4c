"""The search space of a search, read from Hydra's override syntax."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from hnet_cl.core.errors import UserError


def search_space(overrides: Sequence[Override]) -> dict[str, BaseDistribution]:
    """Returns a distribution for each override with more than one value; keys keep a leading + or ++.

    interval(a, b) is continuous, int(interval(a, b)) has whole numbers, and tag(log, ...) makes either logarithmic;
    range(a, b, step) ends before b; choices are texts, as they would be typed. A choice of a single value is not
    searched.

    Raises:
        UserError: no override has several values, or Optuna rejects a distribution.
    """
    swept = [override for override in overrides if override.is_sweep_override() and not _only_one(override)]
    if not swept:
        raise UserError(
            "hydra/sweeper=optuna: nothing to search; give an interval or choices, as "
            "'method.strength=tag(log,interval(0.001,1))'"
        )
    return {override.get_key_element(): _distribution(override) for override in swept}


def _only_one(override: Override) -> bool:
    value = override.value()
    return isinstance(value, ChoiceSweep) and len(value.list) == 1


def _distribution(override: Override) -> BaseDistribution:
    value: Any = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return _numbers(value.start, value.end, log="log" in value.tags)
        if isinstance(value, RangeSweep):
            values = sorted(value.range())
            return _numbers(values[0], values[-1], step=abs(value.step))
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except (ValueError, IndexError) as error:
        raise UserError(f"{override.input_line}: cannot be searched ({error})") from error


def _numbers(low: Any, high: Any, **more: Any) -> BaseDistribution:
    whole = isinstance(low, int) and isinstance(high, int)
    return IntDistribution(low, high, **more) if whole else FloatDistribution(low, high, **more)


def one_by_one(space: Mapping[str, BaseDistribution]) -> list[list[str]]:
    """Lists the overrides of a few jobs in which each choice and each end of a range occurs at least once.

    With them a search can be checked before it runs.
    """
    values = {key: _extremes(kind) for key, kind in space.items()}
    first = {key: candidates[0] for key, candidates in values.items()}
    drawn = [first, *(first | {key: value} for key, candidates in values.items() for value in candidates[1:])]
    return [[f"{key}={value}" for key, value in one.items()] for one in drawn]


def _extremes(kind: Any) -> list[Any]:
    return list(kind.choices) if isinstance(kind, CategoricalDistribution) else [kind.low, kind.high]


def suggest(trial: Trial, space: Mapping[str, BaseDistribution]) -> list[str]:
    """Draws a value for each key and returns them as overrides."""
    return [f"{key}={_draw(trial, key, kind)}" for key, kind in space.items()]


def _draw(trial: Trial, key: str, kind: BaseDistribution) -> Any:
    match kind:
        case IntDistribution():
            return trial.suggest_int(key, kind.low, kind.high, step=kind.step, log=kind.log)
        case FloatDistribution():
            return trial.suggest_float(key, kind.low, kind.high, step=kind.step, log=kind.log)
        case CategoricalDistribution():
            return trial.suggest_categorical(key, kind.choices)
    raise TypeError(kind)
