"""The one place that imports torchvision."""

from types import ModuleType

from hnet_cl.core.importing import heal_torchvision


def import_torchvision() -> ModuleType:
    """Torchvision with working `datasets`, `transforms` and `models`; the import takes seconds."""
    heal_torchvision()
    import torchvision

    return torchvision
