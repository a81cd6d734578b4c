"""Continual learning with hypernetworks: library and experiment runner.

`run`, `load`, `results` and `compare` are the interface for programs and notebooks (see `hnet_cl.api`). They are
imported on first use, so that `import hnet_cl` needs no other package, and `hnet_cl.hypernet` none but torch.
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
