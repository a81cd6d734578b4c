"""Gates of hidden units: factors of columns are factors of units, and networks that are no chain are refused."""

from collections.abc import Callable

import pytest
import torch
from builders import blobs, learner
from networks import CHAINS, NETWORKS, PLAIN_LAYERS, WIDTH, Network
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.methods.parts.affine_layers import affine_layers
from hnet_cl.methods.parts.gates import require_chain

INPUTS = torch.tensor([[0.5, -0.2], [1.0, 0.3], [-0.4, 0.8]])


class Image(nn.Module):
    """A convolution, pooling, another one, and two linear layers; `between` gives the gated values of each."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 2, 3, padding=1)
        self.dense, self.head = nn.Linear(2 * 2 * 2, 5), nn.Linear(5, num_outputs)

    def forward(self, x: Tensor, gates: tuple[Tensor, ...] = ()) -> Tensor:
        one, two, three = gates or (torch.ones(3), torch.ones(2), torch.ones(5))
        x = nn.functional.max_pool2d(self.first(x.view(-1, 1, 1, 2).expand(-1, 1, 4, 2).repeat(1, 1, 1, 2)).relu(), 2)
        x = self.second(x * one[:, None, None]).tanh() * two[:, None, None]
        return self.head(self.dense(x.flatten(1)).sigmoid() * three)


def test_gates_of_columns_are_gates_of_units() -> None:
    made = learner("xdg", blobs(), target=Image)
    made.inspect(INPUTS)
    assert made.units == [3, 2, 5]
    gates = torch.tensor([0.5, 0.0, 2.0]), torch.tensor([0.3, 1.0]), torch.tensor([0.0, 1.0, -1.0, 0.2, 1.0])
    made._gates[0] = list(gates)
    torch.testing.assert_close(made.logits(INPUTS, 0), made.network(INPUTS, gates))
    assert made.weights_for(0)[0] is made.weights[0], "the first layer reads inputs"


@pytest.mark.parametrize("name", sorted(PLAIN_LAYERS))
def test_networks_that_are_no_chain_are_refused(name: str) -> None:
    network = NETWORKS[name](4)
    layers = affine_layers(network, "hat")
    if name not in CHAINS:
        with pytest.raises(
            UserError, match=r"method=hat opens .* must read the one before, unit by unit, and [\w.]+ does"
        ):
            require_chain(network, layers, INPUTS, "hat")
    else:
        require_chain(network, layers, INPUTS, "hat")


class Skips(Network):
    """Adds what the first layer has given to what the one in between gives."""

    def middle(self, h: Tensor) -> Tensor:
        return self.between(h.tanh()) + h


class Joins(Network):
    """Hands on two units for each one, as the layer after next reads twice as many."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, nn.Identity)
        self.head = nn.Linear(2 * WIDTH, num_outputs)

    def middle(self, h: Tensor) -> Tensor:
        return torch.cat([h, h], 1)


class FromInputs(Network):
    """The last layer reads inputs."""

    def forward(self, x: Tensor) -> Tensor:
        self.first(x)
        return self.head(x.repeat(1, WIDTH // 2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Skips(2, nn.Linear(WIDTH, WIDTH)),
        lambda: Network(2, nn.LayerNorm(WIDTH, elementwise_affine=False)),
        lambda: Network(2, nn.Softmax(1)),
        lambda: Joins(2),
        lambda: FromInputs(2),
    ],
)
def test_units_that_mix_are_found(make: Callable[[], nn.Module]) -> None:
    network = make()
    with pytest.raises(UserError, match="and head does not; use a target whose layers form one chain"):
        require_chain(network, affine_layers(network, "xdg"), INPUTS, "xdg")
