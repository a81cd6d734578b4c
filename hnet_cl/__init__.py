"""Continual learning with hypernetworks: library and experiment runner.

`run`, `load`, `results` and `compare` are the door for programs and notebooks (see `hnet_cl.api`); they are imported
when they are first used, so that `import hnet_cl`, and `hnet_cl.hypernet` beside torch alone, need nothing else.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hnet_cl.api import compare, load, results, run

__version__ = "0.1.0"
__all__ = ["compare", "load", "results", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hnet_cl import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
