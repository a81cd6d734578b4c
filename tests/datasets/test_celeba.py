"""CelebA as a dataset: its published partition, and what its files lead to."""

from pathlib import Path

import pytest
import torch
from tiny_images import name_of, smiles, write_celeba

from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import examples
from hnet_cl.datasets.celeba import CelebA


def faces(data_dir: Path) -> CelebA:
    return CelebA(CelebA.Settings(name="celeba", size=8, augment="flip"), data_dir)


def test_training_and_test_images_are_the_published_ones(tmp_path: Path) -> None:
    folder = write_celeba(tmp_path, 20, [1])
    parts = {number: "0" if number < 10 else "1" if number < 14 else "2" for number in range(1, 21)}
    (folder / "list_eval_partition.txt").write_text("".join(f"{name_of(n)} {part}\n" for n, part in parts.items()))
    data = examples(faces(tmp_path))
    assert data.train.labels.tolist() == [smiles(number) for number in range(1, 10)]
    assert data.test.labels.tolist() == [smiles(number) for number in range(14, 21)]
    assert data.in_shape == (3, 8, 8) == faces(tmp_path).image_shape
    assert torch.equal(data.test.images, faces(tmp_path).images([name_of(number) for number in range(14, 21)]))
    assert (data.identity.name, data.identity.fixed, data.class_names[1]) == ("celeba", False, "smiling")
    assert faces(tmp_path).augment is not None


def test_a_partition_without_test_images_is_one_line(tmp_path: Path) -> None:
    folder = write_celeba(tmp_path, 4, [1])
    with pytest.raises(UserError, match=r"list_eval_partition\.txt cannot be read .*put CelebA there"):
        faces(tmp_path).load()
    (folder / "list_eval_partition.txt").write_text("".join(f"{name_of(n)} 0\n" for n in range(1, 5)))
    with pytest.raises(UserError, match=r"list_eval_partition\.txt names no image of part 2: download it again"):
        faces(tmp_path).load()
