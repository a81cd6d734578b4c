"""Experiments from Python: run one, load its trained learner, tabulate and compare many.

Examples:
    >>> from hnet_cl import run, load, results, compare
    >>> result = run("benchmark=toy", "method=hnet", seed=2)
    >>> load(result.folder).generated(task=1).keys()
    >>> results("outputs")[["method", "seed", "acc"]]
    >>> compare("outputs", metric="acc,bwt")
    >>> compare(X, y, network=MyNet, methods=["hnet", "ewc"])

Mistakes raise `hnet_cl.core.errors.UserError`, with the message that the command line prints.
"""

import logging
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnet_cl.core.errors import Interrupted, OccupiedError, UserError, described

if TYPE_CHECKING:
    import pandas as pd

    from hnet_cl.config.composing import Job
    from hnet_cl.predict.learner import TrainedLearner
    from hnet_cl.records.run_result import RunResult
    from hnet_cl.report.comparison import Comparison

Folder = str | PathLike[str]
LOG_FORMAT = "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"  # Hydra's


def run(*overrides: str, config_dir: Folder | None = None, **keys: Any) -> "RunResult":
    """Runs one experiment, as `python -m hnet_cl` does, and prints its progress and results.

    The same call again returns the result of the finished run, and continues an interrupted one. Torch's number of
    threads is restored afterwards; denormal numbers remain flushed to zero (`torch.set_flush_denormal`).

    Args:
        overrides: KEY=VALUE as on the command line, e.g. "benchmark=smnist".
        config_dir: a folder of yaml groups of your own, as for `--config-dir`.
        keys: more overrides, with Python values, e.g. seed=1 or **{"training.lr": 0.001}; these come last.

    Returns:
        The contents of result.json, with `.matrix`, the accuracy matrix (tasks done, T), and `.folder`.

    Raises:
        UserError: a mistake that you can mend; the message has one line for each.
        KeyboardInterrupt: Ctrl-C; progress is saved first.
    """
    return _run_words(overrides, config_dir, keys)


def _run_words(
    overrides: Sequence[str], config_dir: Folder | None, keys: Mapping[str, Any], label: str = ""
) -> "RunResult":
    """Does what `run` does; with a `label`, few lines are printed, which begin with it."""
    from hnet_cl.config.composing import as_override, compose_job

    words = [*overrides, *(as_override(key, value) for key, value in keys.items())]
    own = None if config_dir is None else Path(config_dir).expanduser()
    job = compose_job(words, own)
    flags = [] if own is None else [f"--config-dir={own}"]
    try:
        return _run(job, shlex.join(["python", "-m", "hnet_cl", *flags, *words]), label)
    except Interrupted as reason:  # the program's own handlers are in place again only here
        signal.raise_signal(reason.signum)
        raise


def _run(job: "Job", command: str, label: str) -> "RunResult":
    import torch
    from rich.console import Console

    from hnet_cl.config.check import check
    from hnet_cl.config.check_processes import check_processes
    from hnet_cl.config.messages import explain
    from hnet_cl.core.processes import place
    from hnet_cl.core.signals import interruption
    from hnet_cl.extending import require_former
    from hnet_cl.recording import Request, RunContext
    from hnet_cl.records.failure import record_failure
    from hnet_cl.records.run_folder import earlier_result
    from hnet_cl.single_run import exhaust, run_cooperatively

    threads = torch.get_num_threads()
    try:
        check_processes(check(job.settings), place())  # before anything is written
        if earlier_result(job.folder, job.settings) is None:
            require_former(job.settings)
        with interruption() as signals, _logged(job.folder):
            request = Request(job.overrides, lambda: job.setup, job.preset, job.target, command)
            context = RunContext(Console(), signals, label=label)
            return exhaust(run_cooperatively(job.settings, job.folder, request, context))
    except Exception as error:
        mendable = isinstance(error, UserError | OSError)
        line = explain(error, job.overrides) if mendable else described(error)
        if not isinstance(error, OccupiedError) and job.folder.exists():
            record_failure(job.folder, job.settings, job.overrides, line, command)
        if isinstance(error, OSError):
            raise UserError(line) from error
        if mendable:
            raise type(error)(line) from error
        raise
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _logged(folder: Path) -> Iterator[None]:
    """Writes warnings also to the run's log while inside."""
    from hnet_cl.records.run_folder import LOG

    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / LOG, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    logger = logging.getLogger("hnet_cl")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def load(folder: Folder, *, device: str = "cpu", trust: str | Sequence[str] = ()) -> "TrainedLearner":
    """Loads the learner of a finished run from its folder alone.

    Args:
        folder: a run folder, or the result.json in it. It may come from an untrusted source: nothing in it is executed.
        device: cpu or cuda, no matter which of them the run used.
        trust: packages or modules besides hnet_cl whose classes it may use; importing them runs their code.

    Raises:
        UserError: it is not the folder of a finished run, its files are damaged, or it needs classes not in `trust`.
    """
    from hnet_cl.predict.learner import TrainedLearner
    from hnet_cl.predict.trained import load as load_trained

    if device not in ("cpu", "cuda"):
        raise UserError(f"device={device}: give cpu or cuda")
    trusted = trust.split(",") if isinstance(trust, str) else list(trust)
    return TrainedLearner(load_trained(Path(folder).expanduser(), device, [package for package in trusted if package]))


