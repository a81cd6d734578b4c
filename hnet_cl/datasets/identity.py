"""Which data were used."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataIdentity:
    """Which data were used: `name` (e.g. mnist, mnist-5k), where they came from, and their checksum.

    `fixed`: the settings alone say which data these are, as they were computed, or verified by published checksums.
    `stand_in`: they take the place of other data that could not be had.
    """

    name: str
    source: str
    checksum: str
    fixed: bool = False
    stand_in: bool = False
