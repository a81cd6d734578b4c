"""A cache of decoded data, so that the next run need not decode them again."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hnet_cl.core.atomic_files import replace_file
from hnet_cl.core.regular_files import open_regular
from hnet_cl.core.tensor_files import load_plain
from hnet_cl.datasets.fingerprint import fingerprint

FOLDER = "hnet_cl_cache"

_log = logging.getLogger(__name__)


def cached(data_dir: Path, name: str, key: str, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Returns the tensors in the file `data_dir`/hnet_cl_cache/`name`-`key`.pt; calls `make` for them if it is missing.

    What `make` returns is stored in the file. `key` is a checksum of everything that `make` depends on. A damaged file
    counts as missing, with a warning. If the file cannot be written, a warning says so and nothing is stored.
    """
    path = data_dir / FOLDER / f"{name}-{key}.pt"
    try:
        with open_regular(path) as file:
            kept = load_plain(file)
        if fingerprint(*kept["tensors"]) == kept["fingerprint"]:
            return tuple(kept["tensors"])
        _log.warning("%s is damaged and made again", path)
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        _log.warning("%s is damaged (%s) and made again", path, str(error).splitlines()[0] if str(error) else error)
    tensors = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as part:
            torch.save({"tensors": list(tensors), "fingerprint": fingerprint(*tensors)}, part)
    except OSError as error:
        _log.warning("%s cannot be written (%s): the next run decodes its images again", path, error.strerror)
    return tensors
