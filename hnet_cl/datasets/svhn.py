"""SVHN, house numbers, from the published files of cropped digits or a download."""

import os
from pathlib import Path

import scipy.io
import torch

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._published import fetched_from, verify
from hnet_cl.datasets.base import Data, Part
from hnet_cl.datasets.colour import ColourImages
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Statistics

URL = "https://ufldl.stanford.edu/housenumbers"
CHECKSUMS = {  # MD5, as torchvision gives it
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
EXAMPLES = 73_257 + 26_032


class SVHN(ColourImages):
    """Digits of house numbers, 32 x 32: Netzer et al., NIPS workshop 2011. 73,257 training and 26,032 test images."""

    image_shape = (3, 32, 32)
    num_classes = 10
    num_examples = EXAMPLES
    statistics = Statistics((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))

    def load(self) -> Data:
        """Reads the two files in `data_dir`, where torchvision has them, or in `data_dir`/SVHN; fetches missing ones.

        Raises:
            UserError: a file is damaged or unreadable, or missing and cannot be fetched.
        """
        places = {name: self._place(name) for name in CHECKSUMS}
        missing = {name: CHECKSUMS[name] for name, path in places.items() if path is None}
        origin = fetched_from(URL, self.data_dir, missing, self.settings.name) if missing else "files"
        train, test = (_read(path or self.data_dir / name, CHECKSUMS[name]) for name, path in places.items())
        identity = DataIdentity("svhn", origin, fingerprint(*train, *test), fixed=True)
        return Data(train, test, [str(digit) for digit in range(10)], identity)

    def _place(self, name: str) -> Path | None:
        paths = (self.data_dir / name, self.data_dir / "SVHN" / name)
        return next((path for path in paths if os.path.lexists(path)), None)


def _read(path: Path, checksum: str) -> Part:
    """Reads images uint8 (n, 3, 32, 32) and labels (n,) from a MATLAB file; the label 10 stands for the digit 0.

    Raises:
        UserError: the file cannot be read, or its MD5 is not `checksum`.
    """
    verify(path, checksum)
    try:
        content = scipy.io.loadmat(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or remove it") from error
    images = torch.from_numpy(content["X"]).permute(3, 2, 0, 1).contiguous()
    return Part(images, torch.from_numpy(content["y"]).long().flatten() % 10)
