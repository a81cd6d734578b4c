"""The schema of result.json, through which every tool reads results of all versions of hnet_cl."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from hnet_cl.core.regular_files import parse_json
from hnet_cl.core.scores import SCORES
from hnet_cl.records import metrics
from hnet_cl.records.metrics import WindowPoint

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 1  # version of result.json, in its key `schema`; older files have no such key
SHOWN_NAME, SHOWN_OVERRIDE = 200, 2000  # characters; longer texts would make tables unreadable

Status = Literal["running", "interrupted", "finished", "failed"]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Number = int | float
Size = Annotated[int, Field(ge=1, le=1_000_000)]
Name = Annotated[str, Field(max_length=255)]  # the longest name that a file can have


class TooNewError(ValueError):
    """A result.json that a newer version of hnet_cl wrote."""


class _Part(BaseModel):
    """Base of the parts of a result: known keys have strict types; unknown ones, of other versions, are kept."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)


class Data(_Part):
    """The data that were used; see `hnet_cl.datasets.identity.DataIdentity`.

    `fixed` and `stand_in` are None in results of early versions, which did not write them.
    """

    name: Name
    source: str = ""
    checksum: Name
    fixed: bool | None = None
    stand_in: bool | None = None


class TaskNames(_Part):
    """The name of a task and the names of its classes, in the order of their labels."""

    name: str
    classes: Annotated[list[str], Field(min_length=1, max_length=100_000)]


class Point(_Part):
    """Scores on old tasks in the middle of a task; see `hnet_cl.records.metrics.WindowPoint`."""

    task: Count
    iteration: Count
    scores: list[NonNegative]


class RunResult(_Part, Mapping[str, Any]):
    """The contents of a result.json: a mapping of the keys in the file; known keys are attributes, too.

    Where an older version did not write a key, the attribute has its default and the mapping lacks the key.
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
    num_tasks: Count  # 0: the run failed before the tasks were known
    tasks_done: Count = 0
    score: Literal["accuracy", "mse", "nmse"] = "accuracy"
    accuracy_matrix: list[list[Fraction | None]] = []  # exactly the one of the three that `score` names is there
    mse_matrix: list[list[NonNegative | None]] = []
    nmse_matrix: list[list[NonNegative | None]] = []
    inferred_tasks: list[list[Count]] | None = None
    certified_matrix: list[list[Fraction | None]] = []
    window: list[Point] = []
    metrics: dict[str, Number | None] = {}
    iterations: Count = 0
    wall_time_s: Number = 0.0
    train_time_s: Number = 0.0
    peak_memory_mb: Number = 0.0
    memory_bytes: dict[str, Annotated[Number, Field(ge=0)] | None] | None = None
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
        """Parses the contents of a result.json; `folder` is its run folder.

        Raises:
            TooNewError: a newer version of hnet_cl wrote it.
            ValueError: it is not a result of hnet_cl; the message says why, in one line.
        """
        raw = parse_json(content)
        if not isinstance(raw, dict):
            raise ValueError("not a JSON object")
        schema = raw.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise TooNewError(
                f"was made by a newer version of hnet_cl (schema {schema}, known up to {SCHEMA}); update hnet_cl"
            )
        try:
            result = cls.model_validate(raw)
        except ValidationError as error:
            raise ValueError(_reason(error)) from error
        result._folder = folder
        return result

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        tasks, rows, key = self.num_tasks, self.scores, SCORES[self.score].matrix
        if key not in self.model_fields_set:
            raise ValueError(f"{key}: field required")
        if len(rows) > tasks or any(len(row) != tasks for row in rows):
            raise ValueError(f"{key}: not up to {tasks} rows of {tasks} tasks each")
        inferred = self.inferred_tasks
        if inferred is not None and (len(inferred) != tasks or any(len(row) != tasks for row in inferred)):
            raise ValueError(f"inferred_tasks: not {tasks} rows of {tasks} tasks each")
        certified = self.certified_matrix
        if len(certified) not in (0, len(rows)) or any(len(row) != tasks for row in certified):
            raise ValueError(f"certified_matrix: neither empty nor {len(rows)} rows of {tasks} tasks each")
        metrics.acc(certified)  # raises ValueError if an entry is missing
        places = [(point.task, point.iteration) for point in self.window]
        if any(later <= earlier for earlier, later in itertools.pairwise(places)):
            raise ValueError("window: not in the order in which tests are made")
        most = 1 if SCORES[self.score].higher_is_better else math.inf
        for point in self.window:
            if not 0 < point.task < tasks or len(point.scores) != point.task or max(point.scores) > most:
                raise ValueError(f"window: not one {self.score} for each task before task {point.task}, of {tasks}")
        if self.status == "finished":
            if len(rows) < tasks:
                raise ValueError(f"finished, but {key} has {len(rows)} of {tasks} rows")
            if not tasks:
                raise ValueError("finished without a task")
            metrics.acc(rows)  # raises ValueError if an entry is missing, as in a run whose outputs were NaN
        return self

    def require_short(self) -> None:
        """Refuses results with texts that are too long to show in a table; call it before showing any.

        Raises:
            ValueError: an override, or the name of a task or class, is too long.
        """
        texts = [(f"overrides.{number}", text, SHOWN_OVERRIDE) for number, text in enumerate(self.overrides)]
        for number, task in enumerate(self.tasks):
            texts += [(f"tasks.{number}", text, SHOWN_NAME) for text in (task.name, *task.classes)]
        for key, text, limit in texts:
            if len(text) > limit:
                raise ValueError(f"has a text that is too long to show: {key}, of at most {limit} characters")

    @property
    def folder(self) -> Path:
        """Returns the run folder from which the result was read."""
        return self._folder

    @property
    def scores(self) -> list[list[float | None]]:
        """Returns the finished rows of the matrix of scores."""
        rows: list[list[float | None]] = getattr(self, SCORES[self.score].matrix)
        return rows

    @property
    def points(self) -> list[WindowPoint]:
        """Returns the tests of old tasks in the middle of tasks, in the order in which they were made."""
        return [WindowPoint(point.task, point.iteration, point.scores) for point in self.window]

    @property
    def matrix(self) -> "np.ndarray":
        """Returns the matrix of scores (tasks done, T), NaN where a task was not evaluated."""
        import numpy as np

        rows = [[math.nan if value is None else value for value in row] for row in self.scores]
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
        done = f"{self.status}, {len(self.scores)} of {self.num_tasks} tasks"
        main = SCORES[self.score].main
        return f"RunResult({names}, seed {self.seed}, {done}, {main.upper()} {self.metrics.get(main)})"


KEYS = tuple(field.alias or name for name, field in RunResult.model_fields.items())


def json_text(values: Mapping[str, Any]) -> str:
    """Returns the text of a result.json, its keys in the schema's order; NaN and infinity become null."""
    ordered = {key: values[key] for key in (*KEYS, *values) if key in values}
    return json.dumps(_finite(ordered), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    """Returns the value with every NaN and infinity replaced by None, because JSON cannot represent them."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _reason(error: ValidationError) -> str:
    missing = [".".join(map(str, one["loc"])) for one in error.errors() if one["type"] == "missing"]
    if missing:
        return f"no {', '.join(missing)}"
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {message}" if place else message
