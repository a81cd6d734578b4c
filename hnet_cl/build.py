"""Builds the objects of a run from its checked settings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Benchmark, hold_out, shuffled
from hnet_cl.config.check import DeviceSettings, Plan
from hnet_cl.core.capacity import TooLargeError, largest_of, memory_limit, out_of_memory, require_memory
from hnet_cl.core.checks import attempt
from hnet_cl.core.errors import UserError, described, first_line
from hnet_cl.core.hollow import hollow
from hnet_cl.core.malloc import keep_freed_memory
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.core.tensor_files import ContentError, load_state
from hnet_cl.datasets.base import Dataset
from hnet_cl.methods.base import Context, Learner
from hnet_cl.methods.parts.objective import objective_of
from hnet_cl.scenario import HeadMap
from hnet_cl.targets.bfloat16 import BFloat16, in_float32
from hnet_cl.targets.fitting import OWN, fitted, supplied
from hnet_cl.targets.lora import add_low_rank
from hnet_cl.targets.selection import ALL, JOINT, LORA, freeze_others, in_short, selected
from hnet_cl.targets.starting import other_outputs, start_from
from hnet_cl.training.inspection import inspect_tasks
from hnet_cl.training.optimizers import can_be_captured, optimizer_factory, scheduler_factory
from hnet_cl.training.trainer import TrainingSettings

FLOAT = 4  # bytes of a float32
THREADS = torch.get_num_threads()  # torch's own choice, before any job of a sweep changes it


def build_device(settings: DeviceSettings) -> torch.device:
    """Returns the device, after setting torch's threads and arithmetic and the C library's memory for training."""
    # Set before the first parallel work, since threads inherit it. Well-learned examples give gradients so small that
    # they, and Adam's averages of them, become denormal numbers, with which a step takes up to twice as long.
    np.finfo(np.float64)  # numpy before 2 warns if it first looks at the smallest numbers once they have become zero
    torch.set_flush_denormal(True)
    torch.set_num_threads(settings.threads or THREADS)
    keep_freed_memory()
    return torch.device(settings.type)


def build_dataset(plan: Plan, data_dir: Path) -> Dataset | None:
    """Builds the dataset of which the plan's tasks are made, unread; None if the benchmark has data of its own."""
    return None if plan.dataset is None else plan.dataset.make(data_dir)


def build_benchmark(plan: Plan, data_dir: Path, device: torch.device) -> Benchmark:
    """Builds the tasks, with their data on the device; shuffled, or tested on validation data, if the plan says so.

    Raises:
        UserError: data are missing or too large, or something is wrong with the tasks.
    """
    name = plan.benchmark.name
    dataset = build_dataset(plan, data_dir)
    needed = plan.benchmark_class.memory(plan.benchmark, dataset)
    sizes = {"benchmark": plan.benchmark.model_dump(), "dataset": dataset and dataset.settings.model_dump()}
    largest = largest_of(sizes, "").removeprefix(".")
    require_memory(needed, memory_limit(), largest, "the data of this benchmark take")
    benchmark = attempt(f"benchmark={name}", "its constructor", plan.benchmark_class, plan.benchmark, dataset, device)
    inspect_tasks(benchmark, name, device)
    if plan.training.shuffle_tasks:
        benchmark.tasks = shuffled(benchmark.tasks, plan.seed)
    if plan.training.validation > 0:
        benchmark.tasks = hold_out(benchmark.tasks, plan.training.validation, plan.seed)
        benchmark.data = replace(benchmark.data, name=f"{benchmark.data.name} (validation)")
    return benchmark


def build_learner(plan: Plan, in_shape: tuple[int, ...], class_counts: Sequence[int], device: torch.device) -> Learner:
    """Builds the learner in the plan's scenario, for tasks with these numbers of classes and inputs of this shape.

    Args:
        plan: the checked configuration.
        in_shape: shape of one input.
        class_counts: (T,) number of classes of each task.
        device: where it learns.

    Raises:
        UserError: scenario, method or target network do not fit such tasks, or there is too little memory for them.
    """
    return make_learner(plan, build_context(plan, in_shape, class_counts, device))


