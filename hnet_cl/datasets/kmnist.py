"""Kuzushiji-MNIST from files or a download."""

from hnet_cl.datasets._idx_files import IdxSet
from hnet_cl.datasets.mnist import LikeMNIST

CHECKSUMS = {  # MD5 of the files as published, gzipped
    "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
    "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
    "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
    "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
}
URL = "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"


class KMNIST(LikeMNIST):
    """Cursive Japanese characters: Clanuwat et al., arXiv:1812.01718, 2018."""

    data_name = "kmnist"
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

    @property
    def files(self) -> IdxSet:
        """Returns the gzipped files in `data_dir`/KMNIST/raw, where torchvision keeps them, or in `data_dir`/KMNIST."""
        return IdxSet("KMNIST", CHECKSUMS, ("KMNIST/raw", "KMNIST"), mirror=URL)
