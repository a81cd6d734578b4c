"""Notes on the runs that are not averaged."""

from collections.abc import Sequence

from hnet_cl.report.labels import grouped
from hnet_cl.report.runs import Run, one_line
from hnet_cl.report.selection import Selection

Note = tuple[str, Sequence[tuple[str, str]]]
ALIKE = 3


def notes(selection: Selection) -> list[Note]:
    """Returns a note for each kind of run that is left out: their number, then each folder with the reason or state.

    Of more than `ALIKE` folders with the same reason only the first is named.
    """
    kinds = {
        "incomplete": [(run.folder, _progress(run)) for run in selection.incomplete],
        "failed": [(run.folder, _progress(run)) for run in selection.failed],
        "unreadable": [(found.folder, found.reason) for found in selection.unreadable],
        "repeated": [(run.folder, f"{_likeness(run, first)} as {first.folder}") for run, first in selection.repeats],
    }
    return [
        (
            f"{counted(len(found), kind)}, not averaged",
            _gathered([(one_line(str(folder)), one_line(text)) for folder, text in found]),
        )
        for kind, found in kinds.items()
        if found
    ]


def _gathered(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    lines = []
    for text, folders in grouped((text, folder) for folder, text in pairs).items():
        if len(folders) > ALIKE:
            folders = [f"{folders[0]} and {len(folders) - 1} more"]
        lines += [(folder, text) for folder in folders]
    return lines


def counted(number: int, kind: str) -> str:
    """Returns a number of runs in words, such as "2 failed runs"."""
    return f"{number} {kind} run{'' if number == 1 else 's'}"


def lines(notes: Sequence[Note]) -> list[str]:
    """Returns notes as lines of plain text."""
    return [
        line for heading, found in notes for line in (f"{heading}:", *(f"  {folder}: {text}" for folder, text in found))
    ]


def _likeness(run: Run, first: Run) -> str:
    if run.result.config_id == first.result.config_id:
        return "same configuration and seed"
    return "same seed and, but for what is ignored, configuration"


def _progress(run: Run) -> str:
    result = run.result
    done = f"{len(result.scores)} of {result.num_tasks} tasks" if result.num_tasks else "before its first task"
    why = result.error or ("running, or killed" if result.status == "running" else "")
    return f"{done}: {why}" if why else done
