"""Lets Hydra compose the configuration of a run once instead of twice, most of what happens before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hydra._internal.hydra as hydra_main
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig

MODE = "hydra.mode=RUN"  # what Hydra adds to the overrides of a command that says nothing of it


@contextmanager
def composed_once() -> Iterator[None]:
    """Inside, Hydra's main program composes a run once.

    By itself it composes every command a first time only to read `hydra.mode`, and then again for the run or the sweep.
    """
    usual = hydra_main.Hydra
    hydra_main.Hydra = _ComposingOnce  # type: ignore[misc]
    try:
        yield
    finally:
        hydra_main.Hydra = usual  # type: ignore[misc]


class _Loader(ConfigLoaderImpl):
    """Hydra's loader of configurations, which may have one of them ready."""

    def __init__(self, like: ConfigLoader) -> None:
        super().__init__(like.get_search_path())
        self.ready: dict[tuple[Any, ...], DictConfig | Exception] = {}

    def load_configuration(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, *arguments: Any, **keywords: Any
    ) -> DictConfig:
        """Returns what is ready for these arguments, once, or raises it if it is an error, or else composes."""
        ready = self.ready.pop((config_name, *overrides, run_mode), None)
        if isinstance(ready, Exception):
            raise ready
        if ready is not None:
            return ready
        return super().load_configuration(config_name, overrides, run_mode, *arguments, **keywords)


class _ComposingOnce(hydra_main.Hydra):
    def __init__(self, task_name: str, config_loader: ConfigLoader) -> None:
        self._loader = _Loader(config_loader)
        super().__init__(task_name, self._loader)

    def get_mode(self, config_name: str | None, overrides: list[str]) -> Any:
        """Reads `hydra.mode` from the configuration of a run, which is kept for it; else, Hydra reads it."""
        found: DictConfig | Exception
        try:
            found = self.compose_config(config_name, overrides, run_mode=RunMode.RUN)
            mode = found.hydra.mode
        except Exception as error:
            found, mode = error, super().get_mode(config_name, overrides)
        if mode is None:
            if isinstance(found, DictConfig):
                found.hydra.mode = RunMode.RUN
                found.hydra.overrides.hydra.append(MODE)
            self._loader.ready = {(config_name, *overrides, MODE, RunMode.RUN): found}
        return mode
