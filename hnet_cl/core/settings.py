"""Settings of a component: the types and ranges of its yaml, without defaults (those are in conf/ only)."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

LARGEST_INTEGER = 2**63 - 1  # the largest size, step or seed in torch
LARGEST_NUMBER = 3.4e38  # the largest number in float32
LONGEST_LIST = 10_000

Count = Annotated[int, Field(gt=0, le=10**12)]  # steps, sweeps, examples: that many would take months
Size = Annotated[int, Field(gt=0, le=10**9)]  # of a layer: the bytes of weights between two still fit into 63 bits
TaskCount = Annotated[int, Field(gt=0, le=10_000)]  # the accuracy matrix has its square of entries


class Settings(BaseModel):
    """Base of all settings: strict types, no unknown keys, immutable.

    A component (benchmark, learner) declares a subclass named `Settings` in its own file. Its fields have no defaults,
    so that every value a run uses is in its resolved configuration.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    _path: str = PrivateAttr(default="")

    def key(self, field: str) -> str:
        """Returns the dotted key of a field as a user types it, once `place` has set where these settings are."""
        return f"{self._path}.{field}".lstrip(".")

    def place(self, path: str = "") -> None:
        """Sets the dotted key of these settings, and those of all settings inside them."""
        self._path = path
        for field in type(self).model_fields:
            value = getattr(self, field)
            for name, part in value.items() if isinstance(value, Mapping) else [("", value)]:
                inner = part if isinstance(part, Settings) else getattr(part, "settings", None)  # see core/chosen.py
                if isinstance(inner, Settings):  # a user's class may have a field `place` or `key`
                    Settings.place(inner, f"{Settings.key(self, field)}.{name}".rstrip("."))

    def idle(self) -> Mapping[str, str]:
        """Returns the fields that do not count with the values of the others, and why: "without x=y"."""
        return {}

    @model_validator(mode="before")
    @classmethod
    def _words_that_yaml_takes_for_booleans(cls, values: Any) -> Any:
        """Reads an unquoted `true` or `false` as the choice of that name if the field has one."""
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        words = {key: str(value).lower() for key, value in values.items() if isinstance(value, bool) and key in fields}
        return {**values, **{key: word for key, word in words.items() if word in get_args(fields[key].annotation)}}


def beyond_bounds(values: Any, key: str = "") -> Iterator[str]:
    """Yields a message for every number or list in a configuration, at any depth, that is too large for any setting.

    Components set narrower bounds for their own settings where they can; these bounds apply to all others, including
    third-party ones.

    Args:
        values: the configuration, or a value in it.
        key: its dotted key.
    """
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from beyond_bounds(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        if len(values) > LONGEST_LIST:
            yield f"{key}: is a list of {len(values)} entries; give at most {LONGEST_LIST}"
        else:
            for position, value in enumerate(values):
                yield from beyond_bounds(value, f"{key}.{position}")
    elif isinstance(values, int) and abs(values) > LARGEST_INTEGER:
        digits = math.ceil(values.bit_length() * math.log10(2))
        shown = f"={values}: is" if digits < 40 else f": has {digits} digits and is"
        yield f"{key}{shown} too large; give at most {LARGEST_INTEGER} (63 bits)"
    elif isinstance(values, float) and not abs(values) <= LARGEST_NUMBER:
        yield f"{key}={values}: give a finite number, at most {LARGEST_NUMBER}"
