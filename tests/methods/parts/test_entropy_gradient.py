"""Task inference by the gradient of the entropy: against differences of the entropy itself, and worked by hand."""

from typing import Any

import pytest
import torch
from builders import ALONE, blobs, head_map, learned, learner, setup, small_target
from torch import Tensor, nn

from hnet_cl.methods.parts import entropy_gradient
from hnet_cl.methods.parts.entropy_gradient import EntropyGradient
from hnet_cl.methods.parts.inference import entropy
from hnet_cl.methods.parts.task_networks import Candidates, SeparateNetworks
from hnet_cl.scenario import gather_heads

RULE = {"_target_": f"{entropy_gradient.__name__}.EntropyGradient", "halving": False, **ALONE}


def made(method: str, scenario: str, number: int = 3, halving: bool = False, **changes: Any) -> tuple[Any, Tensor]:
    """A learner that has learned some tasks, in double precision, and inputs that are far apart."""
    benchmark = blobs(num_tasks=number)
    rule = RULE | {"halving": halving}
    found = learned(learner(method, benchmark, scenario, task_inference=rule, **changes), benchmark, number, steps=20)
    inputs = 10 * torch.randn(14, 2, generator=torch.Generator().manual_seed(1))
    return found.double(), inputs.double()


def by_differences(learner: Any, inputs: Tensor, tasks: list[int]) -> Tensor:
    """dH/da_i (S, b) at equal shares, by central differences."""
    found, step, size = [], 1e-4, len(tasks)
    for task in range(size):
        ends = []
        for sign in (1, -1):
            shares = torch.full((size,), 1 / size, dtype=torch.double)
            shares[task] += sign * step
            if hasattr(learner, "hypernetwork"):
                hypernetwork = learner.hypernetwork
                embedding = shares @ hypernetwork.embeddings(tasks)
                weights = hypernetwork.generate(hypernetwork.features(embedding[None]))[0]
            else:
                flat = [nn.utils.parameters_to_vector(learner.networks[one].parameters()) for one in tasks]
                weights = shares @ torch.stack(flat)
            network = learner.context.new_target(learner.heads.num_outputs).double().eval()
            nn.utils.vector_to_parameters(weights, network.parameters())
            ends.append(entropy(network(inputs)))
        found.append((ends[0] - ends[1]) / (2 * step))
    return torch.stack(found).detach()


@pytest.mark.parametrize("scenario", ["cl2", "cl3"])
@pytest.mark.parametrize("method", ["hnet", "scratch"])
def test_the_share_that_lowers_the_entropy_most_wins(method: str, scenario: str) -> None:
    found, inputs = made(method, scenario)
    slopes = by_differences(found, inputs, [0, 1, 2])
    answer = found.predict(inputs)
    assert torch.equal(answer.task, slopes.argmin(0)) and len(answer.task.unique()) > 1
    torch.testing.assert_close(answer.task_score, slopes.amin(0), rtol=1e-5, atol=1e-7)
    alone = [found.predict(one) for one in inputs.split(1)]
    assert torch.equal(torch.cat([one.task for one in alone]), answer.task), "each input is decided on its own"


@pytest.mark.parametrize("method", ["hnet", "scratch"])
def test_halves_by_a_plain_loop(method: str) -> None:
    found, inputs = made(method, "cl3", number=5, halving=True)
    answer = found.predict(inputs)
    last = []
    for i, example in enumerate(inputs.split(1)[:4]):
        tasks = [0, 1, 2, 3, 4]
        for left in (3, 2, 1):
            slopes = by_differences(found, example, tasks)[:, 0]
            tasks = sorted(tasks[place] for place in slopes.argsort()[:left].tolist())
        last.append(slopes.min().item())
        assert [answer.task[i].item()] == tasks
    assert answer.task_score[:4].tolist() == pytest.approx(last, rel=1e-5, abs=1e-7)
    one_step, _ = made(method, "cl3", number=5)
    assert not torch.equal(one_step.predict(inputs).task, answer.task)


def test_one_weight_by_hand() -> None:
    """Two tasks with the networks z = (w x, 0), w = 2 and -1, superposed: w = 1/2, and H falls as p leaves 1/2."""
    modules = nn.ModuleList(nn.Linear(1, 2, bias=False) for _ in range(2)).double()
    with torch.no_grad():
        for module, w in zip(modules, (2.0, -1.0), strict=True):
            module.weight.copy_(torch.tensor([[w], [0.0]]))
    context = setup(head_map("cl2", (2, 2)))
    networks = SeparateNetworks(modules, context)
    rule = EntropyGradient(EntropyGradient.Settings(halving=False, images_per_decision=1), context, networks)
    candidates = Candidates(networks, torch.tensor([[1.0], [-3.0]]).double(), 2)
    with torch.no_grad():
        slopes = rule._slopes(candidates, torch.ones(2, 2, dtype=torch.bool))
        inferred = rule.infer(candidates)
    z = torch.tensor([0.5, -1.5]).double()
    p = z.sigmoid()
    of_w = -p * (1 - p) * z * torch.tensor([1.0, -3.0])  # dH/dz = -p (1 - p) z for two classes, dz/dw = x
    torch.testing.assert_close(slopes.double(), torch.stack([2 * of_w, -of_w]), rtol=1e-5, atol=0)
    assert inferred.task.tolist() == [0, 0] and inferred.score.tolist() == pytest.approx((2 * of_w).tolist(), rel=1e-5)


def test_what_cannot_be_differentiated_twice_goes_example_by_example(monkeypatch: pytest.MonkeyPatch) -> None:
    found, inputs = made("hnet", "cl3")
    expected = found.predict(inputs)

    def fails(*_: Any) -> Tensor:
        raise NotImplementedError("no formula for it. More text")

    monkeypatch.setattr(entropy_gradient, "at_once", fails)
    (line,) = found.task_inference.inspect(inputs[:2])
    assert "example by example" in line and "(no formula for it)" in line
    answer = found.predict(inputs)
    assert torch.equal(answer.task, expected.task)
    torch.testing.assert_close(answer.task_score, expected.task_score)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    found, inputs = made("hnet", "cl3", halving=True)
    expected = found.predict(inputs)
    monkeypatch.setattr(entropy_gradient, "BATCH", 3)
    answer = found.predict(inputs)
    assert torch.equal(answer.task, expected.task)
    torch.testing.assert_close(answer.task_score, expected.task_score)


def test_statistics_are_averaged_and_one_task_is_enough() -> None:
    def normalised(outputs: int) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(2), small_target(outputs))

    found, inputs = made("scratch", "cl3", number=2, target=normalised)
    assert found.inspect(inputs[:2]) == []
    means = torch.stack([network[0].running_mean for network in found.networks])
    averaged = entropy_gradient._averaged([dict(network.named_buffers()) for network in found.networks])
    torch.testing.assert_close(averaged["0.running_mean"], means.mean(0))
    assert averaged["0.num_batches_tracked"] == 20
    found.latest = 0
    assert found.predict(inputs).task.eq(0).all()
    assert gather_heads(found.networks[0](inputs)[None], found.heads, [0]).shape == (1, 14, 2)
