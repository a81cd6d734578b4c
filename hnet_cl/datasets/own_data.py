"""What data of a user's own have in common: the place where they lie, and a share of them to test with."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from hnet_cl.core.atomic_files import at_home
from hnet_cl.datasets.base import Dataset


class OwnData(Dataset):
    """A dataset in files of the user's own, at `root`."""

    class Settings(Dataset.Settings):
        root: str | None
        test_share: Annotated[float, Field(gt=0, lt=1)]
        seed: int

        @field_validator("root")
        @classmethod
        def _given(cls, root: str | None) -> str:
            if not root:
                raise ValueError("give the place of your data, as ~/pictures")
            return root

    @property
    def root(self) -> Path:
        """Returns the place of the data."""
        return Path(at_home(self.settings.root))
