"""An empty database of searches, made once: its tables take longer than all that is tested with it."""

import shutil
from pathlib import Path

import pytest

from hnet_cl.sweeps.study import open_storage


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "search.db"
    open_storage(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(_tables: Path, tmp_path: Path) -> Path:
    """A file with the tables and nothing in them."""
    return Path(shutil.copy(_tables, tmp_path / "search.db"))
