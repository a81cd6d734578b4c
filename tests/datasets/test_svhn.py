"""SVHN: MATLAB files with pixels first and 10 for the digit 0."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import _published, svhn
from hnet_cl.datasets.base import examples
from hnet_cl.datasets.svhn import SVHN

LABELS = {"train_32x32.mat": [10, 1, 9], "test_32x32.mat": [2, 10]}


def pixels(name: str) -> np.ndarray:
    return np.random.default_rng(len(name)).integers(0, 256, (32, 32, 3, len(LABELS[name])), dtype=np.uint8)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files in the published form that pass for the published ones; nothing is fetched."""

    def refuse(*_: object) -> Path:
        raise OSError("no network")

    for name, labels in LABELS.items():
        content = {"X": pixels(name), "y": np.array(labels, dtype=np.uint8)[:, None]}
        scipy.io.savemat(tmp_path / name, content, do_compression=True)
    sums = {name: hashlib.md5((tmp_path / name).read_bytes()).hexdigest() for name in LABELS}
    monkeypatch.setattr(svhn, "CHECKSUMS", sums)
    monkeypatch.setattr(_published, "from_url", refuse)
    return tmp_path


def digits(data_dir: Path, normalize: bool | str = False) -> SVHN:
    return SVHN(SVHN.Settings(name="svhn", augment="none", normalize=normalize), data_dir)


@pytest.mark.parametrize("folder", ["", "SVHN"])
def test_images_and_digits(folder: str, data_dir: Path) -> None:
    for name in LABELS:
        (data_dir / folder).mkdir(exist_ok=True)
        (data_dir / name).rename(data_dir / folder / name)
    data = examples(digits(data_dir))
    for name, part in zip(LABELS, (data.train, data.test), strict=True):
        assert torch.equal(part.images, torch.from_numpy(pixels(name)).permute(3, 2, 0, 1))
        assert part.labels.tolist() == [label % 10 for label in LABELS[name]]
    assert (data.identity.name, data.identity.source, data.identity.fixed) == ("svhn", "files", True)


def test_normalised_by_its_own_statistics(data_dir: Path) -> None:
    white = torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)
    inputs = digits(data_dir, "dataset").encoder(torch.device("cpu"))(white)
    expected = [(1 - 0.4377) / 0.1980, (1 - 0.4438) / 0.2010, (1 - 0.4728) / 0.1970]
    assert inputs[0, :, 5, 5].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_damaged_file_is_one_line(data_dir: Path) -> None:
    path = data_dir / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"^{path} is damaged: its MD5 is .*; delete it to have it fetched again$"):
        digits(data_dir).load()
