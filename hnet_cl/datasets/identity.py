"""The identity of the data of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataIdentity:
    """The identity of the data of a run.

    Attributes:
        name: of the data, e.g. mnist or mnist-5k.
        source: where they came from.
        checksum: of their contents.
        fixed: whether the settings alone determine the data, because they are computed, or verified by published
            checksums.
        stand_in: whether they replace other data that could not be obtained.
    """

    name: str
    source: str
    checksum: str
    fixed: bool = False
    stand_in: bool = False
