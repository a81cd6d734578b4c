"""Kuzushiji-MNIST: the gzipped files as published, verified as such."""

import gzip
import hashlib
from pathlib import Path

import pytest

from hnet_cl.core.errors import UserError
from hnet_cl.datasets import kmnist, mnist
from hnet_cl.datasets.kmnist import KMNIST


@pytest.fixture
def data_dir(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data_dir with the tiny files of MNIST, gzipped, in the place of KMNIST's; nothing is fetched."""

    def refuse(*_: object) -> None:
        raise ConnectionError("torchvision download: no network")

    raw = tmp_path / "data" / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    sums = {}
    for name in kmnist.CHECKSUMS:
        packed = gzip.compress((tiny / name.removesuffix(".gz")).read_bytes())
        (raw / name).write_bytes(packed)
        sums[name] = hashlib.md5(packed).hexdigest()
    monkeypatch.setattr(kmnist, "CHECKSUMS", sums)
    monkeypatch.setattr(mnist, "fetch", refuse)
    return tmp_path / "data"


def characters(data_dir: Path) -> KMNIST:
    return KMNIST(KMNIST.Settings(name="kmnist"), data_dir)


def test_the_published_files(tiny: Path, data_dir: Path) -> None:
    data = characters(data_dir).load()
    assert data.train.images.shape == (6, 1, 2, 3)
    assert data.train.images.flatten().tolist() == list((tiny / "train-images-idx3-ubyte").read_bytes()[16:])
    assert data.test.labels.tolist() == list((tiny / "t10k-labels-idx1-ubyte").read_bytes()[8:])
    assert (data.identity.name, data.identity.fixed) == ("kmnist", True)
    assert data.class_names[1] == "ki"


def test_the_same_content_packed_otherwise_is_refused(data_dir: Path) -> None:
    path = data_dir / "KMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=1))
    with pytest.raises(UserError, match=rf"^{path} is damaged: its MD5 is [0-9a-f]+ and must be .*delete it"):
        characters(data_dir).load()


def test_what_is_missing_is_named_with_its_address(data_dir: Path) -> None:
    (data_dir / "KMNIST" / "raw" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError) as caught:
        characters(data_dir).load()
    message = str(caught.value)
    assert message.startswith("dataset=kmnist: train-labels-idx1-ubyte.gz cannot be found in ") and "\n" not in message
    assert "(they are published at https://codh.rois.ac.jp/kmnist/dataset/kmnist/)" in message
