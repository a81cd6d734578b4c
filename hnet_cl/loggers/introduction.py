"""The console output of a run before it trains."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from hnet_cl.records.run_folder import RESULT


def say(line: str, label: str, console: Console, style: str = "dim") -> None:
    """Prints one line, behind the label if there is one; it is never wrapped."""
    text = f"{label}: {line}" if label else line
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def say_what_is_done(line: str, label: str, console: Console) -> None:
    """Prints one line on what begins, but nothing for a job of a sweep, which has a label."""
    if not label:
        say(line, label, console)


def print_introduction(
    facts: Mapping[str, Any], data: str, choices: Sequence[str], folder: Path, label: str, console: Console
) -> None:
    """Prints where the method's settings come from, the sizes of networks and data, and what was chosen for the user.

    A job of a sweep prints only the latter, and only if none of its configuration has begun before.

    Args:
        facts: `method`, `benchmark`, `preset` and `parameters` as in result.json.
        data: one line on the data.
        choices: one line for each automatic choice.
        folder: the run folder; those of other seeds are beside it.
        label: what the lines of a job begin with; empty for a run of its own.
        console: where to write.
    """
    preset, sizes = facts["preset"], facts["parameters"]
    ratio = f"compression ratio {sizes['compression_ratio']:.3g}"
    origin = f"preset {preset}" if preset else "the method's own defaults"
    lines = [
        f"Hyperparameters of {facts['method']} on {facts['benchmark']}: {origin}.",
        f"Sizes: target network {sizes['target']:,} weights, {sizes['trainable']:,} trainable in all ({ratio}).",
        data,
    ]
    begun = any(folder.parent.glob(f"*/{RESULT}"))
    for line in [*([] if label else lines), *([] if label and begun else choices)]:
        say(line, label, console)
