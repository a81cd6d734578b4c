"""The summary that a sweep prints at its end."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hnet_cl.config.arguments import is_set
from hnet_cl.core.plain_text import duration
from hnet_cl.records.run_folder import EMBEDDED_DIGITS, STAND_IN_WARNING
from hnet_cl.sweeps.errors import SweepError
from hnet_cl.sweeps.jobs import Outcome

BUSY = "being worked on by another process"
ALIKE = 3
ORDER = ("finished", "finished earlier", "pruned", BUSY, "failed")


def conclude(outcomes: Sequence[Outcome], took_s: float) -> None:
    """Prints a summary of the jobs, if there are any: counts, and the failed ones with overrides, error and folder.

    Args:
        outcomes: how the jobs ended.
        took_s: how long all of them took, in seconds.

    Raises:
        SweepError: a job failed.
    """
    if not outcomes:
        return
    sys.stdout.flush()
    failed = any(outcome.status == "failed" for outcome in outcomes)
    print(f"\n{summary(outcomes, took_s)}", file=sys.stderr if failed else sys.stdout, flush=True)
    if failed:
        raise SweepError


def summary(outcomes: Sequence[Outcome], took_s: float) -> str:
    """Returns a text with counts, time and data, the overrides, error and folder of failed jobs, and a remedy.

    Of more than `ALIKE` jobs that failed alike only the first is named.
    """
    names = {"busy": BUSY}
    counts = Counter(
        "finished earlier" if outcome.earlier else names.get(outcome.status, outcome.status) for outcome in outcomes
    )
    numbers = ", ".join(f"{count} {what}" for what in ORDER if (count := counts[what]))
    lines = [f"{len(outcomes)} jobs: {numbers}", f"Time: {duration(took_s)}."]
    if stand_ins := Counter(outcome.stand_in for outcome in outcomes if outcome.stand_in):
        counted = ", ".join(f"{count} on {name}" for name, count in stand_ins.items())
        lines.append(f"Not on the data that were asked for, but on a stand-in: {counted}.")
    if any(outcome.data.startswith(EMBEDDED_DIGITS) for outcome in outcomes):
        lines.append(STAND_IN_WARNING)
    alike: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            alike.setdefault(outcome.error, []).append(outcome)
    for error, failed in alike.items():
        more = f" and {len(failed) - 1} more" if len(failed) > ALIKE else ""
        for outcome in failed[:1] if more else failed:
            lines += [
                f"failed: {' '.join(outcome.overrides)}{more}",
                *(f"  {line}" for line in error.splitlines()),
                f"  {outcome.folder or 'no folder'}{more}",
            ]
    if counts["failed"]:
        without = " without fresh=true" if any(is_set("fresh", outcome.overrides) for outcome in outcomes) else ""
        lines.append(f"The same command again{without} runs only what is missing or failed.")
    return "\n".join(lines)


def finished_folders(outcomes: Sequence[Outcome]) -> list[Path]:
    """Returns the run folders of the jobs that are finished."""
    return [outcome.folder for outcome in outcomes if outcome.status == "finished" and outcome.folder]