def build_context(plan: Plan, in_shape: tuple[int, ...], class_counts: Sequence[int], device: torch.device) -> Context:
    """Builds the context of a learner, after checking that the learner and a batch of inputs fit into memory.

    Raises:
        UserError: as `build_learner`.
    """
    limit = torch.cuda.mem_get_info()[1] if device.type == "cuda" else memory_limit()
    batch = plan.training.batch_size
    require_memory(batch * prod(in_shape) * FLOAT, limit, f"training.batch_size={batch}", "a batch of inputs takes")
    _require_room(plan, in_shape, class_counts, limit)
    return _context(plan, in_shape, class_counts, device)


def make_learner(plan: Plan, context: Context) -> Learner:
    """Makes the plan's learner, a new one at each call.

    Raises:
        UserError: as `build_learner`.
    """
    return plan.method_class(plan.method, context).to(context.device)


def choices(plan: Plan, learner: Learner) -> list[str]:
    """Returns a line for each thing that was chosen for the user: in the target network, and by the learner."""
    lines = [_network_choices(plan, learner.context), _new_outputs(plan, learner), _trained_part(plan, learner)]
    return [*chain(*lines), *learner.choices(), *_processes(plan, learner.context)]


def _processes(plan: Plan, context: Context) -> list[str]:
    """Returns a line if several processes share the run."""
    if context.ranks is None:
        return []
    size = context.ranks.place.size
    return [f"{size} processes share each batch of {plan.training.batch_size} examples, and all tests."]


def _network_choices(plan: Plan, context: Context) -> list[str]:
    """Returns a line for each thing that was chosen to fit the target network to its task; none where nothing was.

    A network that cannot be built on torch's meta device, which takes no memory, is passed over.
    """
    if set(OWN) <= {*supplied(plan.target_class)}:
        return []
    try:
        with hollow(), seeded(context.seed, Stream.INSPECTION):
            notes = fitted(plan.target_class, context.in_shape, context.heads.num_outputs, plan.target)[1]
    except Exception:
        return []
    return [f"Target network {plan.target_class.__name__}: {note}." for note in notes]


def _hollow_target(learner: Learner) -> nn.Module | None:
    """Builds the learner's target network without values; None where it cannot be built so."""
    try:
        with hollow(), seeded(learner.context.seed, Stream.INSPECTION):
            return in_float32(learner.context.make_target(learner.heads.num_outputs))
    except Exception:
        return None


def _new_outputs(plan: Plan, learner: Learner) -> list[str]:
    """Returns a line if the output layer starts at random although weights were given."""
    file = plan.training.initial_weights
    if file is None or (network := _hollow_target(learner)) is None:
        return []
    names = other_outputs(network, _initial_weights(plan.training), learner.heads.num_outputs)
    shown = ", ".join(names)
    return [f"The output layer ({shown}) starts at random: {file} has another one."] if names else []


def _trained_part(plan: Plan, learner: Learner) -> list[str]:
    """Returns a line on the part of the target network that is trained; none where it is all that can be trained."""
    if plan.training.parameters == ALL or (network := _hollow_target(learner)) is None:
        return []
    sizes = {name: weight.numel() for name, weight in network.named_parameters() if weight.requires_grad}
    total = sum(weight.numel() for weight in network.parameters())
    return [
        f"Chosen by training.parameters={plan.training.parameters}: {sum(sizes.values()):,} of the target network's "
        f"{total:,} weights ({in_short(sizes)}); the others stay as they start, the same for every task."
    ]


def _require_room(plan: Plan, in_shape: tuple[int, ...], class_counts: Sequence[int], limit: int) -> None:
    """Builds the learner on torch's meta device, which takes no memory, and checks that it would fit into memory.

    A learner that cannot be built there, for example because a network reads its weights, is not checked.

    Raises:
        TooLargeError: it would take more than `limit` bytes.
    """
    try:
        with hollow():
            learner = make_learner(plan, _context(plan, in_shape, class_counts, torch.device("meta"), limit))
    except TooLargeError:
        raise
    except Exception:
        return
    learned = sum(parameter.numel() for parameter in learner.trained() if parameter.requires_grad)
    kept = sum(tensor.nbytes for tensor in (*learner.parameters(), *learner.buffers()))
    key = largest_of(plan.method.model_dump(), "method")
    needed = kept + (1 + plan.kept_per_weight) * FLOAT * learned
    require_memory(needed, limit, key, "the learner with its gradients and its optimiser's state takes")


