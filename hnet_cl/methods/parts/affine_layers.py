"""The linear layers and convolutions of a network, for methods that protect these layer by layer. A part of methods."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import copied, trainable
from hnet_cl.methods.parts.network import called, refuse_low_rank
from hnet_cl.targets.bfloat16 import in_float32

CLOSE = 1e-3  # relative to the largest number: errors of float32 are smaller, mistakes are larger
KINDS = (nn.Linear, nn.Conv2d)


class AffineLayer(NamedTuple):
    """A layer W a + b: an `nn.Linear`, or an `nn.Conv2d`, whose inputs a are the patches that its kernel sees.

    Attributes:
        name: its path in the network.
        weight: the place of W among the network's trainable parameters.
        bias: the place of b among these; None if there is none, or it is not trained.
    """

    name: str
    weight: int
    bias: int | None

    def joined(self, tensors: Sequence[Tensor]) -> Tensor:
        """Returns what belongs to W and b in `tensors`, one for each parameter, as (outputs, d): b is a last column."""
        weight = tensors[self.weight].flatten(1)
        return weight if self.bias is None else torch.cat([weight, tensors[self.bias][:, None]], 1)

    def width(self, tensors: Sequence[Tensor]) -> int:
        """Returns d, the number of columns of what `joined` returns."""
        return tensors[self.weight][0].numel() + (self.bias is not None)

    def put(self, joined: Tensor, tensors: Sequence[Tensor]) -> None:
        """Writes a matrix, as `joined` returns it, into `tensors`."""
        width = tensors[self.weight][0].numel()
        tensors[self.weight].copy_(joined[:, :width].view_as(tensors[self.weight]))
        if self.bias is not None:
            tensors[self.bias].copy_(joined[:, width])


def affine_layers(network: nn.Module, method: str) -> list[AffineLayer]:
    """Lists the layers of a network that are trained, in the order in which the network registers them.

    Raises:
        UserError: something is trained that is no weight or bias of an `nn.Linear` or `nn.Conv2d` of its own.
    """
    inner = in_float32(network)
    refuse_low_rank(inner, method)
    learned = trainable(inner)
    places = {id(parameter): place for place, parameter in enumerate(learned.values())}
    layers, explained = [], list[int]()
    for name, module in inner.named_modules():
        own = trainable(module) if type(module) in KINDS else {}
        if "weight" in own and own.keys() <= {"weight", "bias"} and getattr(module, "groups", 1) == 1:
            found = {key: places[id(parameter)] for key, parameter in own.items()}
            layers.append(AffineLayer(name, found["weight"], found.get("bias")))
            explained += found.values()
    for place, name in enumerate(learned):
        if explained.count(place) != 1:
            what = "belongs to several layers" if place in explained else "is not the weight or bias of one"
            raise UserError(
                f"{called(network)}: method={method} works on plain nn.Linear and nn.Conv2d layers (groups=1) alone, "
                f"and {name} {what}; use another target, or method=ewc"
            )
    return layers


class _Inputs:
    """Records what goes into layers and comes out, while inside."""

    def __init__(self, network: nn.Module, layers: Sequence[AffineLayer]) -> None:
        self._modules = [network.get_submodule(layer.name) for layer in layers]
        self.seen: list[tuple[int, Tensor, Tensor]] = []  # places of layers, inputs and outputs, in order of use

    def __enter__(self) -> "_Inputs":
        self._hooks = [
            module.register_forward_hook(lambda _, given, output, place=place: self._keep(place, given[0], output))
            for place, module in enumerate(self._modules)
        ]
        return self

    def _keep(self, place: int, given: Tensor, output: Tensor) -> Tensor:
        if output.requires_grad:
            output.retain_grad()
        self.seen.append((place, given.detach().clone(), output))
        return output.clone()  # the next layer may be an in-place activation

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def rows(self, place: int, given: Tensor, bias: bool) -> Tensor:
        """Returns the inputs of a layer as rows (n, d): those of one patch each, with a 1 at the end for a bias."""
        module = self._modules[place]
        weight = module.get_parameter("weight")
        width = weight[0].numel()
        if isinstance(module, nn.Conv2d):
            picking = torch.eye(width, dtype=given.dtype, device=given.device).view(width, *weight.shape[1:])
            parts = {"weight": picking}
            if module.bias is not None:
                parts["bias"] = torch.zeros(width, dtype=given.dtype, device=given.device)
            given = functional_call(module, parts, (given,)).movedim(1, -1)
        rows = given.reshape(-1, width)
        return torch.cat([rows, torch.ones_like(rows[:, :1])], 1) if bias else rows


@torch.no_grad()
def second_moments(network: nn.Module, layers: Sequence[AffineLayer], batches: Iterable[Tensor]) -> list[Tensor]:
    """Computes for each layer the mean of a a^T (d, d), in float64, over its inputs a in evaluation mode.

    A convolution has as many inputs for an example as its output has pixels; a layer that is used several times has
    the inputs of each time. A trained bias counts as the weight of a last input that is 1.

    Args:
        network: the network.
        layers: from `affine_layers`.
        batches: its inputs (n, *in_shape).
    """
    network = in_float32(network).eval()
    widths = [layer.width([*trainable(network).values()]) for layer in layers]
    device = next(network.parameters()).device
    total = [torch.zeros(width, width, dtype=torch.float64, device=device) for width in widths]
    number = [0] * len(layers)
    for batch in batches:
        with _Inputs(network, layers) as inputs:
            network(batch)
        for place, given, _ in inputs.seen:
            rows = inputs.rows(place, given, layers[place].bias is not None).double()
            total[place] += rows.T @ rows
            number[place] += len(rows)
    return [sums / max(1, count) for sums, count in zip(total, number, strict=True)]


def require_plain_layers(network: nn.Module, layers: Sequence[AffineLayer], inputs: Tensor, method: str) -> None:
    """Checks on a few inputs (b, *in_shape) that the layers see all that depends on their weights.

    Raises:
        UserError: a weight is used outside of its layer, or training changes buffers, which all tasks would share.
    """
    copy = copied(in_float32(network)).train()
    before = {name: buffer.clone() for name, buffer in copy.named_buffers()}
    with torch.no_grad():
        copy(inputs)
    at = f"{called(network)}: method={method}"
    for name, buffer in copy.named_buffers():
        if not torch.equal(buffer, before[name]):
            raise UserError(f"{at} keeps what old tasks need, and training changes {name}, which all tasks share; "
                            "use a target without running statistics")  # fmt: skip
    copy = copied(in_float32(network)).eval()
    with _Inputs(copy, layers) as uses:
        outputs = copy(inputs)
    outputs.square().sum().backward()
    weights = [*trainable(copy).values()]
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    expected = [torch.zeros_like(layer.joined(gradients)) for layer in layers]
    for place, given, output in uses.seen:
        if output.grad is not None:
            slope = output.grad if output.dim() == given.dim() != 4 else output.grad.movedim(1, -1)
            rows = uses.rows(place, given, layers[place].bias is not None)
            expected[place] += slope.reshape(-1, slope.shape[-1]).T @ rows
    for layer, found in zip(layers, expected, strict=True):
        true = layer.joined(gradients)
        if not torch.allclose(found, true, rtol=0, atol=CLOSE * true.abs().max().item()):
            raise UserError(f"{at} sees weights through their layers, and {layer.name} is used elsewhere too; "
                            "use another target, or method=ewc")  # fmt: skip


def require_output_layer(network: nn.Module, layer: AffineLayer, inputs: Tensor, method: str) -> None:
    """Checks on a few inputs (b, *in_shape) that a layer is used once, to compute the network's outputs.

    Raises:
        UserError: it is not.
    """
    copy = copied(in_float32(network)).eval()
    with torch.no_grad(), _Inputs(copy, [layer]) as uses:
        outputs = copy(inputs)
    if len(uses.seen) != 1 or not torch.equal(uses.seen[0][2], outputs):
        raise UserError(
            f"{called(network)}: method={method} treats the heads of tasks apart, and its last layer, {layer.name}, "
            "does not give its outputs; use a target that ends with an nn.Linear"
        )
