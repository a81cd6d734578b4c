"""Which values of a parameter quick tests take; the others are for slow ones."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """The values as parameters, all but `quick` ones marked as slow; a tuple is for several arguments."""
    return [
        value
        if value in quick
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow)
        for value in values
    ]


def thinned(values: Iterable[Any], every: int) -> list[Any]:
    """The same, where many values are alike: each `every`-th one, from the first, is quick."""
    every_one = list(values)
    return few(every_one, every_one[::every])
