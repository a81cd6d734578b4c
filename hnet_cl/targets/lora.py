"""Low-rank adaptation: layers whose weights are a fixed matrix plus a product of two small ones (LoRA).

Hu et al., LoRA: low-rank adaptation of large language models, ICLR 2022, section 4.1.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from math import sqrt

from torch import Tensor, nn
from torch.nn.utils import parametrize

from hnet_cl.targets.output_layer import output_layer

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
SHOWN = 12  # names in a message


class LowRank(nn.Module):
    """Computes W + scale * B A, with B A in the shape of W.

    A convolution's kernels (outputs, inputs, *size) are taken as a matrix (outputs, inputs * size). A starts as
    PyTorch's linear layers do, from torch's global generator, and B at 0 (Hu et al.'s code), so that the layer starts
    as it was.

    Args:
        weight: W (outputs, ...), which this module does not keep.
        rank: the number of A's rows and of B's columns.
        scale: factor of B A; alpha / rank in the paper.
    """

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        outputs, inputs = len(weight), weight[0].numel()
        self.A = nn.Parameter(weight.new_empty(rank, inputs))
        self.B = nn.Parameter(weight.new_zeros(outputs, rank))
        self.scale = scale
        nn.init.kaiming_uniform_(self.A, a=sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Maps W to W + scale * B A, both (outputs, ...)."""
        return weight + self.scale * (self.B @ self.A).view_as(weight)


def add_low_rank(network: nn.Module, rank: int, scale: float, pattern: str, num_outputs: int) -> None:
    """Adds a `LowRank` to the weights of linear and convolutional layers and to the input projections of attention.

    The output layer is left out, as it is small and for other outputs than those that W was trained for.

    Args:
        network: the network, which is changed.
        rank, scale: as for `LowRank`.
        pattern: of the layers' names, in the style of a shell.
        num_outputs: the number of the network's outputs, by which its output layer is found.

    Raises:
        ValueError: the pattern fits no such layer.
    """
    last = output_layer(network, num_outputs)
    found = [place for place in _matrices(network) if last is None or place[0] != last[0]]
    chosen = [(layer, weight) for name, layer, weight in found if fnmatchcase(name, pattern)]
    if not chosen:
        names = ", ".join(name for name, *_ in found[:SHOWN]) or "none"
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ValueError(
            f"fits no such layer of {type(network).__name__}; beside the output layer there are {names}{more}"
        )
    for layer, weight in chosen:
        parametrize.register_parametrization(layer, weight, LowRank(getattr(layer, weight), rank, scale))


def low_rank_parts(network: nn.Module) -> Iterator[nn.Parameter]:
    """Yields A and B of all layers that have them."""
    for module in network.modules():
        if isinstance(module, LowRank):
            yield from module.parameters()


def _matrices(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yields the path of each layer that can be adapted, the layer, and the name of its weight."""
    for path, module in network.named_modules():
        if isinstance(module, LAYERS) and not parametrize.is_parametrized(module, "weight"):
            yield path, module, "weight"
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            yield path, module, "in_proj_weight"
