"""Small real files in the layouts of CIFAR and CelebA, made on the spot."""

import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

TRAIN_LIST, TEST_LIST = "train.json", "test.json"


def write_cifar(data_dir: Path, classes: int, per_class: tuple[int, int] = (4, 2)) -> None:
    """CIFAR-10 and CIFAR-100 in torchvision's layout: images of one colour, equal to their class; 4 + 2 a class.

    Red counts the images of CIFAR-10 from 0 and those of CIFAR-100 from 0 too, green is the label, blue the data set.
    """
    sets = [
        ("cifar-10-batches-py", [f"data_batch_{n}" for n in range(1, 6)], ["test_batch"], "labels", 10),
        ("cifar-100-python", ["train"], ["test"], "fine_labels", classes),
    ]
    for blue, (folder, train, test, key, number) in enumerate(sets):
        (data_dir / folder).mkdir(parents=True)
        for half, (names, count) in enumerate(zip((train, test), per_class, strict=True)):
            labels = np.random.default_rng(half).permutation(np.repeat(np.arange(number), count))
            colours = np.stack([np.arange(len(labels)) % 256, labels, np.full(len(labels), blue)], axis=1)
            images = np.repeat(colours.astype(np.uint8), 1024, axis=1)
            for name, own, rows in zip(
                names, np.array_split(labels, len(names)), np.array_split(images, len(names)), strict=True
            ):
                content = {b"data": np.ascontiguousarray(rows), key.encode(): own.tolist()}
                (data_dir / folder / name).write_bytes(pickle.dumps(content, 2))


def face(number: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """A JPEG of one colour that follows from its number."""
    picture = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number * 101 % 256, number * 53 % 256)).save(picture, "JPEG")
    return picture.getvalue()


def name_of(number: int) -> str:
    """The file name of CelebA's image with that number."""
    return f"{number:06d}.jpg"


def smiles(number: int) -> int:
    """Every third image does."""
    return int(number % 3 == 0)


def write_celeba(data_dir: Path, images: int, persons: Sequence[int]) -> Path:
    """CelebA in torchvision's layout: `images` faces from number 1 on, dealt to `persons` in turn; its folder."""
    folder = data_dir / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    numbers = range(1, images + 1)
    for number in numbers:
        (folder / "img_align_celeba" / name_of(number)).write_bytes(face(number))
    rows = [f"{name_of(n)} -1  {1 if smiles(n) else -1} 1" for n in numbers]
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(images), "Bald Smiling Young ", *rows, ""]))
    owners = [f"{name_of(n)} {persons[n % len(persons)]}" for n in numbers]
    (folder / "identity_CelebA.txt").write_text("\n".join([*owners, ""]))
    return folder


def write_lists(folder: Path, users: Sequence[str], train: int, test: int) -> None:
    """Lists in LEAF's format beside the images: each user has the next `train` + `test` numbers, from 1."""
    lists: dict[str, dict[str, dict[str, list]]] = {TRAIN_LIST: {}, TEST_LIST: {}}
    number = 1
    for user in users:
        for name, size in ((TRAIN_LIST, train), (TEST_LIST, test)):
            own = range(number, number + size)
            lists[name][user] = {"x": [name_of(n) for n in own], "y": [float(smiles(n)) for n in own]}
            number += size
    for name, data in lists.items():
        sizes = [len(entry["x"]) for entry in data.values()]
        content = {"users": list(data), "num_samples": sizes, "user_data": data}
        (folder / name).write_text(json.dumps(content))
