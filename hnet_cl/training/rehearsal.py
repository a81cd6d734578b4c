"""A rehearsal of a run with two examples of the first tasks and a throw-away learner, to find errors at the start."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Split, Task
from hnet_cl.core.checks import attempt, expect, kind_of, shape_of
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import Stream, seeded, stream
from hnet_cl.hypernet import trainable
from hnet_cl.methods.base import Context, Learner, Prediction
from hnet_cl.methods.parts.network import called
from hnet_cl.training.independence import require_independent

_log = logging.getLogger(__name__)

TASKS = 2  # tasks that are learned: from the second one on, the method also protects earlier tasks
EXAMPLES = 2


def rehearsed(
    make_learner: Callable[[Context], Learner], context: Context, tasks: Sequence[Task], batch_size: int
) -> Learner:
    """Builds the learner of a run, after a rehearsal in which an identical learner learns a few examples.

    Examples of the tasks pass through each kind of network, and then through all methods of the learner. The learner
    of the rehearsal is thrown away and random generators are restored, so that no later result changes. Its learning
    rate is 0, so that its weights stay at their initial values.

    Args:
        make_learner: builds a new learner at each call.
        context: the context of the run's learner; with `ranks`, networks must be fit for several processes, each of
            which rehearses for itself.
        tasks: the tasks of the run.
        batch_size: the batch size of training; the rehearsal uses at most two examples.

    Raises:
        UserError: the message names the class, the shape of the inputs, what was found and what is expected.
    """
    size = min(batch_size, EXAMPLES)
    _rehearse(make_learner, context, [_small(task) for task in tasks[:TASKS]], size)
    learner = make_learner(context)
    inspect(learner, _examples(tasks[0].train, size))
    return learner


def inspect(learner: Learner, inputs: Tensor) -> None:
    """Calls an untrained learner's `inspect` with inputs (b, *in_shape), and logs what it returns as warnings.

    Neither the learner's state nor any random stream is changed.

    Raises:
        UserError: the method cannot work with its networks.
    """
    with seeded(learner.context.seed, Stream.INSPECTION):
        for note in learner.inspect(inputs):
            _log.warning("%s", note)


def _rehearse(make_learner: Callable[[Context], Learner], context: Context, tasks: Sequence[Task], size: int) -> None:
    names: dict[int, str] = {}  # names of the networks that the method builds, by number of outputs

    def make_target(num_outputs: int) -> nn.Module:
        network = context.make_target(num_outputs)
        names[num_outputs] = called(network)
        return network

    trained, tested = _examples(tasks[0].train, size), _examples(tasks[0].test, len(tasks[0].test))
    used: list[torch.optim.Optimizer] = []  # one entry for each step

    def make_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = context.make_optimizer(parameters)
        optimizer.register_step_post_hook(lambda stepped, *_: used.append(stepped))
        return optimizer

    with seeded(context.seed, Stream.REHEARSAL):
        own = replace(context, make_target=make_target, make_optimizer=make_optimizer, ranks=None)
        learner = make_learner(own)
        for num_outputs, name in names.items():
            check_network(context.make_target(num_outputs).to(context.device), name, trained, tested, num_outputs)
            if context.ranks is not None:
                require_independent(context.make_target(num_outputs).to(context.device), name, trained)
        networks = " and ".join(set(names.values()))  # empty for a method without one
        at = " with ".join(filter(None, [f"method._target_={path_of(type(learner))}", networks]))
        attempt(at, "inspect", learner.inspect, trained)
        check_learner(learner, tasks, size, at, used)


def check_network(network: nn.Module, name: str, trained: Tensor, tested: Tensor, num_outputs: int) -> None:
    """Checks that a network works in training and in evaluation.

    Args:
        network: the network; its mode and its gradients are changed.
        name: its name in messages, from `called`.
        trained: training inputs (b, *in_shape).
        tested: test inputs (b, *in_shape); also tried in smaller batches, as the last batch of a test may be smaller.
        num_outputs: the number of logits.

    Raises:
        UserError: a forward or backward pass fails, or the outputs are not finite logits (b, num_outputs).
    """
    before = trainable(network)
    network.train()
    for _ in range(2):  # the first step may leave a state that breaks the second one
        logits = _logits(network, "training", num_outputs, trained, name)
        if logits.requires_grad:
            attempt(name, f"the backward pass for inputs of shape {tuple(trained.shape)}", logits.sum().backward)
        gradients = [weight.grad for weight in before.values() if weight.grad is not None]
        found = "the gradient of its outputs reaches nothing that is trained"
        found = found if logits.requires_grad else "its outputs have no gradient"
        expect(bool(gradients), name, found, "outputs that depend on its parameters, not detached from them")
        if any(gradient.is_sparse for gradient in gradients):
            raise UserError(f"{name}: has sparse gradients, which Adam cannot use; give its embeddings sparse=False")
    network.eval()
    with torch.no_grad():
        for number in range(len(tested), 0, -1):
            _logits(network, "evaluation", num_outputs, tested[:number], name)
    _require_same(name, before, trainable(network))


def _require_same(name: str, before: Iterable[str], after: Iterable[str]) -> None:
    """Compares the names of a network's trainable parameters before and after it was used.

    Raises:
        UserError: they have changed, so what is built from them before training no longer fits.
    """
    changed = sorted(set(before) ^ set(after))
    if changed:
        raise UserError(
            f"{name}: what can be trained changes when the network is used ({', '.join(changed)}); make parameters "
            "and set their requires_grad in the constructor"
        )


def _logits(network: nn.Module, mode: str, num_outputs: int, inputs: Tensor, name: str) -> Tensor:
    given = inputs.clone()
    what = f"forward in {mode} mode of float32 inputs of shape {tuple(inputs.shape)}"
    found = attempt(name, what, network, given)
    expected = f"logits, floating-point numbers of shape ({len(inputs)}, {num_outputs})"
    expect(isinstance(found, Tensor), name, f"{what} gives {kind_of(found)}", expected)
    logits: Tensor = found
    right = logits.shape == (len(inputs), num_outputs) and logits.is_floating_point()
    expect(right, name, f"{what} gives {shape_of(logits)}", expected)
    expect(bool(logits.isfinite().all()), name, f"{what} gives numbers that are NaN or infinite", "finite ones")
    expect(
        torch.equal(given, inputs), name, f"{what} changes the inputs themselves", "inputs as they were: work on a copy"
    )
    return logits


def _examples(split: Split, number: int) -> Tensor:
    """Returns inputs (`number`, *in_shape) of the first examples, repeated if there are fewer."""
    index = torch.arange(number, device=split.labels.device) % len(split)
    return split.batch(index)[0]


def path_of(kind: type) -> str:
    """Returns the dotted path of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _small(task: Task) -> Task:
    """Returns the task with at most two training and two test examples."""
    parts = {"train": task.train, "test": task.test}
    few = {
        name: split.part(torch.arange(min(len(split), EXAMPLES), device=split.labels.device))
        for name, split in parts.items()
    }
    return replace(task, train=few["train"], test=few["test"])


