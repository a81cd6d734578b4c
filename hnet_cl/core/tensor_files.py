"""Files of `torch.save` that may be a stranger's: nothing in them is run, and they hold what they claim."""

import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from hnet_cl.core.regular_files import open_regular

_ZIP = b"PK\x03\x04"
_ENCRYPTED = 1
_TENSOR = re.compile(
    r"torch\._utils _rebuild_(tensor_v[23]|parameter)|torch(\.storage)? (\w+Storage|uint\d+)|collections OrderedDict"
)
_LEGACY_PICKLES = 4  # of the format before zip archives: magic number, version, system, and the tensor
_PICKLE = 10_000  # bytes; that of one tensor has some hundred


class ContentError(ValueError):
    """What is wrong with a file's content, as the rest of a sentence about it."""


def load_plain(file: BinaryIO) -> Any:
    """Tensors and plain values on the CPU.

    Raises:
        ContentError: the file is damaged, or claims more than it has, or holds anything else.
        RuntimeError, MemoryError: torch cannot read it, or there is too little memory.
    """
    _require_stored(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, MemoryError):  # as when there is too little memory
        raise
    except Exception as error:  # the text of some advises to read the file without weights_only
        raise ContentError("is damaged, or holds something else than tensors and plain values") from error


def load_tensor(path: Path) -> Tensor:
    """Loads the one tensor that a file holds, on the CPU; it stays on the disk where the format allows that.

    Raises:
        OSError: the file cannot be opened, or is no regular file.
        ContentError: as `load_plain`, or it is no single dense tensor. Of a damaged file torch may raise anything.
    """
    with open_regular(path) as file:
        archive = _require_stored(file)
        if archive:
            with zipfile.ZipFile(file) as members, members.open(_pickle_in(members)) as inner:
                _require_tensor_alone(inner)
        else:
            for _ in range(_LEGACY_PICKLES):
                _require_tensor_alone(file)
        size = file.seek(0, 2)
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    if not isinstance(found, Tensor) or found.layout != torch.strided or found.is_meta:
        raise ContentError("holds something else than one dense tensor")
    if max(found.untyped_storage().nbytes(), len(found) if found.dim() else 0) > size:
        raise ContentError("claims more numbers than it has")
    return found.detach()


def _require_stored(file: BinaryIO) -> bool:
    """Tells whether the file is a zip archive, and refuses compression and overlapping parts."""
    archive = file.read(len(_ZIP)) == _ZIP
    size = file.seek(0, 2)
    file.seek(0)
    if not archive:
        return False
    try:
        with zipfile.ZipFile(file) as members:
            found = members.infolist()
    except zipfile.BadZipFile as error:
        raise ContentError("is cut short or damaged") from error
    file.seek(0)
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED for member in found):
        raise ContentError("was compressed or encrypted, which torch.save does not do")
    if sum(member.file_size for member in found) > size:
        raise ContentError("claims more bytes than it has")
    return True


def _pickle_in(members: zipfile.ZipFile) -> str:
    return next((name for name in members.namelist() if name.endswith("/data.pkl")), "data.pkl")


def _require_tensor_alone(file: Any) -> None:
    """Reads a pickle without building anything: nothing in it may ask for more than a tensor's own parts."""
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name in ("GLOBAL", "INST") and not _TENSOR.fullmatch(str(argument)):
            raise ContentError(f"holds something else than one dense tensor ({str(argument)[:200]})")
        if (position or 0) > _PICKLE:
            raise ContentError("holds something else than one dense tensor")
