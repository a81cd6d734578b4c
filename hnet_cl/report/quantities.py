"""What can be compared: metrics, and everything else of a run that is a number."""

from collections.abc import Iterable, Mapping, Sequence

from hnet_cl.core.errors import UserError
from hnet_cl.core.suggest import nearest
from hnet_cl.records.metrics_table import METRICS, Quantity
from hnet_cl.report.runs import Run


def quantities(
    names: Sequence[str] | None, usual: Sequence[str], runs: Iterable[Run], cures: Mapping[str, str]
) -> list[Quantity]:
    """The quantities of these names, or without names the `usual` metrics.

    Args:
        names: of metrics, or of anything that is a number; None: the usual ones.
        usual: names of metrics.
        runs: finished ones.
        cures: for metrics that no run may have, what to do.

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