def check_learner(
    learner: Learner, tasks: Sequence[Task], size: int, at: str, used: list[torch.optim.Optimizer]
) -> None:
    """Trains the learner on `size` examples of each task and tests it on the test examples, as in a run.

    Args:
        learner: the learner; its weights stay the same, as the learning rate is set to 0.
        tasks: the tasks to learn, with few examples.
        size: the batch size.
        at: where an error has occurred, for messages.
        used: a list that gets an entry for every step of an optimiser, here cleared after each task.

    Raises:
        UserError: a method of the learner fails, or returns something that does not conform to `Learner`.
    """
    rng = stream(0, Stream.REHEARSAL)
    for number, task in enumerate(tasks):
        begun = f"{at}: task {number + 1} ({task.name})"
        attempt(begun, "begin_task", learner.begin_task, tasks[: number + 1])
        for optimizer in learner.optimizers():
            for group in optimizer.param_groups:
                group["lr"] = 0.0
        data = attempt(begun, "training_data", learner.training_data, tasks[: number + 1])
        index = torch.arange(size, device=task.train.labels.device) * (len(data) - 1) // max(1, size - 1)
        batch = data.batch(index, rng)
        shown = f"inputs of shape {tuple(batch[0].shape)}"
        attempt(begun, "prepare", learner.prepare, size)
        losses = attempt(begun, f"step on {shown}", learner.step, *batch)
        _check_losses(losses, begun, f"step on {shown}")
        named = all(any(one is other for other in learner.optimizers()) for one in used)
        what = "optimizers() does not name all optimisers that step uses"
        expect(named, begun, what, "all, as the learning rate reaches them through it")
        used.clear()
        attempt(begun, f"end_task after {shown}", learner.end_task)
        for old in tasks[: number + 1]:
            _check_answers(learner, old, begun)


def _check_losses(losses: Any, at: str, what: str) -> None:
    right = isinstance(losses, dict) and all(isinstance(v, Tensor) and v.numel() == 1 for v in losses.values())
    expect(right, at, f"{what} returns {kind_of(losses)}", "a dict of names and losses, each a tensor of one number")
    numbers = {name: value.item() for name, value in losses.items()}
    finite = all(torch.tensor(list(numbers.values())).isfinite().tolist())
    expect(finite, at, f"{what} gives {numbers} before anything is trained", "finite losses")


def _check_answers(learner: Learner, task: Task, at: str) -> None:
    """Checks predictions for the task's test examples, in batches of all sizes.

    They are made with and without the task id if both work.

    Raises:
        UserError: `predict` fails, or does not return finite predictions of the right form.
    """
    heads = learner.heads
    inputs, _ = task.test.batch(slice(None))
    ways = [task.id] if heads.task_known else [None, task.id] if learner.asks_task else [None]
    for asked in ways:
        for number in range(len(inputs), 0, -1):
            what = f"predict on inputs of shape {tuple(inputs[:number].shape)}, task={asked},"
            answer = attempt(at, what, learner.predict, inputs[:number], asked)
            expect(isinstance(answer, Prediction), at, f"{what} returns {kind_of(answer)}", "a Prediction")
            _check_outputs(learner, answer.output, number, at, what)
            invalid = bool(answer.invalid(heads).any())
            expect(not invalid, at, f"{what} rests on numbers that are NaN or infinite", "finite ones")


def _check_outputs(learner: Learner, output: Any, number: int, at: str, what: str) -> None:
    dtype, shape = learner.objective.answer_form(number, learner.heads)
    right = isinstance(output, Tensor) and output.dtype == dtype and output.shape == shape
    found = shape_of(output) if isinstance(output, Tensor) else kind_of(output)
    expect(right, at, f"{what} gives outputs {found}", f"{str(dtype).removeprefix('torch.')} of shape {shape}")
    if not output.is_floating_point():
        low, high = (int(value) for value in output.aminmax())
        inside = low >= 0 and high < learner.heads.num_outputs
        expect(inside, at, f"{what} gives outputs from {low} to {high}", f"0 to {learner.heads.num_outputs - 1}")
