"""Optional packages that individual parts need."""

import importlib.util


def require(package: str, extra: str) -> None:
    """Refuses a part whose package is not installed, without importing the package.

    Args:
        package: name of the module.
        extra: the extra of hnet-cl that installs it.

    Raises:
        ValueError: it is not installed. A mere folder of that name, as wandb creates one, does not count.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ValueError(f"{package} is not installed; pip install 'hnet-cl[{extra}]'")
