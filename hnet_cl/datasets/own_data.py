"""The base class of datasets in files of the user's own, at a place that he names."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
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

    def require_root(self) -> None:
        """Checks that there is something at the root.

        Raises:
            UserError: there is nothing, or it may not be looked at.
        """
        given, place = shown(self.settings.root), shown(self.root.absolute())
        try:
            there = self.root.exists()
        except OSError as error:
            raise UserError(
                f"{self.settings.key('root')}={given}: cannot be looked at ({error.strerror}); give a place that can"
            ) from error
        if not there:
            raise UserError(
                f"{self.settings.key('root')}={given}: there is nothing at {place}; give the place of your data"
            )
