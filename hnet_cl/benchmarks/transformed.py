"""The same classes in every task, with inputs that each task transforms in its own way."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from hnet_cl.benchmarks.base import ImageKind, Protocol, Split, Task
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Dataset, examples
from hnet_cl.datasets.images import Encoder

CPU = torch.device("cpu")


class TransformedInputs(Protocol):
    """`num_tasks` tasks, each with all classes; images are first padded by `padding` zero pixels on each side.

    A subclass has the settings `num_tasks` and `padding`, and says how a task transforms inputs; `takes_vectors` tells
    whether it can do so with examples that are no images.

    Raises:
        UserError: the data cannot be loaded, or are not images although images are needed.
    """

    takes_vectors: ClassVar[bool]

    def __init__(self, settings: Any, dataset: Dataset, device: torch.device) -> None:
        data = examples(dataset)
        self.data = data.identity
        _require_images(data.in_shape, data.identity.name, settings, self.takes_vectors)
        self.in_shape = (*data.in_shape[:-2], *_padded_size(data.in_shape[-2:], settings))
        train, test = (_padded(part.images.to(device), settings) for part in (data.train, data.test))
        train_labels, test_labels = data.train.labels.to(device), data.test.labels.to(device)
        encoder = dataset.encoder(device)
        self.tasks = []
        for task in range(settings.num_tasks):
            prepare = self.transform(settings, task, self.in_shape, encoder, device)
            self.tasks.append(
                Task(
                    id=task,
                    name=self.called(settings, task),
                    train=Split(train, train_labels, prepare, augment=dataset.augment),
                    test=Split(test, test_labels, prepare),
                    num_classes=len(data.class_names),
                    picture=prepare.undo if data.are_images else None,
                    class_names=data.class_names,
                )
            )

    @classmethod
    @abstractmethod
    def transform(
        cls, settings: Any, task: int, shape: Sequence[int], encoder: Encoder, device: torch.device
    ) -> Encoder:
        """Returns the encoder of a task: it turns padded examples (b, *shape) into network inputs of that shape.

        Its `undo` turns inputs into images for people to see. `encoder` is that of the dataset.
        """

    @classmethod
    @abstractmethod
    def called(cls, settings: Any, task: int) -> str:
        """Returns the name of a task."""

    @classmethod
    def memory(cls, settings: Any, dataset: Dataset) -> int:
        """Returns the bytes of the padded examples."""
        if dataset.image_shape is None:
            return dataset.memory()
        pixels = dataset.image_shape[1:]
        return dataset.memory() * prod(_padded_size(pixels, settings)) // prod(pixels)

    @classmethod
    def image_kinds(cls, settings: Any, dataset: Dataset, task: int | None) -> Sequence[ImageKind]:
        """Returns two kinds: original images, to be transformed as in `task`, and images that are transformed already.

        Without a task there is only the latter. Without padding both kinds have the same size: images then count as
        original ones if the task is given, else as transformed ones.
        """
        if dataset.image_shape is None:
            return []
        encoder, size = dataset.encoder(CPU), _padded_size(dataset.image_shape[1:], settings)
        done = ImageKind(dataset.image_shape[0], size[0], size[1], encoder)
        if task is None:
            return [done]
        prepare = cls.transform(settings, task, (dataset.image_shape[0], *size), encoder, CPU)
        return [ImageKind(*dataset.image_shape, _of_original(settings, prepare), of_task=True), done]


def _of_original(settings: Any, prepare: Encoder) -> Callable[[Tensor], Tensor]:
    return lambda images: prepare(_padded(images, settings))


def _require_images(in_shape: Sequence[int], name: str, settings: Any, takes_vectors: bool) -> None:
    """Refuses examples that are not images, if images are needed."""
    if len(in_shape) == 3 or (takes_vectors and not settings.padding):
        return
    what = f"{name} has no images but inputs of shape {tuple(in_shape)}"
    if takes_vectors:
        raise UserError(f"{settings.key('padding')}={settings.padding}: {what}; give {settings.key('padding')}=0")
    raise UserError(f"benchmark={settings.name}: {what}; choose a dataset of images")


def _padded_size(size: Sequence[int], settings: Any) -> tuple[int, ...]:
    return tuple(side + 2 * settings.padding for side in size)


def _padded(images: Tensor, settings: Any) -> Tensor:
    return pad(images, [settings.padding] * 4) if settings.padding else images
