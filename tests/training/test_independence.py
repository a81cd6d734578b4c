"""Networks that treat each example on its own, and others."""

from dataclasses import replace

import pytest
import torch
from builders import CPU, blobs, maker
from torch import Tensor, nn

from hnet_cl.core.errors import UserError
from hnet_cl.core.processes import Place
from hnet_cl.core.ranks import Ranks
from hnet_cl.training.independence import require_independent
from hnet_cl.training.rehearsal import rehearsed

INPUTS = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])


class Drawing(nn.Module):
    """Adds noise in evaluation, too."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + torch.randn_like(inputs)


@pytest.mark.parametrize(
    "network",
    [
        nn.Linear(2, 3),
        nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.GroupNorm(2, 4)),
        nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(2, 2)),
    ],
)
def test_examples_on_their_own(network: nn.Module) -> None:
    require_independent(network, "target._target_=a.B", INPUTS)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.BatchNorm1d(2), "target._target_=a.B: what it makes of an example in training depends on the others"),
        (nn.BatchNorm1d(2, track_running_stats=False), "what it makes of an example in training depends"),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), "target._target_=a.B: draws random numbers in training"),
        (Drawing(), "draws random numbers in training"),
    ],
)
def test_others_are_refused(network: nn.Module, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        require_independent(network, "target._target_=a.B", INPUTS)
    assert "\n" not in str(error.value)


def test_a_rehearsal_for_several_processes_refuses_others() -> None:
    def target(num_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, num_outputs))

    benchmark = blobs()
    make, context = maker("finetune", benchmark, target=target)
    rehearsed(make, context, benchmark.tasks, 8)
    ranks = Ranks(Place(0, 2), torch.distributed.HashStore(), CPU, 8, lambda: False)
    with pytest.raises(UserError, match=r"^target\._target_=torch.nn.modules.container.Sequential: what it makes of"):
        rehearsed(make, replace(context, ranks=ranks), benchmark.tasks, 8)


def test_a_frozen_batch_norm_is_one_of_the_first_kind() -> None:
    class Frozen(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(False)
            return self

    require_independent(Frozen(2), "target._target_=a.B", INPUTS)
