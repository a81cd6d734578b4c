"""The only place that imports torchvision for data sets, and for networks that compute features."""

import warnings
from types import ModuleType

from hnet_cl.core.importing import heal_torchvision


def import_torchvision() -> ModuleType:
    """Returns torchvision with working `datasets`, `transforms` and `models`; the import takes seconds."""
    heal_torchvision()
    with warnings.catch_warnings():
        # versions before 0.20 warn that compiled image functions are missing; these are not used here
        warnings.filterwarnings("ignore", "Failed to load image Python extension")
        import torchvision

    return torchvision
