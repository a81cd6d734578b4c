"""Checks that a benchmark and a dataset go together, before any data are read."""

import re
from pathlib import Path
from typing import Any

from hnet_cl.benchmarks.base import Benchmark
from hnet_cl.core.checks import attempt
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Dataset


def check_tasks(kind: type[Benchmark], checked: Any) -> None:
    """Refuses a benchmark and a dataset that are possible alone but not together.

    Args:
        kind: the benchmark's class.
        checked: the settings of a run, with those of the benchmark and of the chosen dataset.

    Raises:
        UserError: a dataset is missing, superfluous or of the wrong kind, or the benchmark cannot make its tasks of it.
    """
    name, chosen, base = checked.benchmark.name, checked.dataset, kind.made_of
    if base is None and chosen is not None:
        dataset = chosen.settings.name
        raise UserError(
            f"dataset={dataset}: benchmark={name.removesuffix(f'_{dataset}')} has data of its own; leave dataset out "
            f"(or derive {kind.__name__} from Protocol, if it makes tasks of a dataset)"
        )
    if base is not None and (chosen is None or not issubclass(chosen.kind, base)):
        found = "none is chosen" if chosen is None else f"dataset={chosen.settings.name} is none"
        whose = "a dataset" if base is Dataset else f"a dataset of the kind {base.__name__}"
        example = "mnist" if base is Dataset else base.__name__.lower()
        raise UserError(f"benchmark={name}: makes tasks of {whose}, and {found}; choose one, as dataset={example}")
    source = None
    if chosen is not None:
        at = f"dataset={chosen.settings.name}"
        source = attempt(at, "its constructor", chosen.make, Path())  # reads no files, so any folder will do
    if reason := attempt(f"benchmark={name}", "unsupported", kind.unsupported, checked.benchmark, source):
        raise UserError(re.sub(r"(?<![\w.=])(\w+)=", lambda key: _typed(key[1], checked), reason))


def _typed(name: str, checked: Any) -> str:
    """Returns a key of the benchmark as it is typed, with an equals sign; any other name as it is, with one too."""
    return f"{checked.benchmark.key(name) if name in type(checked.benchmark).model_fields else name}="
