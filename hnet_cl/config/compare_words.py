"""The words of `python -m hnet_cl.compare` as those of the sweep that they are short for."""

import importlib.util
import os
from collections.abc import Sequence

from hnet_cl.config.arguments import NO_SWEEP, SWEEP

EXPERIMENT, SWEEPER, LAUNCHER = "experiment", "hydra/sweeper", "hydra/launcher"
NETWORKS = {"dataset=folder": "target=convnet"}  # images of one's own are mostly few, and an MLP for them is large
HELP = """\
usage: python -m hnet_cl.compare [CHOICE=NAME ...] [KEY=VALUE ...]

Trains several methods on one data set, three seeds each, and ends with their table and a report (tables as LaTeX,
Markdown, text and CSV, figures, and a page). It takes all words of python -m hnet_cl (--help lists them) and is short
for a sweep, whose command it prints; the same command again runs what is missing.

Examples
  python -m hnet_cl.compare dataset=mnist_5k
      a hypernetwork, fine-tuning, joint training, EWC and experience replay on digits, two new ones in each task
  python -m hnet_cl.compare dataset=cifar10 network=torchvision.models.resnet18 method=hnet,si seeds=5 device=cuda
      a network, methods and seeds of your choice
  python -m hnet_cl.compare benchmark=smnist scenario=cl1,cl2
      another sequence of tasks, in two scenarios"""


def sweep_words(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments of `python -m hnet_cl` that the arguments of a comparison stand for.

    What is typed comes before what is chosen; with --cfg and the like, which exclude a sweep, only the experiment and
    the network are chosen.
    """
    keys = [argument.partition("=")[0] for argument in arguments]
    words = [*arguments] if EXPERIMENT in keys else [f"{EXPERIMENT}=compare", *arguments]
    if not {"target", "network"} & {*keys}:
        words += [network for dataset, network in NETWORKS.items() if dataset in arguments]
    if any(key in NO_SWEEP for key in keys):
        return words
    words += [] if SWEEPER in keys else [f"{SWEEPER}=compare"]
    launcher = None if LAUNCHER in keys else launcher_for(arguments)
    words += [f"{LAUNCHER}={launcher}"] if launcher else []
    return words if SWEEP in keys or "-m" in keys else [*words, SWEEP]


def launcher_for(arguments: Sequence[str]) -> str | None:
    """Returns the launcher that fits the machine; None for one job after another.

    Runs on a GPU fill it side by side in one process, and those on processors run on all of them, if joblib is there.
    """
    if "device=cuda" in arguments:
        return "one_process"
    joblib = all(map(importlib.util.find_spec, ("joblib", "hydra_plugins")))
    return "local" if joblib and (os.cpu_count() or 1) > 1 else None
