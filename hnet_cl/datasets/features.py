"""The features that a frozen network computes of another dataset."""

import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from hnet_cl.core.chosen import Chosen
from hnet_cl.core.errors import Interrupted, UserError, first_line
from hnet_cl.datasets._frozen import BATCH, Frozen, made
from hnet_cl.datasets.base import Data, Dataset, Part, examples
from hnet_cl.datasets.cache import cached
from hnet_cl.datasets.fingerprint import fingerprint
from hnet_cl.datasets.identity import DataIdentity
from hnet_cl.datasets.images import Encoder

_log = logging.getLogger(__name__)


class Features(Dataset):
    """Vectors (n, d): what a frozen network computes of the examples of the dataset `of`, encoded as that one says.

    They are computed once and cached in `data_dir`, under a checksum of the data, the weights and the settings.
    """

    class Settings(Dataset.Settings):
        of: Chosen[Dataset]
        network: Annotated[str, Field(min_length=1)]
        weights: Annotated[str, Field(min_length=1)] | None
        layer: Annotated[str, Field(min_length=1)] | None
        size: Annotated[int, Field(ge=8, le=1024)] | None

    @property
    def of(self) -> Dataset:
        """Returns the dataset whose features these are, not loaded yet."""
        dataset: Dataset = self.settings.of.make(self.data_dir)
        return dataset

    def load(self) -> Data:
        """Loads the dataset and computes its features, or takes them from the cache.

        Raises:
            UserError: the dataset, the network or its weights cannot be had, or do not go together.
        """
        settings, of = self.settings, self.of
        if of.augment is not None:
            key = f"{settings.key('of')}.augment"
            raise UserError(
                f"{key}={of.settings.augment}: features are computed once, of images as they are; give none"
            )
        keys = settings.key("network"), settings.key("weights")
        network = made(settings.network, settings.weights, keys)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            frozen = Frozen(network, settings.layer, settings.size, device)
        except ValueError as error:
            raise UserError(f"{settings.key('layer')}={settings.layer}: no such layer; {error}") from error
        data, encoder = examples(of), of.encoder(torch.device("cpu"))
        state = network.state_dict()
        weights = fingerprint(*(tensor.cpu().float() for tensor in state.values()))
        key = self._key(data.identity.checksum, [*state, weights, frozen.looked_at, repr(network)])

        def compute() -> tuple[Tensor, ...]:
            _log.info("Computing features of %s: %s, on %s", data.identity.name, frozen.looked_at, device.type)
            return tuple(self._features(part.images, encoder, frozen) for part in (data.train, data.test))

        train, test = cached(self.data_dir, "features", key, compute)
        _log.info("%s: %s of %s, %d numbers", settings.name, frozen.looked_at, settings.network, train.shape[1])
        identity = DataIdentity(
            f"{data.identity.name}-{settings.network}",
            f"{settings.weights or 'weights as made'}, of {data.identity.source}",
            key,
            stand_in=data.identity.stand_in,
        )
        return Data(
            Part(train, data.train.labels), Part(test, data.test.labels), data.class_names, identity, data.groups
        )

    def _key(self, data: str, network: Sequence[str]) -> str:
        settings = self.settings
        encoded = settings.of.settings.model_dump()
        parts = [data, settings.network, settings.layer, settings.size, encoded, *network]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def _features(self, images: Tensor, encoder: Encoder, frozen: Frozen) -> Tensor:
        """Computes the features (n, d) of examples, a batch at a time.

        Raises:
            UserError: the network does not take such inputs.
        """
        found = []
        for batch in images.split(BATCH):
            try:
                found.append(frozen(encoder(batch)))
            except (KeyboardInterrupt, Interrupted, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:
                shape, key = tuple(encoder(batch[:1]).shape[1:]), self.settings.key
                raise UserError(
                    f"{key('network')}={self.settings.network}: cannot compute features of inputs of shape {shape} "
                    f"({first_line(error)}); choose another network, {key('of')} or {key('size')}"
                ) from error
        return torch.cat(found)

    @property
    def num_classes(self) -> int | None:
        """Returns the number of classes of the dataset `of`."""
        return self.of.num_classes

    @property
    def num_examples(self) -> int:
        """Returns the number of examples of the dataset `of`."""
        return self.of.num_examples

    def memory(self) -> int:
        """Returns the bytes of the dataset `of`, whose images must be in memory to compute features."""
        return self.of.memory()

    def called(self, classes: Sequence[str]) -> str:
        """Returns the name that the dataset `of` has for these classes."""
        return self.of.called(classes)
