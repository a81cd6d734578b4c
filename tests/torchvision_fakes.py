"""Classes as those of torchvision's data sets; apart, since importing torchvision takes seconds."""

from pathlib import Path
from typing import Any

from PIL import Image

from hnet_cl.datasets._torchvision import import_torchvision

DATASETS = import_torchvision().datasets


class Flags(DATASETS.VisionDataset):
    """A class as torchvision's: images of one colour, whose red is 100 times the class; they need a download."""

    def __init__(self, root: str, train: bool = True, download: bool = False, mode: str = "RGB") -> None:
        super().__init__(root)
        self.labels, self.mode, self.classes = ([0, 1, 2, 0] if train else [2, 1]), mode, ["red", "green", "blue"]
        if download:
            (Path(root) / "flags").touch()
        if not (Path(root) / "flags").exists():
            raise RuntimeError("Dataset not found.\nYou can use download=True to download it")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        label = self.labels[index]
        return Image.new("RGB", (20, 12), (100 * label, 7, 9)).convert(self.mode), label


class Divided(Flags):
    """The same with splits of other names, each of one label, and no download."""

    def __init__(self, root: str, split: str = "trainval") -> None:
        if split not in ("trainval", "val"):
            raise ValueError(f"Unknown value '{split}' for argument split. Valid values are {{'trainval', 'val'}}.")
        (Path(root) / "flags").touch()
        super().__init__(root, split == "trainval")
