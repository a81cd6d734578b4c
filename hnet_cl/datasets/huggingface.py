"""Any image classification dataset of the Hugging Face Hub, or in a local folder that its library reads."""

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator
from torch import Tensor

from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.capacity import memory_limit, require_memory
from hnet_cl.core.checks import attempt
from hnet_cl.core.errors import Interrupted, UserError, first_line
from hnet_cl.core.optional import require
from hnet_cl.core.plain_text import printable, shown
from hnet_cl.datasets._fetch import quiet_download
from hnet_cl.datasets.base import Data, Part
from hnet_cl.datasets.colour import ColourImages, every_fifth, in_colour
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.held_out import in_order, listed, require_both
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import IMAGENET

PACKAGE = "datasets"
SAVED = ("dataset_dict.json", "state.json")  # files of a folder that `save_to_disk` made: of several splits, of one
LABEL = "label"  # the usual name of the column
NAMED = 8  # columns or splits in a message

_log = logging.getLogger(__name__)


class HuggingFace(ColourImages):
    """A dataset of the library `datasets`, its images resized to `size` x `size` without cropping, in colour.

    A name is looked for on the Hub, and in the library's own cache if the Hub cannot be reached.
    """

    class Settings(ColourImages.Settings):
        path: str | None
        config: str | None
        splits: Annotated[list[str | None], Field(min_length=2, max_length=2)]
        image: str | None
        label: str | None
        size: Annotated[int, Field(ge=8, le=1024)]
        normalize: bool

        @field_validator("path")
        @classmethod
        def _given(cls, path: str | None) -> str:
            if not path:
                raise ValueError("give a name on the Hub, as uoft-cs/cifar100, or a folder")
            return path

        @field_validator("splits")
        @classmethod
        def _something_to_learn(cls, splits: list[str | None]) -> list[str | None]:
            if splits[0] is None or splits[0] == splits[1]:
                raise ValueError("give two different ones, or null for the second")
            return splits

    statistics = IMAGENET

    def load(self) -> Data:
        """Reads the splits and decodes their images.

        Raises:
            UserError: the library is missing, the dataset cannot be read, or it has no such splits or columns, or other
                labels than classes.
        """
        library = self._library()
        splits = self._splits(library)
        image, label = self._columns(library, splits[0])
        raw = [self._labels(split, label) for split in splits]
        names, labels = _numbered(raw, getattr(splits[0].features[label], "names", None))
        parts = [Part(self._images(split, image), part) for split, part in zip(splits, labels, strict=True)]
        if len(parts) == 1:
            parts = every_fifth(parts[0])
        train, test = parts
        require_both(train.labels, test.labels, names, self._path)
        name = printable(Path(self._place).resolve().name if self._is_folder else self._place)
        return Data(train, test, names, DataIdentity(name, PACKAGE, fingerprint(*train, *test)))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Returns (3, size, size): the shape of the resized images."""
        return 3, self.settings.size, self.settings.size

    @property
    def _place(self) -> str:
        return at_home(self.settings.path)

    @property
    def _path(self) -> str:
        return f"{self.settings.key('path')}={shown(self.settings.path)}"

    @property
    def _is_folder(self) -> bool:
        return Path(self._place).is_dir()

    def _library(self) -> Any:
        where = f"dataset={self.settings.name}"
        try:
            require(PACKAGE, "huggingface")
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
        with _quiet():
            library = attempt(where, f"import {PACKAGE}", importlib.import_module, PACKAGE)
        if not hasattr(library, "load_dataset"):
            raise UserError(f"{where}: {library.__file__} is another module called {PACKAGE}; rename it")
        return library

    def _splits(self, library: Any) -> list[Any]:
        """Returns the library's object for what is learned and, if that is apart, for what is tested."""
        found = self._read(library)
        if not isinstance(found, Mapping):
            found = {str(found.split or "train"): found}
        chosen = [name for name in self.settings.splits if name is not None]
        if missing := [name for name in chosen if name not in found]:
            typed = ",".join(map(shown, self.settings.splits))
            raise UserError(
                f"{self.settings.key('splits')}=[{typed}]: {self.settings.path} has no {shown(missing[0])} but "
                f"{listed(list(found), NAMED)}; give two of them, or one and null, as [train,null]"
            )
        return [found[name] for name in chosen]

    def _read(self, library: Any) -> Any:
        place, config = self._place, self.settings.config
        _log.info("Reading %s with the library datasets; what is missing is downloaded", self._path)
        try:
            with _quiet():
                if any((Path(place) / name).is_file() for name in SAVED):
                    return library.load_from_disk(place)
                return library.load_dataset(place, config)
        except (KeyboardInterrupt, Interrupted, MemoryError):
            raise
        except Exception as error:  # a download, a damaged file or a wrong configuration: of any kind
            raise UserError(
                f"{self._path}: cannot be read ({first_line(error)}); give a name on the Hub, if that can be reached "
                f"or the set is in its cache, or a folder of images, of parquet files or of save_to_disk, and "
                f"{self.settings.key('config')} if there are several"
            ) from error

    def _columns(self, library: Any, split: Any) -> tuple[str, str]:
        """Returns the names of the columns of images and labels."""
        kinds = split.features
        images = [name for name, kind in kinds.items() if isinstance(kind, library.Image)]
        classes = [name for name, kind in kinds.items() if isinstance(kind, library.ClassLabel)]
        usual = classes if len(classes) == 1 else [name for name in kinds if name == LABEL]
        return self._column("image", images, images, kinds), self._column("label", usual, list(kinds), kinds)

    def _column(self, key: str, usual: Sequence[str], allowed: Sequence[str], kinds: Mapping[str, Any]) -> str:
        typed = getattr(self.settings, key)
        if typed in allowed:
            return str(typed)
        if typed is None and len(usual) == 1:
            return usual[0]
        there = listed([f"{name} ({type(kind).__name__})" for name, kind in kinds.items()], NAMED)
        raise UserError(
            f"{self.settings.key(key)}={shown(typed)}: give the column of the {key}s; {self.settings.path} has {there}"
        )

    def _labels(self, split: Any, column: str) -> list[int | str]:
        """Returns the labels of all examples: whole numbers, or text that can be shown in a line."""
        found = list(split[column])
        for number, label in enumerate(found):
            good = label.strip() and label.isprintable() if isinstance(label, str) else isinstance(label, int)
            if not good or (label == -1 and hasattr(split.features[column], "names")):
                raise UserError(
                    f"{self._path}: its example {number} has the {column} {shown(label)}; expected a class, as a "
                    f"number or as text; choose another {self.settings.key('label')} or other "
                    f"{self.settings.key('splits')}"
                )
        return found

    def _images(self, split: Any, column: str) -> Tensor:
        """Decodes the images (n, 3, size, size) of a split."""
        side, number = self.settings.size, len(split)
        require_memory(number * 3 * side * side, memory_limit(), f"{self.settings.key('size')}={side}", "images take")
        images, only = torch.empty(number, 3, side, side, dtype=torch.uint8), split.select_columns([column])
        for place in range(number):
            try:
                images[place] = in_colour(only[place][column], side)
            except (OSError, ValueError, TypeError, AttributeError, RuntimeError, SyntaxError) as error:
                raise UserError(f"{self._path}: its example {place} cannot be read ({first_line(error)})") from error
        return images


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, the library neither prints nor warns: not of what is tried again, nor of its progress."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet_download(), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _numbered(raw: Sequence[Sequence[int | str]], names: Sequence[str] | None) -> tuple[list[str], list[Tensor]]:
    """Returns the names of the classes, in order, and for each split its labels (n,) int64 that count them from 0.

    `names` are those of the classes by number, if the dataset has them; else the labels themselves are the names.
    """
    if names is not None:
        return list(names), [torch.tensor(labels) for labels in raw]
    order = in_order(str(label) for labels in raw for label in labels)
    position = {name: number for number, name in enumerate(order)}
    return order, [torch.tensor([position[str(label)] for label in labels]) for labels in raw]
