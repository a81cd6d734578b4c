"""Several datasets as one: the examples of all, brought to one shape, with a group of classes for each."""

import hashlib
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from hnet_cl.core.chosen import Chosen
from hnet_cl.core.errors import UserError
from hnet_cl.datasets.base import Data, Dataset, Part, examples
from hnet_cl.datasets.fitting import Shape, common_shape, fit
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Scale


class Several(Dataset):
    """The datasets `of`, in the given `order`; a class is called after its dataset and its name there.

    Images are brought to one shape as `fit` says, with sides of `size` pixels (None: the largest). Vectors must have
    the same shape already. Inputs are only scaled to 0..1.
    """

    class Settings(Dataset.Settings):
        of: dict[str, Chosen[Dataset]]
        order: list[str]
        size: Annotated[int, Field(ge=1, le=10_000)] | None
        enlarge: bool

        @model_validator(mode="after")
        def _every_dataset_has_a_place(self) -> Self:
            if not self.of:
                raise ValueError("of={}: no data sets are chosen; give some, as dataset=[mnist,fashion_mnist]")
            if sorted(self.order) != sorted(self.of):
                raise ValueError(f"order={self.order}: give each of {', '.join(self.of)} once")
            return self

    def __init__(self, settings: Settings, data_dir: Path) -> None:
        super().__init__(settings, data_dir)
        self.parts: dict[str, Dataset] = {name: settings.of[name].make(data_dir) for name in settings.order}

    def load(self) -> Data:
        """Loads all datasets and joins them.

        Raises:
            UserError: one cannot be loaded, their examples cannot have one shape, or one normalises its inputs.
        """
        loaded = {name: examples(part) for name, part in self.parts.items()}
        for name, data in loaded.items():
            self._require_scaled(name, data)
        shape = self._shape({name: data.in_shape for name, data in loaded.items()})
        floats = any(part.images.dtype == torch.float32 for data in loaded.values() for part in (data.train, data.test))
        sizes = [len(data.class_names) for data in loaded.values()]
        starts = [sum(sizes[:number]) for number in range(len(sizes))]

        def joined(parts: Sequence[Part]) -> Part:
            fitted = [_as_float(part.images) if floats else part.images for part in parts]
            if shape is not None:
                fitted = [fit(images, shape, self.settings.enlarge) for images in fitted]
            return Part(torch.cat(fitted), torch.cat([part.labels + s for part, s in zip(parts, starts, strict=True)]))

        return Data(
            train=joined([data.train for data in loaded.values()]),
            test=joined([data.test for data in loaded.values()]),
            class_names=[f"{name} {one}" for name, data in loaded.items() for one in data.class_names],
            identity=_identity([data.identity for data in loaded.values()]),
            groups=[range(start, start + size) for start, size in zip(starts, sizes, strict=True)],
        )

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        """Returns the augmentation of all datasets.

        Raises:
            UserError: they have different ones.
        """
        first, *others = (part.augment for part in self.parts.values())
        if any(other != first for other in others):
            names = ", ".join(self.parts)
            raise UserError(f"{self.settings.key('of')}: {names} are augmented in different ways; make these alike")
        return first

    @property
    def image_shape(self) -> Shape | None:
        """Returns the shape of all images; None if that of one dataset is not known before it is read."""
        shapes = [part.image_shape for part in self.parts.values()]
        known = [shape for shape in shapes if shape is not None]
        return common_shape(known, self.settings.size) if len(known) == len(shapes) else None

    @property
    def num_classes(self) -> int | None:
        """Returns the number of classes of all datasets; None if one of them is not known."""
        numbers = [part.num_classes for part in self.parts.values()]
        return None if None in numbers else sum(number or 0 for number in numbers)

    @property
    def num_examples(self) -> int:
        """Returns the sum over all datasets."""
        return sum(part.num_examples for part in self.parts.values())

    def memory(self) -> int:
        """Returns the bytes of the joined images; of vectors, those of all datasets."""
        if self.image_shape is None:
            return sum(part.memory() for part in self.parts.values())
        return self.num_examples * prod(self.image_shape)

    def _require_scaled(self, name: str, data: Data) -> None:
        some = data.train.images[:2]
        if not torch.equal(self.parts[name].encoder(some.device)(some), Scale()(some)):
            raise UserError(
                f"{self.settings.key('of')}.{name}: normalises its inputs, and those of several data sets are only "
                "scaled to 0..1; turn that off"
            )

    def _shape(self, shapes: dict[str, Any]) -> Shape | None:
        """Returns the shape that images are brought to; None for vectors, which have one shape already."""
        if all(len(shape) == 3 for shape in shapes.values()):
            return common_shape(list(shapes.values()), self.settings.size)
        if len(set(shapes.values())) > 1:
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UserError(f"{self.settings.key('of')}: only images can be brought to one shape; there are {found}")
        return None


def _as_float(images: Tensor) -> Tensor:
    return Scale()(images)


def _identity(parts: Sequence[DataIdentity]) -> DataIdentity:
    checksums = " ".join(part.checksum for part in parts)
    return DataIdentity(
        " + ".join(part.name for part in parts),
        " + ".join(dict.fromkeys(part.source for part in parts)),
        hashlib.sha256(checksums.encode()).hexdigest()[:16],
        fixed=all(part.fixed for part in parts),
        stand_in=any(part.stand_in for part in parts),
    )
