"""Learns two examples of the first tasks with a learner that is thrown away, so that nothing fails hours later."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Task
from hnet_cl.core.seeding import seeded, stream
from hnet_cl.methods.base import Learner, Prediction
from hnet_cl.methods.parts.network import called
from hnet_cl.training.checks import attempt, kind_of, require, shape_of

TASKS = 2  # tasks that are learned: with the second one what protects the first sets in
EXAMPLES = 2


def rehearse(make_learner: Callable[[], Learner], tasks: Sequence[Task], batch_size: int) -> None:
    """Passes examples of the tasks through each kind of network, then through all that the method does with them.

    What is made here is thrown away, and what is drawn is put back: nothing that is computed later changes. With a
    learning rate of 0, weights stay what they were at the start.

    Args:
        make_learner: makes the learner of the run, and another one at each call.
        batch_size: of training, of which two examples stand for all.

    Raises:
        UserError: the line names the class, the shape of the inputs, what came and what is expected.
    """
    size = min(batch_size, EXAMPLES)
    small = [_small(task) for task in tasks[:TASKS]]
    tested, _ = small[0].test.batch(slice(None))
    index = torch.arange(size) % len(small[0].train)  # a batch may hold an example twice
    trained, _ = small[0].train.batch(index.to(tested.device))
    with seeded(0, "rehearsal"):
        learner = make_learner()
    method, settings, setup = type(learner), learner.settings, learner.setup
    del learner  # its memory, which another one takes now
    names: dict[int, str] = {}  # of the networks that the method asks for, by their number of outputs

    def make_target(num_outputs: int) -> nn.Module:
        network = setup.make_target(num_outputs)
        names[num_outputs] = called(network)
        return network

    used: list[torch.optim.Optimizer] = []  # once for each of their steps

    def make_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = setup.make_optimizer(parameters)
        optimizer.register_step_post_hook(lambda stepped, *_: used.append(stepped))
        return optimizer

    with seeded(setup.seed, "rehearsal"):
        observed = replace(setup, make_target=make_target, make_optimizer=make_optimizer)
        learner = method(settings, observed).to(setup.device)
        for num_outputs, name in names.items():
            check_network(setup.make_target(num_outputs).to(setup.device), num_outputs, trained, tested, name)
        at = f"method._target_={path_of(method)} with {' and '.join(set(names.values()))}"
        check_learner(learner, small, size, at, used)


def path_of(kind: type) -> str:
    """The dotted path of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _small(task: Task) -> Task:
    """The task with two examples for each purpose, or one where there are no more."""
    parts = {"train": task.train, "test": task.test}
    few = {
        name: split.part(torch.arange(min(len(split), EXAMPLES), device=split.labels.device))
        for name, split in parts.items()
    }
    return replace(task, train=few["train"], test=few["test"])


def check_network(network: nn.Module, num_outputs: int, learned: Tensor, tested: Tensor, at: str) -> None:
    """Passes inputs (b, *in_shape) through a network of `num_outputs` outputs, in training and in evaluation mode.

    Raises:
        UserError: what comes out are no logits (b, num_outputs).
    """
    trained = _logits(network.train(), "training", num_outputs, learned, at)
    learns = trained.requires_grad
    require(learns, at, "its outputs have no gradient", "outputs that depend on its parameters, not detached from them")
    with torch.no_grad():
        for number in range(len(tested), 0, -1):  # the last batch of a test may hold a single example
            _logits(network.eval(), "evaluation", num_outputs, tested[:number], at)


def _logits(network: nn.Module, mode: str, num_outputs: int, inputs: Tensor, at: str) -> Tensor:
    given = inputs.clone()
    what = f"forward in {mode} mode of float32 inputs of shape {tuple(inputs.shape)}"
    found = attempt(at, what, network, given)
    expected = f"logits, floating-point numbers of shape ({len(inputs)}, {num_outputs})"
    require(isinstance(found, Tensor), at, f"{what} gives {kind_of(found)}", expected)
    right = found.shape == (len(inputs), num_outputs) and found.is_floating_point()
    require(right, at, f"{what} gives {shape_of(found)}", expected)
    require(bool(found.isfinite().all()), at, f"{what} gives numbers that are NaN or infinite", "finite ones")
    require(
        torch.equal(given, inputs), at, f"{what} changes the inputs themselves", "inputs as they were: work on a copy"
    )
    return found


def check_learner(
    learner: Learner, tasks: Sequence[Task], size: int, at: str, used: list[torch.optim.Optimizer]
) -> None:
    """Lets the learner learn `size` examples of each task and answer for the test examples, as in a run.

    `used` gets every optimiser that makes a step.

    Raises:
        UserError: a method of the learner fails, or what it returns is not what `Learner` says.
    """
    draws = stream(0, "rehearsal")
    for number, task in enumerate(tasks):
        begun = f"{at}: task {number + 1} ({task.name})"
        attempt(begun, "begin_task", learner.begin_task, tasks[: number + 1])
        for optimizer in learner.optimizers():
            for group in optimizer.param_groups:
                group["lr"] = 0.0
        index = torch.arange(size, device=task.train.labels.device) % len(task.train)
        inputs, labels = task.train.batch(index, draws)
        shown = f"inputs of shape {tuple(inputs.shape)}"
        attempt(begun, "prepare", learner.prepare, size)
        losses = attempt(begun, f"step on {shown}", learner.step, inputs, labels)
        _check_losses(losses, begun, f"step on {shown}")
        named = all(any(one is other for other in learner.optimizers()) for one in used)
        what = "optimizers() does not name all optimisers that step uses"
        require(named, begun, what, "all, as the learning rate reaches them through it")
        used.clear()
        attempt(begun, f"end_task after {shown}", learner.end_task)
        for old in tasks[: number + 1]:
            _check_answers(learner, old, begun)


def _check_losses(losses: Any, at: str, what: str) -> None:
    right = isinstance(losses, dict) and all(isinstance(v, Tensor) and v.numel() == 1 for v in losses.values())
    require(right, at, f"{what} returns {kind_of(losses)}", "a dict of names and losses, each a tensor of one number")
    numbers = {name: value.item() for name, value in losses.items()}
    finite = all(torch.tensor(list(numbers.values())).isfinite().tolist())
    require(finite, at, f"{what} gives {numbers} before anything is trained", "finite losses")


def _check_answers(learner: Learner, task: Task, at: str) -> None:
    """Asks for the task's test examples, together and one alone, with and without telling the task where both work."""
    heads = learner.heads
    inputs, _ = task.test.batch(slice(None))
    told = [task.id] if heads.task_known else [None, task.id] if learner.asks_task else [None]
    for asked in told:
        for number in range(len(inputs), 0, -1):
            what = f"predict on inputs of shape {tuple(inputs[:number].shape)}, task={asked},"
            answer = attempt(at, what, learner.predict, inputs[:number], asked)
            require(isinstance(answer, Prediction), at, f"{what} returns {kind_of(answer)}", "a Prediction")
            output = answer.output
            right = isinstance(output, Tensor) and output.dtype == torch.int64 and output.shape == (number,)
            found = shape_of(output) if isinstance(output, Tensor) else kind_of(output)
            require(right, at, f"{what} gives outputs {found}", f"int64 of shape ({number},)")
            low, high = (int(value) for value in output.aminmax())
            inside = low >= 0 and high < heads.num_outputs
            require(inside, at, f"{what} gives outputs from {low} to {high}", f"0 to {heads.num_outputs - 1}")
            undefined = bool(answer.undefined(heads).any())
            require(not undefined, at, f"{what} rests on numbers that are NaN or infinite", "finite ones")
