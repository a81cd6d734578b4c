"""Domains: a task for each dataset, whose classes mean the same in all of them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hnet_cl.benchmarks.domains import Domains
from hnet_cl.config.check import check
from hnet_cl.config.composing import compose_job
from hnet_cl.core.chosen import Chosen
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Data, Dataset, Part
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.several import Several

CPU = torch.device("cpu")


class Animals(Dataset):
    """One grey image for each letter of `classes`, as bright as its place in the alphabet."""

    class Settings(Dataset.Settings):
        classes: str
        side: int = 2

    def load(self) -> Data:
        values = torch.tensor([ord(letter) - ord("a") + 1 for letter in self.settings.classes], dtype=torch.uint8)
        images = values.view(-1, 1, 1, 1).repeat(1, 1, self.settings.side, self.settings.side)
        part = Part(images, torch.arange(len(values)))
        return Data(part, part, list(self.settings.classes), DataIdentity("animals", "here", "1"))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (1, self.settings.side, self.settings.side)


def dataset(**classes: str) -> Several:
    of: dict[str, Chosen[Dataset]] = {}
    for number, (name, letters) in enumerate(classes.items()):
        settings = Animals.Settings(name=name, classes=letters, side=2 + 2 * (number % 2))
        of[name] = Chosen(Animals, settings)
    return Several(Several.Settings(name="several", of=of, order=list(of), size=None, enlarge=False), Path("unused"))


def settings(num_tasks: int | None = None) -> Any:
    return Domains.Settings(name="domains", num_tasks=num_tasks)


def brightness(benchmark: Domains, task: int) -> list[int]:
    """The largest pixel of the image of each class, in the order of the labels."""
    inputs, labels = benchmark.tasks[task].test.batch(slice(None))
    return (inputs.flatten(1).amax(1) * 255).round()[labels.argsort()].int().tolist()


def test_a_task_for_each_dataset() -> None:
    benchmark = Domains(settings(), dataset(photo="abc", sketch="abc"), CPU)
    assert [(task.id, task.name, task.classes) for task in benchmark.tasks] == [
        (0, "photo", ["a", "b", "c"]),
        (1, "sketch", ["a", "b", "c"]),
    ]
    assert benchmark.in_shape == (1, 4, 4) and benchmark.class_counts == (3, 3)
    assert brightness(benchmark, 0) == brightness(benchmark, 1) == [1, 2, 3]
    assert benchmark.tasks[0].train.batch(slice(None))[0].count_nonzero() == 3 * 4  # 2 x 2 pixels in 4 x 4
    assert len(Domains(settings(1), dataset(photo="abc", sketch="abc"), CPU).tasks) == 1


def test_the_same_classes_in_another_order_get_the_same_labels() -> None:
    benchmark = Domains(settings(), dataset(photo="abc", sketch="cab"), CPU)
    assert brightness(benchmark, 0) == brightness(benchmark, 1) == [1, 2, 3]
    assert benchmark.tasks[1].classes == ["a", "b", "c"]


def test_other_classes_share_their_numbers() -> None:
    benchmark = Domains(settings(), dataset(one="ab", other="xyz"), CPU)
    assert [task.classes for task in benchmark.tasks] == [["a", "b"], ["x", "y", "z"]]
    assert brightness(benchmark, 1) == [24, 25, 26]


def test_a_class_with_two_numbers_is_refused() -> None:
    line = r"^benchmark=domains: class b is number 2 of photo and number 1 of sketch, and tasks share their classes by"
    with pytest.raises(UserError, match=line):
        Domains(settings(), dataset(photo="abc", sketch="bcd"), CPU)


def test_more_tasks_than_datasets() -> None:
    given = dataset(photo="ab", sketch="ab")
    assert Domains.unsupported(settings(2), given) is None and Domains.unsupported(settings(), given) is None
    assert Domains.unsupported(settings(3), given) == "num_tasks=3: there are 2 data sets (photo, sketch); give no more"


def test_images_of_every_dataset_become_inputs() -> None:
    given = dataset(photo="abc", sketch="abc")
    benchmark = Domains(settings(), given, CPU)
    kinds = Domains.image_kinds(settings(), given, None)
    assert [(kind.channels, kind.height, kind.width, kind.of_task) for kind in kinds] == [
        (1, 4, 4, False),
        (1, 2, 2, False),
    ]
    for task, kind in enumerate(reversed(kinds)):
        own = next(part for part in given.parts.values() if part.image_shape == (1, kind.height, kind.width)).load()
        assert torch.equal(kind.encode(own.test.images), benchmark.tasks[task].test.batch(slice(None))[0])


def test_five_datasets() -> None:
    settings = compose_job(["benchmark=five_datasets"], None).settings
    assert settings["benchmark"]["name"] == "five_datasets"
    plan = check(settings)
    assert plan.dataset is not None
    made = plan.dataset.make(Path("unused"))
    assert isinstance(made, Several)
    assert list(made.parts) == ["mnist", "fashion_mnist", "kmnist", "svhn", "cifar10"]
    assert made.image_shape == (3, 32, 32) and made.num_classes == 50
