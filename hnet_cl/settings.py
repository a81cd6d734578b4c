"""Settings of a component: the types and ranges of its yaml, without defaults (those stand in conf/ only)."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator


class Settings(BaseModel):
    """Base of all settings: strict types, unknown keys refused, immutable.

    A component (benchmark, learner) declares its own subclass in its own file and names it `Settings`;
    the fields carry no defaults, so that every value a run uses stands in its resolved configuration.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    _path: str = PrivateAttr(default="")

    def key(self, field: str) -> str:
        """The key of a field, as a user types it; a part of a component does not know where in it it stands."""
        return f"{self._path}.{field}".lstrip(".")

    def place(self, path: str = "") -> None:
        """Tells these settings, and those inside of them, under which key they stand."""
        self._path = path
        for field in type(self).model_fields:
            if isinstance(inner := getattr(self, field), Settings):
                inner.place(self.key(field))

    @model_validator(mode="before")
    @classmethod
    def _words_that_yaml_takes_for_booleans(cls, values: Any) -> Any:
        """The choice `true` among others is meant where it is typed without quotes."""
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        words = {key: str(value).lower() for key, value in values.items() if isinstance(value, bool) and key in fields}
        return {**values, **{key: word for key, word in words.items() if word in get_args(fields[key].annotation)}}
