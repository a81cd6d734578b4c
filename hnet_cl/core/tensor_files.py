"""Reads untrusted files of `torch.save`: no code in them is run, and their sizes are checked."""

import pickle
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from hnet_cl.core.plain_text import shown
from hnet_cl.core.regular_files import checksum_from, open_regular

_ZIP = b"PK\x03\x04"
_ENCRYPTED = 1
_TENSOR = re.compile(
    r"torch\._utils _rebuild_(tensor_v[23]|parameter)|torch(\.storage)? (\w+Storage|uint\d+)|collections OrderedDict"
)
_LEGACY_PICKLES = 4  # in the format before zip archives: magic number, version, system, and the tensor
_PICKLE = 10_000  # bytes; the pickle of one tensor has a few hundred


class ContentError(ValueError):
    """A file's content is wrong; the message continues a sentence that begins with the file's name."""


def load_plain(file: BinaryIO) -> Any:
    """Loads tensors and plain values from a file to the CPU.

    Raises:
        ContentError: the file is damaged, claims more data than it has, or holds anything else.
        RuntimeError, MemoryError: torch cannot read it, or there is too little memory.
    """
    _require_stored(file)
    try:
        return _loaded(file)
    except (RuntimeError, MemoryError):  # e.g. too little memory
        raise
    except Exception as error:  # torch's own message may advise loading without weights_only
        raise ContentError("is damaged, or holds something else than tensors and plain values") from error


def load_tensor(path: Path) -> Tensor:
    """Loads the single tensor in a file to the CPU; it is memory-mapped where the format allows it.

    Raises:
        OSError: the file cannot be opened, or is not a regular file.
        ContentError: see `load_plain`; or the file does not hold exactly one dense tensor.
        Exception: of any kind, raised by torch for a damaged file.
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
    try:
        found = _loaded(path, mmap=archive)
    except pickle.UnpicklingError as error:
        raise ContentError("is damaged, or claims more numbers than it has") from error
    if not isinstance(found, Tensor) or not is_dense(found):
        raise ContentError("holds something else than one dense tensor")
    if max(found.untyped_storage().nbytes(), len(found) if found.dim() else 0) > size:
        raise ContentError("claims more numbers than it has")
    return found.detach()


def load_state(path: Path, checksum: str | None) -> dict[str, Tensor]:
    """Loads the tensors of a network by name, as `torch.save(network.state_dict(), path)` writes them, to the CPU.

    Args:
        path: the file.
        checksum: what `checksum_of` said of the file.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ContentError: see `load_plain`; or the file has another checksum, or holds something else.
        RuntimeError, MemoryError: torch cannot read it, or there is too little memory.
    """
    with open_regular(path) as file:
        if checksum_from(file) != checksum:
            raise ContentError(
                f"is not the file that initial_weights_checksum={shown(checksum)} is of; leave that key out"
            )
        file.seek(0)
        state = load_plain(file)
    named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not named or not all(isinstance(value, Tensor) and is_dense(value) for value in state.values()):
        raise ContentError("holds something else than the tensors of a network by name: save its state_dict()")
    return {name: value.detach() for name, value in state.items()}


def is_dense(tensor: Tensor) -> bool:
    """Tells whether a tensor is an ordinary array of numbers: neither sparse, quantised nor without any data."""
    return tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_quantized


def _loaded(file: BinaryIO | Path, mmap: bool = False) -> Any:
    """Loads a file without code; torch's warnings on pickles and types tell nothing that our errors do not."""
    with warnings.catch_warnings(action="ignore"):
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)


def _require_stored(file: BinaryIO) -> bool:
    """Tells whether the file is a zip archive; refuses archives with compressed, encrypted or overlapping members."""
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
    """Scans a pickle without unpickling it; raises ContentError if it refers to anything but the parts of a tensor."""
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name in ("GLOBAL", "INST") and not _TENSOR.fullmatch(str(argument)):
            raise ContentError(f"holds something else than one dense tensor ({str(argument)[:200]})")
        if (position or 0) > _PICKLE:
            raise ContentError("holds something else than one dense tensor")
