"""A run's entry in TensorBoard's table of runs (hparams)."""

from collections.abc import Collection, Iterator, Mapping

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

Shown = bool | float | str


def entry(settings: Mapping[str, Shown], first: Collection[str], scores: Collection[str]) -> Iterator[Summary]:
    """Yields the events that make up the entry of a finished run.

    TensorBoard takes the columns of the whole table from the entry of one of its runs, so `first` and `scores` may have
    names that this run has no value for. It shows the first five settings, sorted by name with those that differ
    between runs before all others, and the first five scores.

    Args:
        settings: values by name.
        first: names of the settings that the table opens with. They are marked as differing.
        scores: names of the curves whose last points are shown, in this order.
    """
    columns = [_column(name, settings.get(name), name in first) for name in dict.fromkeys((*first, *settings))]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in scores]
    experiment = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics)
    start = SessionStartInfo()
    for name, value in settings.items():
        kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        setattr(start.hparams[name], f"{kind}_value", value)
    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
    yield _summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))
    yield _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))
    yield _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _column(name: str, value: Shown | None, differs: bool) -> api_pb2.HParamInfo:
    """Describes a setting; one without a value here is a number in other runs."""
    column = api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_FLOAT64, differs=differs)
    if isinstance(value, bool):
        column.type = api_pb2.DATA_TYPE_BOOL
        column.domain_discrete.extend([False, True])
    elif isinstance(value, str):
        column.type = api_pb2.DATA_TYPE_STRING
    return column


def _summary(tag: str, content: HParamsPluginData) -> Summary:
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content))])
