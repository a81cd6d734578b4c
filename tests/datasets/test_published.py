"""Published files at an address: where they come from, and what is said if they cannot be had."""

import hashlib
from pathlib import Path

import pytest

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import _published, emnist, svhn, tiny_imagenet
from hnet_cl.datasets._published import fetched_from, verify
from hnet_cl.datasets.base import Dataset

COLOUR = {"augment": "none", "normalize": False}
DATASETS = {
    "emnist": (lambda: emnist.EMNIST.Settings(name="emnist", split="letters"), emnist, emnist.EMNIST, "EMNIST/raw"),
    "svhn": (lambda: svhn.SVHN.Settings(name="svhn", **COLOUR), svhn, svhn.SVHN, ""),
    "tiny_imagenet": (
        lambda: tiny_imagenet.TinyImageNet.Settings(name="tiny_imagenet", **COLOUR),
        tiny_imagenet,
        tiny_imagenet.TinyImageNet,
        "",
    ),
}


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_missing_is_named_with_its_address(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Path:
        raise OSError("no network")

    monkeypatch.setattr(_published, "from_url", refuse)
    settings, module, kind, folder = DATASETS[name]
    made: Dataset = kind(settings(), tmp_path)
    with pytest.raises(UserError) as caught:
        made.load()
    message = str(caught.value)
    assert message.startswith(f"dataset={name}: ") and f" cannot be found in {tmp_path / folder} nor fetched" in message
    assert "no network" in message and f"from {module.URL}" in message and "\n" not in message


def test_every_file_is_fetched_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(address: str, folder: Path) -> Path:
        (folder / address.rpartition("/")[2]).write_text(address)
        return folder

    monkeypatch.setattr(_published, "from_url", download)
    sums = {name: hashlib.md5(f"https://a/b/{name}".encode()).hexdigest() for name in ("x", "y")}
    assert fetched_from("https://a/b", tmp_path / "data", sums, "mine") == "https://a/b"
    for name, checksum in sums.items():
        assert (tmp_path / "data" / name).read_text() == f"https://a/b/{name}"
        verify(tmp_path / "data" / name, checksum)
    with pytest.raises(
        UserError, match=r"dataset=mine: x cannot be found .* instead of 0\); get it from https://a/b/x and "
    ):
        fetched_from("https://a/b", tmp_path / "other", {"x": "0"}, "mine")
    assert not (tmp_path / "other" / "x").exists()


def test_a_file_that_is_another_or_unreadable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing cannot be read \(No such file or directory\): make it readable"):
        verify(tmp_path / "missing", "0")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"file is damaged: its MD5 is 9dd4e4.* and must be 0; delete it to have it"):
        verify(tmp_path / "file", "0")
