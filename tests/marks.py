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
