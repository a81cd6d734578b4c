"""The one place that imports torchvision."""

import sys
from types import ModuleType


def import_torchvision() -> ModuleType:
    """Torchvision with working `datasets`, `transforms` and `models`; the import takes seconds.

    A torchvision built for CUDA beside a torch for CPU only (what a registry's default wheels give on a
    machine without a GPU) cannot load its compiled operators, and its import then stops with `operator
    torchvision::nms does not exist`. Only the module `torchvision._meta_registrations`, which describes
    those operators to torch's compiler, needs them at import, so an empty module takes its place. The
    compiled operators themselves (non-maximum suppression, image decoding) stay missing.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        stub = "torchvision._meta_registrations"
        sys.modules[stub] = ModuleType(stub)
        import torchvision
    return torchvision
