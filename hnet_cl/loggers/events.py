"""TensorBoard event files, truncated to the point from which a run continues."""

import struct
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event

from hnet_cl.core.atomic_files import write_atomically
from hnet_cl.loggers.curves import BY_ITERATION, FINAL

OLD_LOSSES = "train/"  # what the names of losses began with in earlier versions
TEXTS = "run/"  # start of the names of texts on the run, which are written when it starts, not when it continues
PATTERN = "events.out.tfevents.*"
HEAD, TAIL = 12, 4  # bytes of a record before its content (length and checksum) and after it (checksum)


def cut_back(folder: Path, iterations: int, learned: int) -> None:
    """Merges the still valid events of a run into one file, so that a run that continues often has few files.

    Valid are the losses and the scores on old tasks of the first `iterations` iterations, and everything else about up
    to `learned` tasks, except the entry in the hparams table, which is made at the end of a run. Of several events for
    the same point of a curve, the last one is kept. A kill in between loses nothing: events that are then stored twice
    are merged the next time.

    Args:
        folder: the run folder.
        iterations: iterations done over all tasks.
        learned: number of tasks that have been learned and evaluated.

    Raises:
        OSError: a file cannot be read, written or removed.
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
    if len(kept) > 1:  # more than the record of the format's version
        first = min(files, key=lambda path: path.name)  # TensorBoard reads files in the order of their names
        write_atomically(first, b"".join(kept.values()))
        files.remove(first)
    for path in files:
        path.unlink()


def _events(content: bytes) -> Iterator[tuple[bytes, Event]]:
    """Yields the records of a file and the events in them, up to the first record that is cut short or damaged."""
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
    """Returns a key for the point of a curve that an event stands for; None if the event is no longer valid."""
    tags = [value.tag for value in event.summary.value]
    if not tags or tags[0].startswith(("_hparams_/", FINAL)) or (tags[0].startswith(TEXTS) and not iterations):
        return None
    last = iterations if tags[0].startswith((*BY_ITERATION, OLD_LOSSES)) else learned
    return (*tags, event.step) if event.step <= last else None
