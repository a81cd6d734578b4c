"""Files of TensorBoard events, cut back to where a run continues."""

import struct
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event

from hnet_cl.core.atomic_files import write_atomically

PATTERN = "events.out.tfevents.*"
HEAD, TAIL = 12, 4  # bytes of a record around its content: length and checksum; checksum


def cut_back(folder: Path, iterations: int, learned: int) -> None:
    """Puts the events of a run that still hold into one file, so that files stay few however often it continues.

    These are the losses of the first `iterations` and everything else about up to `learned` tasks; not the entry in the
    hparams table, which is made at the end. Of two events for one point of a curve the later one holds. A kill in
    between loses nothing: what is there twice then is put together the next time.
    """
    found = [path for path in folder.glob(PATTERN) if path.is_file()]
    files = sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))
    kept: dict[tuple[str | int, ...], bytes] = {}
    for content in (path.read_bytes() for path in files):
        for record, event in _events(content):
            if event.HasField("file_version"):
                kept.setdefault((), record)
            elif place := _place(event, iterations, learned):
                kept.pop(place, None)
                kept[place] = record
    if len(kept) > 1:  # beside the version of the format
        first = min(files, key=lambda path: path.name)  # TensorBoard reads them in the order of their names
        write_atomically(first, b"".join(kept.values()))
        files.remove(first)
    for path in files:
        path.unlink()


def _events(content: bytes) -> Iterator[tuple[bytes, Event]]:
    """The records of a file, up to one that was cut short, and what they say."""
    start = 0
    while start + HEAD <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + HEAD + length + TAIL
        if end > len(content):
            return
        try:
            yield content[start:end], Event.FromString(content[start + HEAD : end - TAIL])
        except DecodeError:
            return
        start = end


def _place(event: Event, iterations: int, learned: int) -> tuple[str | int, ...] | None:
    """What tells an event from all others; None for one that does not hold any more."""
    tags = [value.tag for value in event.summary.value]
    if not tags or tags[0].startswith(("_hparams_/", "final/")):
        return None
    last = iterations if tags[0].startswith("train/") else learned
    return (*tags, event.step) if event.step <= last else None
