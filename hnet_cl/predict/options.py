"""Parsing of the command-line options. Imports nothing heavy."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.suggest import nearest

OF_THE_TEST = ("data_dir", "task_inference", "images_per_decision")  # keys of input=test alone
KEYS = ("run", "input", "task", "output", "batch_size", "device", "trust", *OF_THE_TEST)
TEST = "test"  # as input: the test set of the run's benchmark
COLUMNS = ("file", "label", "task", "confidence")  # in every table of answers; some have further ones
EXAMPLE = "python -m hnet_cl.predict run=outputs/smnist-cl1-hnet/1a2b3c4d/seed=1 input=digits task=2"


@dataclass(frozen=True)
class Options:
    """The parsed options; `task` counts from 1, and None stands for the run's own `eval_batch_size` and `data_dir`.

    With `test_set`, the test set of the run's benchmark is classified, and there are no `inputs`; then the task can be
    inferred by the rule `task_inference`, and by `images_per_decision` images together. None leaves that to the run.
    """

    run: Path
    inputs: Sequence[Path]
    test_set: bool
    task: int | None
    output: Path | None
    batch_size: int | None
    device: str
    data_dir: Path | None
    task_inference: str | None
    images_per_decision: int | None
    trusted: Sequence[str]


def parse(words: Sequence[str]) -> Options:
    """Parses words of the form key=value.

    Raises:
        UserError: a word, key or value is wrong, or a required key is missing.
    """
    given = values_of(words, KEYS, ("run", "input"), EXAMPLE, several=("input",))
    values = {key: found[0] for key, found in given.items()}
    test_set = TEST in given["input"]
    if test_set and len(given["input"]) > 1:
        raise UserError("input=test: is the test set of the run's benchmark, which stands alone; a file is ./test")
    for key in OF_THE_TEST:
        if key in values and not test_set:
            raise UserError(f"{key}: is for input=test, the test set of the run's benchmark")
    return Options(
        run=Path(values["run"]),
        inputs=[] if test_set else [path for text in given["input"] for path in _paths(text)],
        test_set=test_set,
        task=positive("task", values),
        output=_output(values),
        batch_size=positive("batch_size", values),
        device=device_of(values),
        data_dir=Path(values["data_dir"]) if "data_dir" in values else None,
        task_inference=values.get("task_inference"),
        images_per_decision=positive("images_per_decision", values),
        trusted=trusted(values),
    )


def values_of(
    words: Sequence[str], keys: Sequence[str], required: Sequence[str], example: str, several: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Returns the values of words KEY=VALUE by key; only the keys in `several` may be given more than once.

    Raises:
        UserError: a word or key is wrong, a key is given twice, or a required one is missing or empty.
    """
    given: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"{shown(word)}: cannot be read as KEY=VALUE; for example: {example}")
        if key not in keys:
            raise UserError(f"{shown(key)}: no such key{nearest(key, keys)}")
        if key in given and key not in several:
            raise UserError(f"{key}: is given twice")
        given.setdefault(key, []).append(at_home(value))
    for key in required:
        if not any(given.get(key, [])):
            raise UserError(f"{key}: is missing; for example: {example}")
    return given


def _paths(text: str) -> list[Path]:
    """Splits a text into paths at its commas, unless the whole text is a path that exists."""
    with contextlib.suppress(OSError):  # a list may be longer than a file name can be
        if Path(text).exists():
            return [Path(text)]
    return [Path(at_home(part)) for part in text.split(",") if part]


def device_of(values: Mapping[str, str]) -> str:
    """Returns the device of the options, by default the CPU.

    Raises:
        UserError: it is another one than cpu or cuda.
    """
    device = values.get("device", "cpu")
    if device not in ("cpu", "cuda"):
        raise UserError(f"device={shown(device)}: give cpu or cuda")
    return device


def trusted(values: Mapping[str, str]) -> list[str]:
    """Returns the packages and modules of the option `trust`.

    Raises:
        UserError: a name is none of a package or module.
    """
    if "trust" not in values:
        return []
    packages = values["trust"].split(",")
    if not all(part.isidentifier() for package in packages for part in package.split(".")):
        given = shown(values["trust"])
        raise UserError(f"trust={given}: give packages or modules, as my_package or my_package.networks")
    return packages


def positive(key: str, values: Mapping[str, str]) -> int | None:
    """Returns the whole number above 0 of an option; None if it is not given.

    Raises:
        UserError: it is no such number.
    """
    if key not in values:
        return None
    text = values[key]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        large = text.isascii() and text.isdigit() and bool(text.strip("0"))
        raise UserError(f"{key}={shown(text)}: give {'a smaller number' if large else 'a whole number from 1 on'}")
    return int(text)


def _output(values: Mapping[str, str]) -> Path | None:
    if "output" not in values:
        return None
    path = Path(values["output"])
    if not path.parent.is_dir() or (path.exists() and not path.is_file()):  # a folder, or a device such as /dev/null
        raise UserError(f"output={path}: give the name of a file in a folder that exists")
    if path.exists() and not _are_answers(path):
        raise UserError(f"output={path}: is there already, and was not written by hnet_cl.predict; give another name")
    return path


def _are_answers(path: Path) -> bool:
    """Tells whether a file may be replaced: it is empty, or a table of answers that this program wrote."""
    with path.open("rb") as file:
        first = file.readline(200)
    return not first or first.startswith(",".join(COLUMNS).encode())
