"""Gates of hidden units: factors by which the next layer multiplies what comes from each unit. A part of methods."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.hypernet import copied, trainable
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.affine_layers import AffineLayer, require_output_layer, require_plain_layers
from hnet_cl.methods.parts.network import called
from hnet_cl.methods.parts.task_weights import TaskWeights
from hnet_cl.targets.bfloat16 import in_float32


class Gated(TaskWeights):
    """A classifier of tasks that are given, each of which has a gate for every hidden unit.

    Hidden units are the outputs of all layers but the last; a convolution has one for each channel. A gate multiplies
    the unit's columns in the weights of the next layer, which is the same as the unit's value after its activation,
    pooling or dropout. So the layers must form one chain.
    """

    def __init__(self, settings: TaskWeights.Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.units = [len(self.weights[layer.weight]) for layer in self.layers[:-1]]

    def inspect(self, inputs: Tensor) -> list[str]:
        name = self.settings.name
        require_plain_layers(self.network, self.layers, inputs, name)
        require_output_layer(self.network, self.layers[-1], inputs, name)
        require_chain(self.network, self.layers, inputs, name)
        return []

    @abstractmethod
    def gates(self, task: int) -> Sequence[Tensor]:
        """Returns the gates (units,) of each hidden layer for a task."""

    def weights_for(self, task: int) -> Sequence[Tensor]:
        weights = [*self.weights]
        for layer, gates in zip(self.layers[1:], self.gates(task), strict=True):
            weights[layer.weight] = weights[layer.weight] * self.columns(layer, gates)
        return weights

    def columns(self, layer: AffineLayer, values: Tensor) -> Tensor:
        """Spreads values (units,) of the layer before over the weights (outputs, ...) that read these units."""
        weight = self.weights[layer.weight]
        spread = values.repeat_interleave(weight.shape[1] // len(values))  # of a flattened image: pixels of a channel
        return spread.view(1, -1, *[1] * (weight.dim() - 2))


def require_chain(network: nn.Module, layers: Sequence[AffineLayer], inputs: Tensor, method: str) -> None:
    """Checks on a few inputs (b, *in_shape) that each layer reads the one before, unit by unit, and nothing else.

    Raises:
        UserError: it does not; the message names the layer.
    """
    copy = copied(in_float32(network)).eval()
    chain = _Chain()
    hooks = [copy.get_submodule(layer.name).register_forward_hook(chain.keep) for layer in layers]
    try:
        copy(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    read = [*map(id, chain.modules)] == [id(copy.get_submodule(layer.name)) for layer in layers]
    for place, layer in enumerate(layers):
        if place:
            weights = [*trainable(copy).values()]
            read = read and chain.reads_by_unit(place, weights[layer.weight].shape[1])
        if not read:
            raise UserError(
                f"{called(network)}: method={method} opens and closes hidden units, for which each nn.Linear or "
                f"nn.Conv2d must read the one before, unit by unit, and {layer.name} does not; use a target whose "
                "layers form one chain, or method=packnet"
            )


class _Chain:
    """Records what layers read and give, in order of use, with gradients that reach back to the layer before alone."""

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self.given: list[Tensor] = []
        self.outputs: list[Tensor] = []

    def keep(self, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        self.modules.append(module)
        self.given.append(given[0].clone())  # the layer's own output may be written into it
        self.outputs.append(output.detach().requires_grad_())
        return self.outputs[-1].clone()

    def reads_by_unit(self, place: int, width: int) -> bool:
        """Tells whether what layer number `place` reads, `width` values or channels, depends on units as gates need.

        The i-th part of it may depend on the i-th unit of the layer before, and on no other output so far.
        """
        given, before = self.given[place], self.outputs[place - 1]
        units = before.shape[1]
        if not given.requires_grad or given.dim() not in (2, 4) or given.shape[1] != width or width % units:
            return False
        parts = given.unflatten(1, (units, width // units))
        for unit in {0, units // 2, units - 1}:
            for output in self.outputs:
                output.grad = None
            parts[:, unit].sum().backward(retain_graph=True)  # torch.autograd.grad does not pass reentrant checkpoints
            others = torch.arange(units, device=before.device) != unit
            if before.grad is not None and before.grad[:, others].any():
                return False
            if any(output.grad is not None and output.grad.any() for output in self.outputs[: place - 1]):
                return False
        return True
