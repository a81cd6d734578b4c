"""Whether a benchmark and a dataset go together, before anything of it is read."""

import re
from pathlib import Path
from typing import Any

from hnet_cl.benchmarks.base import Benchmark
from hnet_cl.core.checks import attempt
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Dataset


def check_tasks(kind: type[Benchmark], checked: Any) -> None:
    """Checks what benchmark and dataset allow alone but not with the other.

    Args:
        kind: the benchmark's class.
        checked: the settings of a run, which have the benchmark's and the chosen dataset.

    Raises:
        UserError: a dataset is missing or of no use, or has no such tasks.
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
        source = attempt(at, "its constructor", chosen.make, Path())  # from the settings alone
    if reason := attempt(f"benchmark={name}", "unsupported", kind.unsupported, checked.benchmark, source):
        raise UserError(re.sub(r"(?<![\w.=])(\w+)=", lambda key: _typed(key[1], checked), reason))


def _typed(name: str, checked: Any) -> str:
    """A key of the benchmark as typed, with its equals sign; whatever else stands before one as it is."""
    return f"{checked.benchmark.key(name) if name in type(checked.benchmark).model_fields else name}="
