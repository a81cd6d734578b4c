"""The quantities that can be compared: metrics, and any other number of a run."""

from collections.abc import Iterable, Mapping, Sequence

from hnet_cl.core.errors import UserError
from hnet_cl.core.suggest import nearest
from hnet_cl.records.metrics_table import METRICS, Quantity
from hnet_cl.report.runs import Run


def quantities(
    names: Sequence[str] | None, usual: Sequence[str], runs: Iterable[Run], cures: Mapping[str, str]
) -> list[Quantity]:
    """Returns the quantities of the given names, or the `usual` metrics if `names` is None.

    Args:
        names: names of metrics or of other numbers of runs.
        usual: names of metrics.
        runs: the finished runs; if there are none, names are not checked.
        cures: how to obtain a metric that no run may have, by its name.

    Raises:
        UserError: no run has a number of one of the names.
    """
    if names is None:
        return [METRICS[name] for name in usual]
    known = {name for run in runs for name in run.metrics}
    for name in names:
        if known and name not in known:
            needs = METRICS[name].needs if name in METRICS else ""
            reason = f"; it is {needs}" if needs else nearest(name, sorted(known))
            reason += f": {cures[name]}" if name in cures else ""
            raise UserError(f"--metric {name}: no finished run has it{reason}")
    return [METRICS.get(name, Quantity(name, name, "", "")) for name in names]
