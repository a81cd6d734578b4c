"""The console output of a run before it trains."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from weakref import WeakKeyDictionary

from rich.console import Console

from hnet_cl.records.run_folder import RESULT

_said_by_jobs: WeakKeyDictionary[IO[str], set[str]] = WeakKeyDictionary()  # lines on what was chosen, by stream


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

    A job of a sweep prints only the latter: each line once among the jobs that write to the same stream, and none if a
    run of its configuration has begun before.

    Args:
        facts: `method`, `benchmark`, `preset` and `parameters` as in result.json.
        data: one line on the data.
        choices: one line for each automatic choice.
        folder: the run folder; those of other seeds are beside it.
        label: what the lines of a job begin with; empty for a run of its own.
        console: where to write.
    """
    preset, sizes = facts["preset"], facts["parameters"]
    origin = f"preset {preset}" if preset else "the method's own defaults"
    lines = [
        f"Hyperparameters of {facts['method']} on {facts['benchmark']}: {origin}.",
        _sizes(sizes),
        data,
    ]
    begun = any(folder.parent.glob(f"*/{RESULT}"))
    if not label:
        lines += choices
    else:
        said = _said_by_jobs.setdefault(console.file, set())
        lines = [] if begun else [line for line in choices if line not in said]
        said.update(lines)
    for line in lines:
        say(line, label, console)


def _sizes(sizes: Mapping[str, float | None]) -> str:
    """Returns the line on the sizes of networks: without a hypernetwork nothing is compressed."""
    target, trainable = sizes["target"], sizes["trainable"]
    if sizes["generated"] is not None:
        ratio = f"compression ratio {sizes['compression_ratio']:.3g}"
        return f"Sizes: target network {target:,} weights, {trainable:,} trainable in all ({ratio})."
    return f"Sizes: network {target:,} weights{'' if trainable == target else f', {trainable:,} trainable in all'}."
