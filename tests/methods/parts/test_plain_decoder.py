"""The generator that replays itself."""

import copy

import pytest
import torch
from builders import PLAIN, blobs, learned, learner, sgd
from torch import Tensor

from hnet_cl.methods.base import Samples

BENCHMARK = blobs()


def test_loss_weighs_new_and_replayed_inputs() -> None:
    """By plain gradient descent: the step is the weighted sum of the steps on each alone."""
    made = learner("dgr", BENCHMARK, optimizer=sgd).double()
    made.begin_task(BENCHMARK.tasks[:1])
    new, old = torch.randn(2, 6, 2, dtype=torch.double)
    made.generator.normal = lambda number, draws: torch.ones(number, 3, dtype=torch.double)

    def change(inputs: Tensor, replayed: Tensor | None, share: float) -> list[Tensor]:
        one = copy.deepcopy(made.generator)
        one.optimizer = sgd(one.parameters())
        one.step(inputs, None if replayed is None else Samples(replayed, None), share)
        return [after - before for after, before in zip(one.parameters(), made.generator.parameters(), strict=True)]

    mixed, of_new, of_old = change(new, old, 0.3), change(new, None, 1.0), change(old, None, 1.0)
    for both, a, b in zip(mixed, of_new, of_old, strict=True):
        torch.testing.assert_close(both, 0.3 * a + 0.7 * b)


def test_samples_say_no_task() -> None:
    made = learned(learner("dgr", BENCHMARK), BENCHMARK, 2)
    made.begin_task(BENCHMARK.tasks)
    drawn, shown = made.generator.replay(7), made.generator.samples(4)  # type: ignore[union-attr,operator]
    assert drawn.tasks is None and drawn.inputs.shape == (7, 2)
    assert shown.tasks is None and shown.inputs.shape == (12, 2)


@pytest.mark.parametrize("reset", [True, False])
def test_the_optimiser_goes_on_unless_told(reset: bool) -> None:
    made = learned(learner("dgr", BENCHMARK, generator=PLAIN | {"reset_optimizer": reset}), BENCHMARK, 1, steps=3)
    made.begin_task(BENCHMARK.tasks[:2])
    made.step(*BENCHMARK.tasks[1].train.batch(slice(0, 4)))
    (steps,) = {state["step"].item() for state in made.generator.optimizer.state.values()}  # type: ignore[union-attr]
    assert steps == (1 if reset else 4)
