"""The one schema of result.json: what a run says of itself to every tool, whichever version wrote it."""

import json
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from hnet_cl.core.regular_files import parse_json
from hnet_cl.records import metrics

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 1  # of result.json, in its key `schema`; files of before it have none
SHOWN_NAME, SHOWN_OVERRIDE = 200, 2000  # characters; longer ones would fill a table that nobody can read

Status = Literal["running", "interrupted", "finished", "failed"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Number = int | float
Size = Annotated[int, Field(ge=1, le=1_000_000)]
Name = Annotated[str, Field(max_length=255)]  # what a file can be called


class TooNewError(ValueError):
    """A result.json of a version of hnet_cl to come."""


class _Part(BaseModel):
    """Known keys of strict types; others may come and go between versions, and are kept."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)


class Data(_Part):
    """Which data were used; see `hnet_cl.datasets.identity.DataIdentity`. Early versions had no `fixed`, `stand_in`."""

    name: Name
    source: str = ""
    checksum: Name
    fixed: bool | None = None
    stand_in: bool | None = None


class TaskNames(_Part):
    """The name of a task and those of its classes, in the labels' order."""

    name: str
    classes: Annotated[list[str], Field(min_length=1, max_length=100_000)]


class RunResult(_Part, Mapping[str, Any]):
    """The contents of a result.json: a mapping of what stands there, with the keys that are known as attributes.

    Attributes have a default where an older version wrote no such key; the mapping then has none.
    """

    schema_number: int = Field(default=0, alias="schema")
    status: Status
    error: str | None = None
    config_id: Name
    benchmark: Name
    dataset: str | None = None
    scenario: Name
    method: Name
    target: str | None = None
    preset: str | None = None
    seed: int
    overrides: list[str] = []
    num_tasks: Count  # 0: it failed before it had any
    tasks_done: Count = 0
    accuracy_matrix: list[list[Fraction | None]]
    inferred_tasks: list[list[Count]] | None = None
    metrics: dict[str, Number | None] = {}
    iterations: Count = 0
    wall_time_s: Number = 0.0
    train_time_s: Number = 0.0
    peak_memory_mb: Number = 0.0
    memory_bytes: dict[str, Number | None] | None = None
    parameters: dict[str, Number | None] | None = None
    data: Data
    in_shape: Annotated[list[Size], Field(max_length=8)] = []
    tasks: Annotated[list[TaskNames], Field(max_length=100_000)] = []
    device: str | None = None
    versions: dict[str, str | None] = {}
    git_commit: str | None = None
    command: str = ""
    _folder: Path = PrivateAttr(default=Path())

    @classmethod
    def parse(cls, content: bytes, folder: Path = Path()) -> Self:
        """Reads a result.json; `folder` is the run folder that it lies in.

        Raises:
            TooNewError: a newer version of hnet_cl wrote it.
            ValueError: it is no result of hnet_cl; the message says in one line why.
        """
        raw = parse_json(content)
        if not isinstance(raw, dict):
            raise ValueError("not a JSON object")
        schema = raw.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise TooNewError(f"made by a newer version of hnet_cl (schema {schema}, known up to {SCHEMA}); update it")
        try:
            result = cls.model_validate(raw)
        except ValidationError as error:
            raise ValueError(_first(error)) from error
        result._folder = folder
        return result

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        tasks, rows = self.num_tasks, self.accuracy_matrix
        if len(rows) > tasks or any(len(row) != tasks for row in rows):
            raise ValueError(f"accuracy_matrix: not up to {tasks} rows of {tasks} tasks each")
        inferred = self.inferred_tasks
        if inferred is not None and (len(inferred) != tasks or any(len(row) != tasks for row in inferred)):
            raise ValueError(f"inferred_tasks: not {tasks} rows of {tasks} tasks each")
        if self.status == "finished":
            if len(rows) < tasks:
                raise ValueError(f"finished, but accuracy_matrix has {len(rows)} of {tasks} rows")
            if not tasks:
                raise ValueError("finished without a task")
            metrics.acc(rows)  # refuses a matrix with holes: a run whose outputs were not numbers
        return self

    def require_short(self) -> None:
        """Refuses texts that are longer than a table or a line can show; whoever shows them asks first.

        Raises:
            ValueError: there is one.
        """
        texts = [(f"overrides.{number}", text, SHOWN_OVERRIDE) for number, text in enumerate(self.overrides)]
        for number, task in enumerate(self.tasks):
            texts += [(f"tasks.{number}", text, SHOWN_NAME) for text in (task.name, *task.classes)]
        for key, text, limit in texts:
            if len(text) > limit:
                raise ValueError(f"{key}: string should have at most {limit} characters")

    @property
    def folder(self) -> Path:
        """The run folder that it was read from."""
        return self._folder

    @property
    def matrix(self) -> "np.ndarray":
        """The accuracy matrix (tasks done, T) of fractions, NaN where a task was not evaluated."""
        import numpy as np

        rows = [[math.nan if value is None else value for value in row] for row in self.accuracy_matrix]
        return np.array(rows, dtype=float).reshape(len(rows), self.num_tasks)

    @cached_property
    def _entries(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_unset=True)

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    __eq__ = Mapping.__eq__

    def __repr__(self) -> str:
        names = "-".join([self.benchmark, self.scenario, self.method])
        done = f"{self.status}, {len(self.accuracy_matrix)} of {self.num_tasks} tasks"
        return f"RunResult({names}, seed {self.seed}, {done}, ACC {self.metrics.get('acc')})"


KEYS = tuple(field.alias or name for name, field in RunResult.model_fields.items())


def json_text(values: Mapping[str, Any]) -> str:
    """Writes the text of a result.json: its keys in the schema's order; numbers that are not finite become null."""
    ordered = {key: values[key] for key in (*KEYS, *values) if key in values}
    return json.dumps(_finite(ordered), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    """The value with every NaN and infinity replaced by None: JSON has no way to write them."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {message}" if place else message
