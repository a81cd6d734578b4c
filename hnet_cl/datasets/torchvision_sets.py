"""Any classification dataset of torchvision, by the name of its class."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from hnet_cl.core.capacity import memory_limit, require_memory
from hnet_cl.core.errors import Interrupted, UserError, first_line
from hnet_cl.core.suggest import offered
from hnet_cl.datasets._fetch import quiet_download
from hnet_cl.datasets._torchvision import import_torchvision
from hnet_cl.datasets.base import Data, Part
from hnet_cl.datasets.colour import ColourImages, every_fifth, in_colour
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import IMAGENET

_log = logging.getLogger(__name__)


class Torchvision(ColourImages):
    """A dataset class of torchvision, its images resized to `size` x `size` without cropping, in colour.

    Training and test images are those of `train=True` and `train=False` where the class has this argument, else of
    the two `splits` where it has `split` (or `image_set`), else four fifths and one fifth of each class.
    """

    class Settings(ColourImages.Settings):
        of: Annotated[str, Field(min_length=1)]
        size: Annotated[int, Field(ge=8, le=1024)]
        splits: Annotated[list[str], Field(min_length=2, max_length=2)]
        arguments: Mapping[str, Any] | None
        normalize: bool

    statistics = IMAGENET

    def load(self) -> Data:
        """Reads all images from `data_dir`, after a download if the class offers one and they are missing.

        Raises:
            UserError: there is no such class, it does not take the settings, or the data are missing or damaged.
        """
        kind = self._kind()
        halves = [self._made(kind, half) for half in _halves(kind, self.settings.splits)]
        parts = [self._read(half) for half in halves]
        names = _class_names(halves[0], parts)
        if len(parts) == 1:
            _log.info("dataset.of=%s has no test images: every fifth image of each class is one", self.settings.of)
            parts = every_fifth(parts[0])
        train, test = parts
        identity = DataIdentity(self.settings.of, "torchvision", fingerprint(*train, *test))
        return Data(train, test, names, identity)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Returns (3, size, size): the shape of the resized images."""
        return 3, self.settings.size, self.settings.size

    def _kind(self) -> Any:
        """Returns the class; it must be one of torchvision's own.

        Raises:
            UserError: it is not.
        """
        datasets = import_torchvision().datasets
        known = [name for name in datasets.__all__ if _is_dataset(getattr(datasets, name), datasets.VisionDataset)]
        if self.settings.of not in known:
            raise UserError(f"{self._of}: torchvision has no such dataset{offered(self.settings.of, known)}")
        return getattr(datasets, self.settings.of)

    @property
    def _of(self) -> str:
        return f"{self.settings.key('of')}={self.settings.of}"

    def _made(self, kind: Any, half: Mapping[str, Any]) -> Any:
        """Builds torchvision's object for one half of the data; tries a download if it cannot be built without."""
        takes = _arguments(kind)
        root = {"root": str(self.data_dir)} if "root" in takes else {}
        typed = {**(self.settings.arguments or {}), **half}
        arguments = {**root, **typed}
        if unknown := [name for name in arguments if name not in takes]:
            key = f"{self.settings.key('arguments')}.{unknown[0]}"
            raise UserError(f"{key}: {self.settings.of} has no such argument{offered(unknown[0], takes)}")
        tries = [arguments, {**arguments, "download": True}] if "download" in takes else [arguments]
        for given in tries:
            try:
                with quiet_download():
                    return kind(**given)
            except (KeyboardInterrupt, Interrupted):
                raise
            except Exception as error:  # missing files, damaged ones, wrong arguments, no network: of any kind
                failure = error
        shown = ", ".join(f"{name}={value}" for name, value in typed.items())
        raise UserError(
            f"{self._of}{f' with {shown}' if shown else ''}: torchvision cannot read it from {self.data_dir} nor fetch "
            f"it ({first_line(failure)}); put it there as torchvision's documentation says, or set data_dir (or "
            f"HNET_CL_DATA) to the folder that has it, or change {self.settings.key('splits')} or "
            f"{self.settings.key('arguments')}"
        ) from failure

    def _read(self, half: Any) -> Part:
        """Decodes all images of one half of the data.

        Raises:
            UserError: they do not fit into memory, cannot be read, or are not labelled by classes.
        """
        side = self.settings.size
        require_memory(
            len(half) * 3 * side * side, memory_limit(), f"{self.settings.key('size')}={side}", "images take"
        )
        images, labels = torch.empty(len(half), 3, side, side, dtype=torch.uint8), torch.empty(len(half)).long()
        for number in range(len(half)):
            try:
                image, label = half[number][:2]
                images[number] = in_colour(image, side)
            except (OSError, ValueError, TypeError, AttributeError, RuntimeError, SyntaxError) as error:
                raise UserError(f"{self._of}: its example {number} cannot be read ({first_line(error)})") from error
            if not isinstance(label, int | np.integer):
                raise UserError(
                    f"{self._of}: is labelled by {type(label).__name__}, not by classes; choose a dataset for "
                    "classification, or other arguments"
                )
            labels[number] = int(label)
        return Part(images, labels)


def _is_dataset(found: Any, base: type) -> bool:
    return inspect.isclass(found) and issubclass(found, base) and found is not base


def _arguments(kind: Any) -> list[str]:
    """Returns the names of all arguments of a class's constructor, with those that it passes on to its bases."""
    found: dict[str, None] = {}
    for parent in kind.__mro__:
        parameters = inspect.signature(parent).parameters.values() if "__init__" in vars(parent) else ()
        found |= {one.name: None for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
        if parameters and not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return list(found)


def _halves(kind: Any, splits: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the arguments that choose training and test images; a single entry if the class has no test images."""
    takes = _arguments(kind)
    if "train" in takes:
        return [{"train": True}, {"train": False}]
    for name in ("split", "image_set"):
        if name in takes:
            return [{name: split} for split in splits]
    return [{}]


def _class_names(half: Any, parts: Sequence[Part]) -> list[str]:
    """Returns torchvision's names of the classes if it has them, all different; else their numbers."""
    number = 1 + max(int(part.labels.max()) for part in parts)
    names = [str(name[0] if isinstance(name, tuple) else name) for name in getattr(half, "classes", ())]
    if len(names) >= number and len(set(names)) == len(names):
        return names
    return [str(label) for label in range(number)]
