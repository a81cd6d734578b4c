"""Faults of the machine on order: the n-th writing, fsync, renaming or locking of a file below a folder fails."""

import builtins
import fcntl
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Operation = Literal["write", "fsync", "rename", "flock"]


@dataclass
class Fault:
    """The `number`-th operation (from 1; 0 for none) on a file whose path contains `below` fails with errno `code`.

    If `lasting`, so do all after it. `count` says how many there were, `failed` the files of those that failed.
    """

    operation: Operation
    number: int
    code: int
    below: str
    lasting: bool = False
    count: int = field(default=0)
    failed: list[str] = field(default_factory=list)

    def due(self, path: object) -> bool:
        if self.below not in os.fsdecode(path if isinstance(path, (str, bytes, os.PathLike)) else str(path)):
            return False
        self.count += 1
        fails = self.count == self.number or (self.lasting and self.count > self.number > 0)
        if fails:
            self.failed.append(str(path))
        return fails

    def check(self, path: object, *names: Any) -> None:
        if self.due(path):
            raise OSError(self.code, os.strerror(self.code), *names)

    @contextmanager
    def injected(self) -> Iterator["Fault"]:
        """The fault in this process."""
        homes = {"fsync": [(os, "fsync")], "rename": [(os, "replace"), (os, "rename")], "flock": [(fcntl, "flock")]}
        places: list[tuple[Any, str]] = homes.get(self.operation, [(io, "open"), (builtins, "open")])
        before = [getattr(home, name) for home, name in places]
        try:
            for (home, name), real in zip(places, before, strict=True):
                setattr(home, name, self._failing(real))
            yield self
        finally:
            for (home, name), real in zip(places, before, strict=True):
                setattr(home, name, real)

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables with which a Python process has the fault; `folder` is for a file that they need."""
        code = f"import json, sys\nsys.path.append({str(Path(__file__).parent)!r})\nimport faults\n"
        code += f"kept = faults.Fault(**json.loads({json.dumps(asdict(self))!r})).injected()\nkept.__enter__()\n"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sitecustomize.py").write_text(code)
        return {"PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[1])])}

    def _failing(self, real: Any) -> Any:
        if self.operation == "write":
            return lambda file, mode="r", *args, **more: self._opened(real, file, mode, *args, **more)
        if self.operation == "rename":

            def rename(source: Any, target: Any, **more: Any) -> None:
                self.check(target, os.fspath(source), None, os.fspath(target))
                real(source, target, **more)

            return rename

        def of_descriptor(descriptor: Any, *args: Any) -> Any:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self.check(Path(f"/proc/self/fd/{number}").readlink())
            return real(descriptor, *args)

        return of_descriptor

    def _opened(self, real: Any, file: Any, mode: str, *args: Any, **more: Any) -> Any:
        opened = real(file, mode, *args, **more)
        writes = isinstance(file, (str, bytes, os.PathLike)) and any(letter in mode for letter in "wax+")
        return _Written(opened, self, file) if writes else opened


class _Written:
    """A file open for writing, whose writing may fail."""

    def __init__(self, opened: Any, fault: Fault, path: Any) -> None:
        self._opened, self._fault, self._path = opened, fault, path

    def write(self, content: Any) -> Any:
        self._fault.check(self._path)
        return self._opened.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._opened)
