"""Networks that start from given weights."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.targets.starting import other_outputs, start_from


class Small(nn.Sequential):
    """A norm with buffers between two layers."""

    def __init__(self, outputs: int) -> None:
        super().__init__(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, outputs))


HEAD = ["2.weight", "2.bias"]


def weights(outputs: int = 4, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """What a file holds, all of its numbers different from those of a new network."""
    state = {name: 2 * tensor + 1 for name, tensor in Small(outputs).state_dict().items()}
    return {name: tensor for name, tensor in state.items() if name not in without}


def same(network: nn.Module, state: Mapping[str, Tensor]) -> set[str]:
    return {name for name, tensor in network.state_dict().items() if name in state and tensor.equal(state[name])}


def test_weights_and_buffers_are_those_of_the_file() -> None:
    state, network = weights(), Small(4)
    start_from(network, state, 4)
    assert same(network, state) == {*state} and other_outputs(network, state, 4) == []
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("state", [weights(7), weights(4, ("2.bias",)), weights(4, ("2.weight", "2.bias"))])
def test_another_output_layer_stays_at_random(state: dict[str, Tensor]) -> None:
    network = Small(4)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    start_from(network, state, 4)
    assert other_outputs(network, state, 4) == HEAD
    assert same(network, state) == {*weights()} - {*HEAD} and same(network, before) == {*HEAD}


def test_the_counter_of_batches_may_be_missing() -> None:
    state, network = weights(without=("1.num_batches_tracked",)), Small(4)
    start_from(network, state, 4)
    assert same(network, state) == {*state} and network[1].num_batches_tracked == 0


def test_other_names_and_shapes_are_a_line_each() -> None:
    state = weights(without=("0.bias", "1.running_mean")) | {"0.weight": torch.ones(3, 5), "fc.weight": torch.ones(1)}
    network = Small(4)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match="lacks") as error:
        start_from(network, state, 4)
    assert str(error.value).splitlines() == [
        "lacks what Small has: 0.bias, 1.running_mean",
        "has what Small lacks: fc.weight",
        "has other shapes: 0.weight (3, 5) in place of (3, 2)",
    ]
    assert same(network, before) == {*before}


def test_numbers_of_another_kind_or_none_are_a_line_each() -> None:
    odd = {
        "0.weight": weights()["0.weight"].to(torch.complex64),
        "0.bias": torch.ones(3, dtype=torch.int64),
        "1.weight": torch.tensor([1.0, torch.nan, 2.0]),
        "2.bias": torch.full((4,), 1e300, dtype=torch.float64),
    }
    with pytest.raises(ValueError, match="kinds") as error:
        start_from(Small(4), weights() | odd, 4)
    assert str(error.value).splitlines() == [
        "has other kinds of numbers: 0.weight torch.complex64 in place of torch.float32, "
        "0.bias torch.int64 in place of torch.float32",
        "has NaN or infinite numbers: 1.weight, 2.bias",
    ]


def test_names_stay_on_their_line_and_send_nothing_to_the_terminal() -> None:
    with pytest.raises(ValueError, match="lacks") as error:
        start_from(Small(4), weights() | {"\x1b[31mRED\n": torch.ones(1)}, 4)
    assert str(error.value) == r"has what Small lacks: '\x1b[31mRED\n'"