def results(*folders: Folder) -> "pd.DataFrame":
    """Returns a table of all runs below some folders (`outputs` if none is given), one row for each.

    Its columns are `status`, `benchmark`, `scenario`, `method`, `seed`, `config_id` and `data`, all metrics that any
    run has (fractions), all settings under their dotted keys, and at the end `error`, `folder` and `matrix`, the
    accuracy matrix (tasks done, T). Unfinished and failed runs are included; unreadable ones are left out, with a
    warning.

    Raises:
        UserError: a folder is not there, or none holds a run.
    """
    from hnet_cl.report.frames import frame_of_runs

    return frame_of_runs(_paths(folders))


def compare(
    *given: Any,
    network: Any = None,
    methods: str | Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    rows: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    metric: str | Sequence[str] | None = None,
    where: str | Sequence[str] = (),
    ignore: str | Sequence[str] = (),
    ci: bool = False,
    **keys: Any,
) -> "Comparison":
    """Compares the finished runs below some folders (`outputs` if none is given), as `python -m hnet_cl.report` does.

    Given arrays, or `network`, `methods`, `seeds` or `keys`, it first trains, in this process, what
    `python -m hnet_cl.compare` trains, and compares these runs alone. The same call again trains what is missing.

    Args:
        given: folders where runs are, at any depth; or examples (n, ...) and their labels (n,), arrays or tensors,
            which are written to `output_dir` as `dataset=arrays` takes them.
        network: a class derived from `torch.nn.Module`, a function that returns one, the dotted path of either, or a
            network, at whose weights methods with a network of their own start.
        methods: names, as a list or separated by commas; by default those of that command.
        seeds: how many, from 1 on, or which; by default those of that command.
        rows: keys whose values make the rows ("method" if not given); a list, or separated by commas.
        columns: the same for columns ("scenario"); "metric" puts metrics side by side.
        metric: what is compared ("acc").
        where: only runs that meet these conditions, KEY=VALUE or KEY=VALUE,VALUE.
        ignore: average over runs that differ in these keys only.
        ci: whether texts show 95 % confidence intervals (Student's t) instead of standard errors.
        keys: settings of the runs and `config_dir`, as for `run`.

    Returns:
        A comparison: `.frame` has every cell in full precision, `str()` and `.markdown()` the tables.

    Raises:
        UserError: a folder is not there, no run is left, a key or metric is unknown, or what `run` raises it for.
    """
    from hnet_cl.report.comparison import Choice, compare_runs

    conditions = [where] if isinstance(where, str) else list(where)
    choice = Choice(_keys(rows), _keys(columns), _keys(metric), conditions, _keys(ignore) or [], ci)
    folders = all(isinstance(one, str | PathLike) for one in given)
    if folders and not keys and all(one is None for one in (network, methods, seeds)):
        return compare_runs(_paths(given), choice)
    if given and (folders or len(given) != 2):
        raise UserError("compare: give folders alone, or two arrays, examples and their labels, and what to train")
    return compare_runs(_trained(given, network, _keys(methods), seeds, keys), choice)


def _trained(
    arrays: Sequence[Any],
    network: Any,
    methods: Sequence[str] | None,
    seeds: int | Sequence[int] | None,
    keys: Mapping[str, Any],
) -> list[Path]:
    """Runs every method with every seed, where they are not finished; returns the run folders."""
    from hnet_cl.config.composing import swept_by
    from hnet_cl.in_memory import network_path, write_arrays

    words: dict[str, Any] = {"experiment": "compare"}
    if arrays:
        inputs, labels = arrays
        root = write_arrays(inputs, labels, Path(keys.get("output_dir", "outputs")).expanduser())
        words |= {"dataset": "arrays", "dataset.root": root}
    if network is not None:
        words["network"] = network_path(network)
    usual = swept_by("compare")
    chosen = range(1, seeds + 1) if isinstance(seeds, int) else seeds or usual["seed"]
    own = {**words, **keys}
    config_dir = own.pop("config_dir", None)
    return [
        _run_words([], config_dir, {**own, "method": method, "seed": seed}, f"method={method} seed={seed}").folder
        for method in methods or usual["method"]
        for seed in chosen
    ]


def _paths(folders: Sequence[Folder]) -> list[Path]:
    return [Path(folder).expanduser() for folder in folders or ("outputs",)]


def _keys(given: str | Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None
    return [part for part in given.split(",") if part] if isinstance(given, str) else list(given)
