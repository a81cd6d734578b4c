"""Settings of a component: the types and ranges of its yaml, without defaults (those stand in conf/ only)."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings: strict types, unknown keys refused, immutable.

    A component (benchmark, learner) declares its own subclass in its own file and names it `Settings`;
    the fields carry no defaults, so that every value a run uses stands in its resolved configuration.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
