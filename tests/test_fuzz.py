"""Command lines of real keys and hostile values: whatever is typed runs, or is refused in a line for each mistake."""

import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from in_process import Ended, command, left
from omegaconf import OmegaConf
from processes import start

import hnet_cl.config.resolvers  # noqa: F401  (the yaml files ask for them)
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS

SEED = 15
NASTY = [
    *("", "null", "true", "~", "-1", "0", "1e999", "nan", "inf", "-0.0", "1_000", "0x10", "9" * 30, "é😀", "x" * 5000),
    *(
        "[1,2]",
        "[]",
        "{a:1}",
        "{}",
        "[[[[]]]]",
        "[{a:[1]}]",
        "a=b",
        "=",
        "a b",
        "'a b'",
        "'",
        '"',
        "\\\\",
        "a\nb",
        "\x1b[31m",
    ),
    *(
        "${seed}",
        "${nope}",
        "${",
        "${oc.env:NOPE}",
        "${oc.env:HOME}",
        "${for_scenario:{}}",
        "${a${b}}",
        "$",
        "%s",
        "{}{}",
    ),
    *("1,2", "1,1", ",", "choice(1,x)", "range(3)", "range(1,0)", "interval(0,1)", "glob(*)", "shuffle(1,2)", "int(x)"),
    *(
        "../x",
        "a/b",
        "/",
        ".",
        "..",
        "-m",
        "--cfg",
        "@",
        "a@b",
        ":",
        "?",
        "???",
        "!!python/object:os.system",
        "true,null",
    ),
]
PREFIXES = [*[""] * 12, "+", "++", "~"]
FLAGS = [
    *(["-m"], ["--multirun"], ["--cfg", "job"], ["--cfg=all", "--resolve"], ["--info"], ["--info=config"], ["--nope"]),
    *(
        ["--config-dir", "."],
        ["--config-dir", "nope"],
        ["-cn", "nope"],
        ["-cp", "nope"],
        ["--multirun=x"],
        ["--resolve"],
    ),
    *(["--package", "method", "--cfg", "job"], ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2"]),
]

HYDRAS = [
    *("hydra.verbose", "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.job.name", "hydra.job.chdir"),
    *("hydra.output_subdir", "hydra.mode", "hydra.callbacks", "hydra.searchpath", "hydra.job_logging", "hydra.job.num"),
    *("hydra.launcher", "hydra.sweeper", "hydra.sweeper.params", "hydra.sweeper.max_batch_size", "hydra", "hydra.run"),
]


def keys(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """Every key that some method has, with a value of its own, and keys of Hydra."""
    found: dict[str, Any] = {}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for method in ("hnet_tir", "hnet_r", "ewc", "si", "dgr"):
            whole = OmegaConf.to_container(compose("config", [f"method={method}", "benchmark=toy"]), resolve=True)
            found |= dict(keys(whole))
    return {**found, **dict.fromkeys(HYDRAS, "x")}


def argument(draw: random.Random, known: dict[str, Any]) -> str:
    """A key, often real, and a value, often hostile."""
    if draw.random() < 0.3:
        group = draw.choice([*GROUPS, "preset", "recipe", "method@x", "method/generator"])
        names = list(choices(conf_dir(), group)) or ["x"]
        value = draw.choice([draw.choice(names), f"{draw.choice(names)},{draw.choice(names)}", draw.choice(NASTY)])
        return f"{draw.choice(PREFIXES)}{group}={value}"
    key = draw.choice(list(known))
    usual = known[key]
    value = draw.choice([*draw.choices(NASTY, k=4), f"{usual},{usual}", str(usual).replace(" ", "")])
    if draw.random() < 0.1:
        at = draw.randrange(len(key))
        key = draw.choice([key[:at] + key[at + 1 :], key + "x", f"{key}.x", f".{key}", f"{key}.", f"{key}[0]", "", "é"])
    return draw.choice(PREFIXES) + key + draw.choice([*["="] * 30, "==", ""]) + value


def harmless(draw: random.Random) -> list[str]:
    """Choices that go together, so that what is hostile meets all kinds of configurations."""
    chosen = [f"{group}={draw.choice(list(choices(conf_dir(), group)))}" for group in ("method", "target", "scenario")]
    return draw.sample(chosen, draw.randrange(3))


def arguments(draw: random.Random, known: dict[str, Any]) -> list[str]:
    """A command line: mistakes come alone and in company, and flags anywhere."""
    line = harmless(draw) + [argument(draw, known) for _ in range(draw.choice([1, 1, 1, 1, 1, 2, 3]))]
    if draw.random() < 0.35:
        at = draw.randrange(len(line) + 1)
        line[at:at] = draw.choice([["-m"], *FLAGS])
    if draw.random() < 0.05:
        line.append(draw.choice(line))
    return ["benchmark=toy", *line]


def problem(ended: Ended) -> str | None:
    """What is wrong with the way in which a command ended."""
    if ended.code is None or "Traceback" in ended.err + ended.out:
        return "a traceback"
    if ended.code == 0 or (ended.code == 1 and "\nfailed: " in ended.err):  # jobs of a sweep, with a line for each
        return None
    if ended.code != 2:
        return f"exit code {ended.code}"
    if not ended.err.startswith("hnet_cl: "):
        return "no line of ours"
    if any(len(line) > 900 or not line.isprintable() for line in ended.err.splitlines()):
        return "a line that cannot be read"
    return None


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 10), *(pytest.param(n, n + 200, marks=pytest.mark.slow) for n in range(10, 410, 200))],
)
def test_whatever_is_typed_is_understood_or_refused(
    first: int, last: int, known: dict[str, Any], tmp_path: Path
) -> None:
    wrong = []
    for number in range(first, last):
        folder = tmp_path / str(number)
        folder.mkdir()
        typed = arguments(random.Random(SEED * 10**6 + number), known)
        ended = command(folder, *typed)
        found = problem(ended)
        if ended.code == 2 and (files := left(folder)):
            found = f"files: {files}"
        if found:
            wrong.append(f"{number} {typed}: {found}\n{ended.err[-400:]}")
    assert wrong == [], f"{len(wrong)} of {last - first}:\n" + "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 30, 15))
def test_whatever_is_typed_ends_as_a_process(first: int, known: dict[str, Any], tmp_path: Path) -> None:
    wrong = []
    for number in range(first, first + 15):
        folder = tmp_path / str(number)
        folder.mkdir()
        typed = arguments(random.Random(SEED * 10**7 + number), known)
        if any(word in " ".join(typed) for word in ("slurm", "on_ray", "output_dir", ".dir", "subdir")):
            continue  # where the run folder goes is typed
        process = start(*typed, "training.iterations=2", "benchmark.num_tasks=2", cwd=folder)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            wrong.append(f"{typed}: never ends")
        if found := problem(Ended(process.returncode, out, err)):
            wrong.append(f"{typed}: {found}\n{err[-400:]}")
        if beside := [path.name for path in folder.iterdir() if path.name not in ("outputs", "data")]:
            wrong.append(f"{typed}: writes {beside}")
    assert wrong == [], "\n".join(wrong)
