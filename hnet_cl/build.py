"""From checked settings to the objects of a run."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from weakref import WeakSet

import torch
from torch import nn

from hnet_cl.benchmarks.base import Benchmark, hold_out, shuffled
from hnet_cl.config import DeviceSettings, Plan
from hnet_cl.memory import keep_freed_memory
from hnet_cl.methods.base import Learner, Setup
from hnet_cl.scenario import HeadMap
from hnet_cl.targets.bfloat16 import BFloat16
from hnet_cl.training.checks import attempt
from hnet_cl.training.inspection import inspect_tasks

THREADS = torch.get_num_threads()  # torch's own choice, before any job of a sweep changes it


def build_device(settings: DeviceSettings) -> torch.device:
    """The device, with torch's threads and arithmetic and the C library's memory set for training."""
    # Set before the first parallel work: threads inherit it. What a network has learned well gives gradients so small
    # that they, and Adam's averages of them, become denormal numbers, and a step on these takes up to twice as long.
    torch.set_flush_denormal(True)
    torch.set_num_threads(settings.threads or THREADS)
    keep_freed_memory()
    return torch.device(settings.type)


def build_benchmark(plan: Plan, data_dir: Path, device: torch.device) -> Benchmark:
    """The tasks, with their data on the device; in another order, and with validation data, where the plan says so.

    Raises:
        UserError: data are missing, or something is wrong with the tasks.
    """
    name = plan.benchmark.name
    benchmark = attempt(f"benchmark={name}", "its constructor", plan.benchmark_class, plan.benchmark, data_dir, device)
    inspect_tasks(benchmark, name, device)
    if plan.training.shuffle_tasks:
        benchmark.tasks = shuffled(benchmark.tasks, plan.seed)
    if plan.training.validation > 0:
        benchmark.tasks = hold_out(benchmark.tasks, plan.training.validation, plan.seed)
        benchmark.data = replace(benchmark.data, name=f"{benchmark.data.name} (validation)")
    return benchmark


def build_learner(plan: Plan, in_shape: tuple[int, ...], class_counts: Sequence[int], device: torch.device) -> Learner:
    """The learner, in the plan's scenario, of tasks with these numbers of classes and inputs of this shape.

    Raises:
        UserError: scenario, method or target network do not fit such tasks.
    """
    training = plan.training

    def make_target(num_outputs: int) -> nn.Module:
        target = plan.target_class(in_shape=in_shape, num_outputs=num_outputs, **plan.target)
        return BFloat16(target) if plan.device.precision == "bfloat16" else target

    def make_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        # fused: one pass over memory instead of ten, which is half of a step's time on a CPU
        betas = training.betas[0], training.betas[1]
        adam = torch.optim.Adam(parameters, lr=training.lr, betas=betas, fused=True, capturable=device.type == "cuda")
        optimizers.add(adam)
        return adam

    optimizers: WeakSet[torch.optim.Optimizer] = WeakSet()
    heads = HeadMap(plan.scenario, class_counts)
    setup = Setup(heads, make_target, make_optimizer, plan.seed, device, in_shape, optimizers, plan.device.graph)
    return plan.method_class(plan.method, setup).to(device)
