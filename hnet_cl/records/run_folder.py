"""Run folders: which files in them belong to hnet_cl, which run they hold, and whether that run is finished.

Other files in a folder are never replaced or removed.
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
from hnet_cl.core.scores import SCORES
from hnet_cl.records.embeddings import FILE as EMBEDDINGS
from hnet_cl.records.run_result import RunResult, TooNewError, json_text

RESULT = "result.json"
SETUP = ".hydra"  # folder of the configuration, as Hydra calls it
SETUP_FILES = ("config.yaml", "hydra.yaml", "overrides.yaml")
LOCKS, LOG = (".lock", MARKER), "hnet_cl.log"
WRITTEN = (  # files written during training, besides RESULT and the checkpoints
    *(f"{score.matrix}.{ending}" for score in SCORES.values() for ending in ("csv", "png")),
    "inferred_tasks.png",
    "metrics.csv",
    "samples_after_task_*.png",
    EMBEDDINGS,
    "events.out.tfevents.*",
)
EMBEDDED_DIGITS = "mnist-5k"
STAND_IN_WARNING = (
    f"Warning: the data are {EMBEDDED_DIGITS}, 5,000 digits instead of MNIST's 70,000: "
    "results are not comparable with published ones."
)


def read_result(folder: Path) -> RunResult | None:
    """Reads the result.json of a run folder; None if there is none.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        TooNewError: a newer version of hnet_cl wrote it.
        ValueError: it is not a result of hnet_cl. Both messages are one line that follows the file's name.
    """
    try:
        with naming(folder / RESULT):
            content = read_regular(folder / RESULT, JSON_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return RunResult.parse(content, folder)
    except TooNewError:
        raise
    except ValueError as error:
        raise ValueError(f"is not a result of hnet_cl ({error})") from error


def earlier_result(folder: Path, config: Mapping[str, Any]) -> RunResult | None:
    """Returns the result.json of an earlier part of the run that `config` (resolved) asks for; None in a new folder.

    Raises:
        OccupiedError: the folder holds another run, or files that are not hnet_cl's.
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
        raise OccupiedError(f"{folder / RESULT} {error}") from error
    except ValueError as error:
        raise OccupiedError(f"{folder / RESULT} {error}; give hydra.run.dir another folder") from error
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
    """Returns the result of the run that `config` asks for if it is finished and `fresh` is not set, else None.

    Does not check whether the data are still those that the run was trained on; see `settled`.

    Raises:
        OccupiedError, OSError: see `earlier_result`.
    """
    result = earlier_result(folder, config)
    return result if result and result.status == "finished" and not config["fresh"] else None


def settled(result: RunResult) -> bool:
    """Tells whether a result's configuration alone determines its training data, so that they cannot have changed.

    False for results on stand-in data and on files without published checksums. Early versions did not record this;
    their only stand-in was the embedded excerpt of MNIST.
    """
    fixed = result.data.fixed
    return not result.data.name.startswith(EMBEDDED_DIGITS) if fixed is None else fixed


def on_stand_in(result: RunResult) -> bool:
    """Tells whether a result was obtained on stand-in data instead of the data that were asked for."""
    stand_in = result.data.stand_in
    return not settled(result) if stand_in is None else stand_in


def clear(folder: Path, clear_checkpoints: Callable[[], None]) -> None:
    """Removes what an earlier part of the run wrote, except its log and its result.json.

    result.json first gets the status "running"; then the checkpoints are removed, and the other files last. So a kill
    in between leaves neither a finished run without its files nor checkpoints from which an incomplete run continues.

    Args:
        folder: the run folder.
        clear_checkpoints: removes the checkpoints.
    """
    result = read_result(folder)
    if result is not None:
        write_atomically(folder / RESULT, json_text({**result, "status": "running", "error": "is started again"}))
    clear_checkpoints()
    for path in folder.iterdir():
        if any(fnmatch(path.name, pattern) for pattern in WRITTEN) and not path.is_dir():
            path.unlink()


def write_setup(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the configuration files of a run, texts by file name, into its folder `.hydra`."""
    (folder / SETUP).mkdir(exist_ok=True)
    for name, text in files.items():
        write_atomically(folder / SETUP / name, text)


def _before_results(folder: Path, name: str) -> bool:
    """Tells whether a file may be left by a run that ended before it wrote its first result.json."""
    if name == SETUP:
        known = all(path.name in SETUP_FILES or is_part(path.name) for path in (folder / SETUP).iterdir())
        return known and _of_hnet_cl(folder / SETUP)
    return name in (*LOCKS, LOG) or is_part(name)


def _of_hnet_cl(setup: Path) -> bool:
    """Tells whether a folder `.hydra` was written by hnet_cl, or has no hydra.yaml that says otherwise."""
    written = setup / "hydra.yaml"
    return not os.path.lexists(written) or b"hnet_cl" in read_regular(written, YAML_LIMIT)


def _labels(config: Mapping[str, Any]) -> dict[str, Any]:
    return {group: config[group]["name"] for group in ("benchmark", "scenario", "method")}


def _named(labels: Mapping[str, Any], identity: str, seed: int) -> str:
    names = [str(labels.get(group)) for group in ("benchmark", "scenario", "method")]
    return f"{'-'.join(names)}, configuration {identity}, seed {seed}"
