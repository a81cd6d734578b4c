"""The settings of a search, checked."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError

from hnet_cl.core.errors import UserError
from hnet_cl.core.settings import Settings
from hnet_cl.core.suggest import nearest
from hnet_cl.records.metrics_table import of_a_run


class PruningSettings(Settings):
    """When a trial may be pruned; the settings are explained in conf/hydra/sweeper/optuna.yaml."""

    startup_trials: NonNegativeInt
    warmup_tasks: NonNegativeInt


class SearchSettings(Settings):
    """The settings of a search, explained in conf/hydra/sweeper/optuna.yaml."""

    metric: str
    direction: Literal["maximize", "minimize"]
    n_trials: PositiveInt
    batch: PositiveInt
    seed: NonNegativeInt
    startup_trials: NonNegativeInt
    pruning: PruningSettings | None
    heartbeat: PositiveInt
    storage: Annotated[str, Field(min_length=1)]
    study_name: str | None
    params: Mapping[str, Any]


NOT_SETTINGS = ("_target_", "trial", "label")  # keys of the sweeper that the search itself sets


def check_search(sweeper: DictConfig) -> SearchSettings:
    """Checks the settings in a sweeper's configuration.

    Raises:
        UserError: there are mistakes; the message has a line for each.
    """
    values: Any = OmegaConf.to_container(sweeper, resolve=True)
    try:
        settings = SearchSettings(**{key: value for key, value in values.items() if key not in NOT_SETTINGS})
    except ValidationError as error:
        raise UserError("\n".join(map(_line, error.errors()))) from error
    metrics = [metric.name for metric in of_a_run()]
    if settings.metric not in metrics:
        raise UserError(f"hydra.sweeper.metric={settings.metric}: no such metric{nearest(settings.metric, metrics)}")
    return settings


def _line(error: Any) -> str:
    key, message = ".".join(map(str, error["loc"])), error["msg"]
    return f"hydra.sweeper.{key}={error['input']}: {message[0].lower()}{message[1:]}"