def _context(
    plan: Plan, in_shape: tuple[int, ...], class_counts: Sequence[int], device: torch.device, limit: int | None = None
) -> Context:
    """Builds the context of a learner; with a `limit`, it refuses target networks that take more bytes."""

    weights = cache(partial(_initial_weights, plan.training)) if plan.training.initial_weights else None

    def make_target(num_outputs: int) -> nn.Module:
        target = _target(plan, in_shape, num_outputs)
        if weights and not any(parameter.is_meta for parameter in target.parameters()):
            _start_from(target, weights(), num_outputs, plan.training)
        _choose_trained(target, plan.training, num_outputs)
        if limit is not None:
            size = sum(tensor.nbytes for tensor in (*target.parameters(), *target.buffers()))
            require_memory(size, limit, largest_of(plan.target, "target"), "the target network takes")
        return BFloat16(target) if plan.device.precision == "bfloat16" else target

    make_optimizer = optimizer_factory(plan.optimizer, plan.training, device)
    graph = plan.device.graph and can_be_captured(plan.optimizer)
    make_scheduler = scheduler_factory(plan.lr_scheduler)
    training = plan.training
    objective = objective_of(plan.benchmark_class.score, training.likelihood, training.log_variance)
    heads = HeadMap(plan.scenario, [objective.num_outputs(count) for count in class_counts], plan.extends)
    return Context(heads, make_target, make_optimizer, plan.seed, device, in_shape, make_scheduler, graph, objective)


def _initial_weights(training: TrainingSettings) -> dict[str, Tensor]:
    """Loads the file of the target network's first weights.

    Raises:
        UserError: it cannot be read, or is no such file.
    """
    key = f"training.initial_weights={training.initial_weights}"
    try:
        return load_state(Path(training.initial_weights or ""), training.initial_weights_checksum)
    except OSError as error:
        raise UserError(f"{key}: cannot be read ({error.strerror or error})") from error
    except (ContentError, RuntimeError) as error:
        raise UserError(f"{key}: {first_line(error)}") from error


def _start_from(target: nn.Module, weights: Mapping[str, Tensor], num_outputs: int, training: TrainingSettings) -> None:
    """Starts the network from weights.

    Raises:
        UserError: they are those of another network.
    """
    try:
        start_from(target, weights, num_outputs)
    except ValueError as error:
        lines = (f"training.initial_weights={training.initial_weights}: {line}" for line in str(error).splitlines())
        raise UserError("\n".join(lines)) from error


def _choose_trained(target: nn.Module, training: TrainingSettings, num_outputs: int) -> None:
    """Lets only those parameters of the network be trained that are selected; adds low-rank ones if they are.

    Raises:
        UserError: a word selects none, or there is no layer for low-rank parameters.
    """
    words = training.parameters
    if words == ALL:
        return
    if LORA in words.split(JOINT):
        try:
            add_low_rank(target, training.lora_rank, training.lora_scale, training.lora_layers, num_outputs)
        except ValueError as error:
            raise UserError(f"training.lora_layers={training.lora_layers}: {error}") from error
    try:
        freeze_others(target, selected(target, words, num_outputs))
    except ValueError as error:
        raise UserError(f"training.parameters={words}: {error}") from error


def _target(plan: Plan, in_shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """Builds the target network.

    Raises:
        UserError: its constructor raises an error.
    """
    try:
        return fitted(plan.target_class, in_shape, num_outputs, plan.target)[0]
    except UserError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        arguments = ", ".join(f"{key}={value}" for key, value in plan.target.items())
        name = plan.target_class.__name__
        raise UserError(
            f"target: {name} cannot be built for inputs {list(in_shape)} and {num_outputs} outputs with "
            f"{arguments or 'no arguments'} ({described(error)}); debug=true shows where"
        ) from error
