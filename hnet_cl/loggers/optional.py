"""Packages that a logger needs and hnet_cl does without."""

import importlib.util


def require(package: str, extra: str) -> None:
    """Refuses a logger whose package is missing; nothing is imported.

    Raises:
        ValueError: it is not installed. A folder of that name, such as wandb makes, is no package.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError(f"{package} is not installed; pip install 'hnet-cl[{extra}]'")
