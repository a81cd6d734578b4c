"""A run folder: which files in it are ours, whose run it holds, and whether that run is finished.

Nothing else in a folder is ever replaced or removed, whatever its name.
"""

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from hnet_cl.core.atomic_files import is_part, naming, write_atomically
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import OccupiedError
from hnet_cl.core.locking import MARKER
from hnet_cl.core.regular_files import JSON_LIMIT, YAML_LIMIT, read_regular
from hnet_cl.records.run_result import RunResult, TooNewError, json_text

RESULT = "result.json"
SETUP = ".hydra"  # folder of the configuration, as Hydra calls it
SETUP_FILES = ("config.yaml", "hydra.yaml", "overrides.yaml")
LOCKS, LOG = (".lock", MARKER), "hnet_cl.log"
WRITTEN = (  # while a run is trained, beside RESULT and what the checkpoints are
    "accuracy_matrix.csv",
    "accuracy_matrix.png",
    "inferred_tasks.png",
    "metrics.csv",
    "samples_after_task_*.png",
    "events.out.tfevents.*",
)
EMBEDDED_DIGITS = "mnist-5k"


def read_result(folder: Path) -> RunResult | None:
    """Reads the result.json of a run folder; None if there is none.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: as `RunResult.parse`.
    """
    try:
        with naming(folder / RESULT):
            content = read_regular(folder / RESULT, JSON_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return RunResult.parse(content, folder)


def earlier_result(folder: Path, config: Mapping[str, Any]) -> RunResult | None:
    """Returns the result.json of an earlier part of the run that `config` (resolved) asks for; None in a new folder.

    Raises:
        OccupiedError: the folder holds another run, or files of somebody else.
        OSError: it cannot be read.
    """
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if RESULT not in names:
        foreign = sorted(name for name in names if not _before_results(folder, name))
        if foreign:
            raise OccupiedError(
                f"{folder}: is neither empty nor the folder of a run (there is {foreign[0]}); "
                "give hydra.run.dir another folder, or leave it out"
            )
        return None
    try:
        result = read_result(folder)
    except TooNewError as error:
        raise OccupiedError(f"{folder / RESULT}: {error}") from error
    except ValueError as error:
        raise OccupiedError(
            f"{folder / RESULT}: was not written by hnet_cl ({error}); give hydra.run.dir another folder"
        ) from error
    if result is None:  # removed in the meantime
        return None
    asked, found = (config_id(config), config["seed"]), (result.config_id, result.seed)
    if asked != found:
        raise OccupiedError(
            f"{folder}: holds another run ({_named(result, *found)}) than the one that is asked for "
            f"({_named(_labels(config), *asked)}); give hydra.run.dir another folder, or leave it out"
        )
    return result


def finished_result(folder: Path, config: Mapping[str, Any]) -> RunResult | None:
    """Returns the result of the run that `config` asks for if that is finished and not to be started anew, else None.

    Whether the data are still the ones that it was learned from is for `settled` to say.

    Raises:
        OccupiedError, OSError: as `earlier_result`.
    """
    result = earlier_result(folder, config)
    return result if result and result.status == "finished" and not config["fresh"] else None


def settled(result: RunResult) -> bool:
    """Whether a result's configuration alone says which data it was learned from, so that these cannot be others now.

    Not so for results on a stand-in and on files without published checksums. Early versions did not say so, and had
    no other stand-in than these digits.
    """
    fixed = result.data.fixed
    return not result.data.name.startswith(EMBEDDED_DIGITS) if fixed is None else fixed


def on_stand_in(result: RunResult) -> bool:
    """Whether a result is of data that took the place of others."""
    stand_in = result.data.stand_in
    return not settled(result) if stand_in is None else stand_in


def clear(folder: Path, clear_checkpoints: Callable[[], None]) -> None:
    """Removes what an earlier part of the run wrote, but for its log and, until it is replaced, its result.json.

    That no longer says "finished" then, and checkpoints, which a run would go on from, go first: a kill in between
    costs nothing else.
    """
    result = read_result(folder)
    if result is not None:
        write_atomically(folder / RESULT, json_text({**result, "status": "running", "error": "is started anew"}))
    clear_checkpoints()
    for path in folder.iterdir():
        if any(fnmatch(path.name, pattern) for pattern in WRITTEN) and not path.is_dir():
            path.unlink()


def write_setup(folder: Path, files: Mapping[str, str]) -> None:
    """Writes what a run was configured by, text by file name, into its folder `.hydra`."""
    (folder / SETUP).mkdir(exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / SETUP / name, text)


def _before_results(folder: Path, name: str) -> bool:
    """Whether a file is what a run leaves that ends before it has written its first result.json."""
    if name == SETUP:
        known = all(path.name in SETUP_FILES or is_part(path.name) for path in (folder / SETUP).iterdir())
        return known and _of_hnet_cl(folder / SETUP)
    return name in (*LOCKS, LOG) or is_part(name)


def _of_hnet_cl(setup: Path) -> bool:
    """Whether a folder `.hydra` is no other program's."""
    written = setup / "hydra.yaml"
    return not os.path.lexists(written) or b"hnet_cl" in read_regular(written, YAML_LIMIT)


def _labels(config: Mapping[str, Any]) -> dict[str, Any]:
    return {group: config[group]["name"] for group in ("benchmark", "scenario", "method")}


def _named(labels: Mapping[str, Any], identity: str, seed: int) -> str:
    names = [str(labels.get(group)) for group in ("benchmark", "scenario", "method")]
    return f"{'-'.join(names)}, configuration {identity}, seed {seed}"
