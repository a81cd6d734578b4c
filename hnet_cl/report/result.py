"""What a result.json must hold to be compared with others, whichever version wrote it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hnet_cl.core.regular_files import parse_json
from hnet_cl.records import metrics
from hnet_cl.records.run_folder import SCHEMA

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(max_length=200)]  # longer ones would fill a table that nobody can read
Override = Annotated[str, Field(max_length=2000)]


class Data(BaseModel):
    """Which data were used."""

    model_config = ConfigDict(strict=True, frozen=True)
    name: Name
    checksum: Name


class Result(BaseModel):
    """The keys of a result.json that the report computes with; other keys may come and go between versions."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)
    status: Literal["running", "interrupted", "finished", "failed"]
    error: str | None = None
    config_id: Name
    benchmark: Name
    scenario: Name
    method: Name
    seed: int
    overrides: list[Override] = []
    num_tasks: Count  # 0: it failed before it had any
    accuracy_matrix: list[list[Fraction | None]]
    inferred_tasks: list[list[Count]] | None = None
    metrics: dict[str, float | None] = {}
    data: Data
    versions: dict[str, str | None] = {}
    git_commit: str | None = None
    command: str = ""

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        tasks, rows = self.num_tasks, self.accuracy_matrix
        if len(rows) > tasks or any(len(row) != tasks for row in rows):
            raise ValueError(f"accuracy_matrix: not up to {tasks} rows of {tasks} tasks each")
        inferred = self.inferred_tasks
        if inferred is not None and (len(inferred) != tasks or any(len(row) != tasks for row in inferred)):
            raise ValueError(f"inferred_tasks: not {tasks} rows of {tasks} tasks each")
        if self.status == "finished" and len(rows) < tasks:
            raise ValueError(f"finished, but accuracy_matrix has {len(rows)} of {tasks} rows")
        if self.status == "finished":
            if not tasks:
                raise ValueError("finished without a task")
            metrics.acc(rows)  # refuses a matrix with holes: a run whose outputs were not numbers
        return self


def parse(content: bytes) -> tuple[Result, dict[str, Any]]:
    """The checked part of a result.json, and all of it with dotted keys and scalar values.

    Raises:
        ValueError: it is no such file; the message says in one line why.
    """
    raw = parse_json(content)
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")
    _check_schema(raw.get("schema"))
    try:
        return Result.model_validate(raw), flatten(raw)
    except ValidationError as error:
        raise ValueError(_first(error)) from error


def _check_schema(schema: Any) -> None:
    if schema is not None and (not isinstance(schema, int) or isinstance(schema, bool)):
        raise ValueError("schema: not a whole number")
    if schema is not None and schema > SCHEMA:
        raise ValueError(f"made by a newer version of hnet_cl (schema {schema}, known are up to {SCHEMA}); update it")


def flatten(node: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {message}" if place else message
