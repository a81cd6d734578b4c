"""The text of --help: every group's choices, the other keys, and examples."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from hnet_cl.config.conf_files import choices, conf_dir, own_folders
from hnet_cl.config.key_comments import NO_KEYS, WIDTH, chosen, explained
from hnet_cl.core.errors import UserError
from hnet_cl.core.suggest import nearest

GROUPS = (
    *("benchmark", "dataset", "scenario", "method", "method/task_inference", "target", "optimizer", "lr_scheduler"),
    *("schedule", "device", "logger", "experiment", "hydra/sweeper", "hydra/launcher"),
)
PARTS = ("method/generator", "method/regularizer", "method/buffer")  # groups below a method besides these
INNER = tuple(group for group in (*GROUPS, *PARTS) if "/" in group)  # typed with a slash
HYDRAS = {"hydra/launcher": {"basic": "One job after another (default)"}}  # choices that come with Hydra

LONGEST_NAME = 16  # of a choice that has its line beside it

START = """\
hnet_cl: continual learning with hypernetworks

usage: python -m hnet_cl [CHOICE=NAME ...] [KEY=VALUE ...]
"""

END = """\
Keys worth knowing (all of them: --cfg job --resolve)
  seed=N                 initialisation and order of batches
  seeds=N                seeds 1 to N, or from a given seed on, side by side in
                         one process (for device=cuda)
  preset=B/M             hyperparameters of method M on benchmark B, taken by
                         themselves; preset=none: the method's own
  training.iterations=N  training steps per task (or training.epochs=N; the
                         other must be null)
  benchmark.num_tasks=N  length of the sequence
  extends=N              go on from the finished run of N tasks, with a larger
                         benchmark.num_tasks
  data_dir=DIR           where data files lie or are put
  output_dir=DIR         where run folders are put
  fresh=true             start from scratch although the run's folder holds
                         results
  debug=true             show tracebacks of errors

Examples
  python -m hnet_cl
      a hypernetwork learns five permuted-digit tasks in less than a minute
  python -m hnet_cl benchmark=smnist method=hnet,finetune,scratch seed=1,2,3 -m
      nine runs: three methods with three seeds each on split MNIST;
      hydra/launcher=local runs them side by side
  python -m hnet_cl benchmark=pmnist method.strength=0.05 --cfg job --resolve
      print the complete configuration of a run instead of running it

The keys of a choice, with what they mean: python -m hnet_cl method=ewc --help
More: --hydra-help (flags of Hydra), --config-dir DIR (adds a folder of your own
yaml groups)
A finished run classifies your images: python -m hnet_cl.predict --help
How its networks do all over the plane of task embeddings:
python -m hnet_cl.plane --help
What tasks a benchmark has, without training: python -m hnet_cl.data --help"""


def help_text(arguments: Sequence[str]) -> str:
    """Returns the help text, with the choices of the shipped configuration and of any `--config-dir` argument.

    Where choices are typed, it is on the keys of these alone.

    Raises:
        UserError: there is no such choice.
    """
    folders = [conf_dir(), *own_folders(arguments)]
    if typed := chosen(arguments, (*GROUPS, *PARTS)):
        return "\n\n".join(_of_choice(group, name, folders) for group, name in typed)
    parts = [START]
    for group in GROUPS:
        own = {name: line for folder in folders for name, line in choices(folder, group).items()}
        found = HYDRAS.get(group, {}) | own
        width = min(max(map(len, found)), LONGEST_NAME)
        indent = len(f"  {group}=") + width + 2
        lines = [_beside(f"  {group}={name}", line, indent) for name, line in found.items()]
        parts.append("\n".join([f"{group}", *lines, ""]))
    return "\n".join([*parts, END])


def _beside(start: str, line: str, indent: int) -> str:
    """Returns a line in a column of its own beside what it is about, wrapped; in the next line if that is too long."""
    beside = len(start) + 2 <= indent
    column = " " * indent
    first = f"{start:<{indent}}" if beside else column
    text = textwrap.fill(line, WIDTH, initial_indent=first, subsequent_indent=column, break_on_hyphens=False)
    return (text if beside else f"{start}\n{text}").rstrip()


def _of_choice(group: str, name: str, folders: Sequence[Path]) -> str:
    lines = {name: line for folder in folders for name, line in choices(folder, group).items()}
    if name in HYDRAS.get(group, {}):
        return f"{group}={name}  {HYDRAS[group][name]}\n\n  {NO_KEYS}"
    if name not in lines:
        raise UserError(f"{group}={name}: no such choice{nearest(name, sorted(lines))}")
    files = {name: folder / group / f"{name}.yaml" for folder in folders for name in choices(folder, group)}
    return f"{group}={name}  {lines[name]}\n\n{explained(group, name, files)}"
