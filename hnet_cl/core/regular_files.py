"""Reads untrusted files: only regular ones, of limited size, and JSON and YAML of limited depth and complexity."""

import errno
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yaml import YAMLError, load, parse
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from hnet_cl.core.errors import first_line

try:
    from yaml import CSafeLoader as Loader  # ten times as fast, where PyYAML was built with it
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as Loader

JSON_LIMIT = 32 << 20  # bytes; the matrices of a thousand tasks take 27 MB
YAML_LIMIT = 1 << 20  # bytes
NODES = 5_000  # keys, values and collections in a YAML document
DEPTH = 32
TOO_DEEP = f"is nested more than {DEPTH} deep"
SCALAR = 10_000  # characters of one YAML scalar; parsing it as a number may take quadratic time
KEY = 200  # characters
DIGITS = 16  # of a checksum


def open_regular(path: Path) -> io.BufferedReader:
    """Opens a regular file, or a link to one, for reading.

    Raises:
        OSError: it cannot be opened, or is a pipe, device or folder; raised at once, without waiting for a writer.
    """
    _require_regular(path, path.stat().st_mode)  # before opening, as opening a device can have side effects
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file", str(path))


def read_regular(path: Path, limit: int) -> bytes:
    """Reads a regular file up to its size at the time of opening.

    Raises:
        OSError: see `open_regular`; or the file has more than `limit` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise OSError(errno.EFBIG, f"has more than {limit >> 20} MiB", str(path))
        return file.read(size)


def checksum_of(path: Path) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of a regular file.

    Raises:
        OSError: see `open_regular`; or the file cannot be read.
    """
    with open_regular(path) as file:
        return checksum_from(file)


def checksum_from(file: io.BufferedReader) -> str:
    """Returns the same of an open file, from its position to its end."""
    return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]


def parse_json(content: bytes) -> Any:
    """Parses JSON text.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has keys that are too long or cannot be shown.
    """
    try:
        value = json.loads(content)
        # A lone surrogate is valid JSON but cannot be encoded as UTF-8.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    _check_tree(value)
    return value


def parse_yaml(content: bytes) -> Any:
    """Parses a YAML document.

    Raises:
        ValueError: see `yaml_scalars`; or a tag asks for something other than a plain value; or keys are too long or
            cannot be shown.
    """
    yaml_scalars(content)
    try:
        value = load(content, Loader)
    except (YAMLError, RecursionError) as error:
        raise ValueError(first_line(error)[:KEY]) from error
    _check_tree(value)
    return value


def yaml_scalars(content: bytes) -> list[str]:
    """Returns the texts of all keys and values of a YAML document without constructing any objects.

    Raises:
        ValueError: it is not YAML, is too large or nested too deeply, or uses aliases, which could expand to more than
            fits into memory.
    """
    try:
        return list(_scalars(content))
    except YAMLError as error:
        deep = "nesting" in str(error)  # PyYAML since 6.0.4, which looks ahead
        raise ValueError(TOO_DEEP if deep else first_line(error)[:KEY]) from error


def _scalars(content: bytes) -> Iterator[str]:
    depth = nodes = 0
    for event in parse(content, Loader):
        if isinstance(event, AliasEvent):
            raise ValueError("refers to parts of itself (*name), which no configuration of a run does")
        if isinstance(event, MappingStartEvent | SequenceStartEvent | ScalarEvent):
            nodes += 1
        depth += isinstance(event, MappingStartEvent | SequenceStartEvent)
        depth -= isinstance(event, MappingEndEvent | SequenceEndEvent)
        if nodes > NODES or depth > DEPTH:
            raise ValueError(f"has more than {NODES} values" if nodes > NODES else TOO_DEEP)
        if isinstance(event, ScalarEvent):
            if len(event.value) > SCALAR:
                raise ValueError(f"has a value of more than {SCALAR} characters")
            yield event.value


def _check_tree(value: Any) -> None:
    """Raises ValueError if a value is nested too deeply or has keys that cannot be shown in a line."""
    level = [value]
    for _ in range(DEPTH):
        keys = [key for node in level if isinstance(node, dict) for key in node if isinstance(key, str)]
        bad = [key for key in keys if len(key) > KEY or not key.isprintable()]
        if bad:
            raise ValueError(f"has a key that is longer than {KEY} characters or cannot be shown: {bad[0][:20]!a}")
        inner = (node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list))
        level = [node for part in inner for node in part if isinstance(node, dict | list)]
        if not level:
            return
    raise ValueError(TOO_DEEP)
