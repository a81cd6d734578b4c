"""Export of a plain network to a file for other programs."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from hnet_cl.core.atomic_files import replace_file
from hnet_cl.core.errors import UserError


class _Own(nn.Module):
    """A network restricted to some of its outputs."""

    def __init__(self, network: nn.Module, outputs: slice) -> None:
        super().__init__()
        self.network = network
        self.outputs = outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes the logits (b, n) of those outputs for inputs (b, *in_shape)."""
        logits: Tensor = self.network(inputs)
        return logits[:, self.outputs]


def export(network: nn.Module, outputs: slice, path: Path, in_shape: tuple[int, ...]) -> None:
    """Writes a network in the format that the path's suffix says; see `TrainedLearner.export`.

    Args:
        network: the network, in evaluation mode.
        outputs: the network's outputs that an .onnx file computes.
        path: the file to write; its suffix is one of `FORMATS`.
        in_shape: shape of one input.

    Raises:
        UserError: the suffix is another one, or the package for the format is not installed.
        OSError: the file cannot be written.
    """
    write = FORMATS.get(path.suffix.lower())
    if write is None:
        raise UserError(f"file={path}: give a name that ends in {', '.join(FORMATS)}")
    with replace_file(path) as part:
        write(network, part, outputs, torch.zeros(2, *in_shape, device=next(network.parameters()).device))


def _pt(network: nn.Module, part: Path, outputs: slice, example: Tensor) -> None:
    torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, part)


def _safetensors(network: nn.Module, part: Path, outputs: slice, example: Tensor) -> None:
    _needed("safetensors", ".safetensors")
    from safetensors.torch import save_model

    save_model(network, str(part))  # writes shared tensors once


def _onnx(network: nn.Module, part: Path, outputs: slice, example: Tensor) -> None:
    _needed("onnx", ".onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it has a newer exporter, which needs more packages
        torch.onnx.export(
            _Own(network, outputs).eval(),
            (example,),
            str(part),
            input_names=["inputs"],
            output_names=["logits"],
            dynamic_axes={"inputs": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )


def _needed(package: str, ending: str) -> ModuleType:
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(f"{ending} files need the package {package}: pip install 'hnet-cl[export]'") from error


FORMATS: Mapping[str, Callable[[nn.Module, Path, slice, Tensor], None]] = {
    ".pt": _pt,
    ".safetensors": _safetensors,
    ".onnx": _onnx,
}
