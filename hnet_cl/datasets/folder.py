"""Images of a user's own, from a folder per class or a list of them."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import printable, shown
from hnet_cl.datasets.base import Data, Part
from hnet_cl.datasets.cache import FOLDER
from hnet_cl.datasets.held_out import held_out, in_order, listed, require_both
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.image_list import ImageFile, ImageList, in_csv, in_folders
from hnet_cl.datasets.image_pixels import Background, Fit, Form, decode
from hnet_cl.datasets.images import AUGMENTATIONS, Augmentation
from hnet_cl.datasets.own_data import OwnData
from hnet_cl.datasets.pixel_cache import Pixels, Source, load_pixels

TEST = "test"  # the part that test images are in

_log = logging.getLogger(__name__)


class ImageFolder(OwnData):
    """Images in a folder per class, or listed in a csv file, brought to one form.

    The layout is that of torchvision's ImageFolder: `root`/CLASS/**, where a share of each class is held out as test
    images, or `root`/train/CLASS/** and `root`/test/CLASS/**. Decoded images are cached, and stay on disk: `images` of
    both parts are memory-mapped and must not be written to.
    """

    class Settings(OwnData.Settings):
        csv: str | None
        size: Annotated[int, Field(ge=1, le=4096)] | None
        channels: Literal[1, 3]
        fit: Fit
        background: Background | None
        unreadable: Literal["error", "skip"]
        augment: Augmentation

    def load(self) -> Data:
        """Lists, decodes and caches the images.

        Raises:
            UserError: there are none, the list is wrong, images cannot be used, classes lack training or test images,
                or files change meanwhile.
        """
        self.require_root()
        where, found = shown(self.root), self._list()
        if found.others:
            _log.info("%s: not used, as they are no images of a class: %s", where, listed(found.others))
        class_names = in_order(image.label for image in found.images)
        labels = _labels(found.images, class_names)
        test = self._test(found.images, labels, class_names)
        order = torch.cat([(~test).nonzero()[:, 0], test.nonzero()[:, 0]])
        images = [found.images[position] for position in order.tolist()]
        pixels = load_pixels(self._source(images), self.data_dir / FOLDER)
        if self._list() != found:
            raise UserError(f"{where}: files were added or removed while the images were read; run the command again")
        usable = pixels.usable
        if unusable := [image.path for image, good in zip(images, usable.tolist(), strict=True) if not good]:
            _log.warning("%s: %d images cannot be used and are left out: %s", where, len(unusable), listed(unusable))
        used = order[usable]
        cut = int((~test[used]).sum())
        train, last = Part(pixels.images[:cut], labels[used[:cut]]), Part(pixels.images[cut:], labels[used[cut:]])
        require_both(train.labels, last.labels, class_names, where)
        checksum = _checksum(self.form, images, test[order].tolist(), pixels)
        identity = DataIdentity(printable(self.root.resolve().name), "files", checksum)
        return Data(train, last, class_names, identity, _groups(found.images, class_names, where))

    @property
    def form(self) -> Form:
        """Returns the form that all images are brought to."""
        settings = self.settings
        return Form(settings.channels, settings.size, settings.fit, settings.background)

    @property
    def decoder(self) -> Callable[[bytes], Tensor]:
        """Returns a function that decodes a file, and resizes and crops the image."""
        return lambda content: torch.from_numpy(decode(content, self.form)).unsqueeze(0)

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        """Returns the augmentation that the settings choose."""
        return AUGMENTATIONS[self.settings.augment]

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Returns (channels, size, size); None if each folder's images have a size of their own."""
        size = self.settings.size
        return None if size is None else (self.settings.channels, size, size)

    def _list(self) -> ImageList:
        return in_folders(self.root) if self.settings.csv is None else in_csv(self.root / at_home(self.settings.csv))

    def _test(self, images: Sequence[ImageFile], labels: Tensor, class_names: Sequence[str]) -> Tensor:
        """Returns a mask (n,) of the test images, as the list says or else drawn from the seed."""
        if images[0].part is None:
            return held_out(labels, class_names, self.settings.test_share, self.settings.seed, shown(self.root))
        return torch.tensor([image.part == TEST for image in images])

    def _source(self, images: Sequence[ImageFile]) -> Source:
        skip, key = self.settings.unreadable == "skip", self.settings.key
        return Source(self.root, [image.path for image in images], self.form, skip, key)


def _labels(images: Sequence[ImageFile], class_names: Sequence[str]) -> Tensor:
    number = {name: label for label, name in enumerate(class_names)}
    return torch.tensor([number[image.label] for image in images])


def _groups(images: Sequence[ImageFile], class_names: Sequence[str], where: str) -> list[list[int]] | None:
    """Returns the classes of each task that the list names; None if it names none.

    Raises:
        UserError: a class is in several tasks, or in none.
    """
    tasks: dict[str, set[str | None]] = {}
    for image in images:
        tasks.setdefault(image.label, set()).add(image.task)
    if all(named == {None} for named in tasks.values()):
        return None
    if wrong := [label for label, named in tasks.items() if len(named) > 1 or None in named]:
        raise UserError(
            f"{where}: images of {listed(wrong)} are in several tasks or in none; expected one task for each class, or "
            "no column task"
        )
    of_label = {label: str(*named) for label, named in tasks.items()}
    numbers = range(len(class_names))
    return [
        [label for label in numbers if of_label[class_names[label]] == task] for task in in_order(of_label.values())
    ]


def _checksum(form: Form, images: Sequence[ImageFile], test: Sequence[bool], pixels: Pixels) -> str:
    """Computes a checksum of names, classes, parts and contents of all images that are used, and of their form."""
    digest = hashlib.sha256(str(form).encode())
    for image, in_test, usable, content in zip(images, test, pixels.usable.tolist(), pixels.digests, strict=True):
        if usable:
            words = (image.path, image.label, str(image.task), str(in_test), content)
            digest.update("\0".join(words).encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()[:16]
