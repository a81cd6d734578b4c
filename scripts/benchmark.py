"""How fast training and evaluation are: python scripts/benchmark.py [--write docs/performance.md] [--help]

Times training steps of the benchmarks' own networks on random images, all kinds in one process and in turns of a few
steps, so that a machine that slows down slows all of them:

  plain       the target network alone, unprotected (method=finetune)
  generated   the same target with generated weights, no regulariser
  fast        with the regulariser by Gram matrices, without lookahead
  lookahead   the full step as the paper has it: candidate step, then the regulariser there
  blocks      the full step with 64 generated blocks of old tasks drawn for the regulariser
  explicit    the full step with every old task's weights generated, one task after another as the formula is written

and gives medians, images per second, ratios to `plain`, and what the products alone would take at the measured rate.
Then: the regulariser's memory, the evaluation of ten tasks, and the share of a run that is spent in training steps.
With --device cuda steps are those of runs there, captured as CUDA graphs, and `turns` has several seeds in one process.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from rich.markdown import Markdown
from torch.utils.flop_counter import FlopCounterMode

from hnet_cl import build
from hnet_cl.benchmarks.base import Benchmark, DataIdentity, Split, Task
from hnet_cl.benchmarks.permuted import PermutePixels
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core.settings import Settings
from hnet_cl.datasets.images import Scale
from hnet_cl.hypernet import GramRegularizer
from hnet_cl.methods.base import Learner
from hnet_cl.training import trainer
from hnet_cl.training.cuda_graph import Steps, make_steps
from hnet_cl.training.evaluation import evaluate
from hnet_cl.training.trainer import Start, go_on, learn

KINDS = {
    "plain": ["method=finetune"],
    "generated": ["method.strength=0", "method.lookahead=false"],
    "fast": ["method.lookahead=false"],
    "lookahead": [],
    "blocks": ["method/regularizer=blocks"],
    "explicit": ["method/regularizer=explicit"],
}
CALLS = 50  # steps on a GPU between two looks at the clock: it is waited for only then
TURN = 6  # steps of one kind before it is the next one's turn; the first is not counted: its data are in no cache


@dataclass(frozen=True)
class Comparison:
    """Kinds of training steps to compare, on the last of `learned` tasks in a sequence of `num_tasks`."""

    title: str
    choices: Sequence[str]
    num_tasks: int
    learned: Sequence[int]
    kinds: Sequence[str]


COMPARISONS = {
    "p10": Comparison("Permuted MNIST, 10 tasks", ["benchmark=pmnist"], 10, [10], [k for k in KINDS if k != "blocks"]),
    "long": Comparison(
        "The same hypernetwork for 100 tasks", ["benchmark=pmnist"], 100, [2, 100], [k for k in KINDS if k != "blocks"]
    ),
    "p100": Comparison(
        "Permuted MNIST, 100 tasks, with the hypernetwork that the official code has for it",
        ["benchmark=pmnist100"],
        100,
        [100],
        ["plain", "generated", "lookahead", "blocks"],
    ),
    "zenke": Comparison(
        "Split CIFAR, Zenke's network", ["benchmark=split_cifar"], 6, [6], ["plain", "generated", "lookahead"]
    ),
    "resnet32": Comparison(
        "Split CIFAR, ResNet-32",
        ["benchmark=split_cifar", "target=resnet32"],
        6,
        [6],
        ["plain", "generated", "lookahead"],
    ),
}
COMPARISONS |= {
    f"{name}-bfloat16": replace(
        COMPARISONS[name],
        title=f"{COMPARISONS[name].title}, in bfloat16",
        choices=[*COMPARISONS[name].choices, "device.precision=bfloat16"],
        kinds=["plain", "generated", "lookahead"],
    )
    for name in ("p10", "zenke", "resnet32")
}


class RandomImages(Benchmark):
    """As many ten-class tasks as wanted with random images of 32 x 32: grey and permuted, or in colour."""

    Settings = Settings

    def __init__(self, settings: Any, dataset: None, device: torch.device) -> None:
        num_tasks, channels = settings
        self.in_shape = (channels, 32, 32)
        images = torch.randint(256, (60_000 if channels == 1 else 512, *self.in_shape), dtype=torch.uint8)
        labels = torch.randint(10, (len(images),), device=device)
        order = torch.randperm(32 * 32, device=device) if channels == 1 else torch.arange(32 * 32, device=device)
        prepare = PermutePixels(order, Scale()) if channels == 1 else _colours
        images = images.to(device)
        train, test = (Split(images[:n], labels[:n], prepare) for n in (len(images), 10_000))
        self.tasks = [Task(t, f"task {t + 1}", train, test, 10) for t in range(num_tasks)]
        self.data = DataIdentity("random", "generator", "")


def _colours(images: torch.Tensor) -> torch.Tensor:
    return (images / 255).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Made:
    """A learner in the middle of the last of `tasks`."""

    learner: Learner
    tasks: Sequence[Task]
    plan: Any

    def step(self) -> Callable[[], Any]:
        """A function that makes a training step on the same batch each time, and on a GPU `CALLS` of them."""
        if self.plan.device.type == "cuda":
            steps = self.steps()
            return lambda: several(steps, self.plan.training.batch_size, CALLS)
        return self.one_step()

    def one_step(self) -> Callable[[], Any]:
        """A function that makes one step, operation by operation."""
        batch = self.tasks[0].train.batch(slice(0, self.plan.training.batch_size))
        return lambda: self.learner.step(*batch)

    def steps(self) -> Steps:
        """The steps that a run makes."""
        return make_steps(self.learner, self.tasks[-1].train, torch.Generator())


def several(steps: Steps, batch_size: int, number: int) -> None:
    """Makes a number of steps on the same examples."""
    with steps:
        for _ in range(number):
            steps(torch.arange(batch_size))


def make(kind: str, comparison: Comparison, learned: int, arguments: argparse.Namespace) -> Made:
    """A learner of the kind in the last of `learned` tasks; it has not learned the others, but that takes no time."""
    machine = [f"device={arguments.device}", f"device.threads={arguments.threads}"]
    overrides = [*comparison.choices, f"benchmark.num_tasks={comparison.num_tasks}", *machine, *KINDS[kind]]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", overrides), resolve=True)
    plan = check(config)
    channels = 3 if plan.benchmark.name.startswith("split_cifar") else 1
    device = build.build_device(plan.device)
    data = RandomImages((comparison.num_tasks, channels), None, device)
    learner: Learner = build.build_learner(plan, data.in_shape, data.class_counts, device)
    learner.begin_task(data.tasks[:learned])
    return Made(learner, data.tasks[:learned], plan)


def matmul_rate(device: str, precision: str = "float32", seconds: float = 1.0) -> float:
    """FLOP/s of matrix products of the target network's size, the best of many."""
    dtype = getattr(torch, precision)
    left, right = (torch.rand(rows, 1000, device=device, dtype=dtype) for rows in (128, 1000))
    number = 100 if device == "cuda" else 1  # a GPU is waited for less often

    def products() -> None:
        for _ in range(number):
            torch.mm(left, right)

    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        best = min(best, seconds_of(products, device == "cuda"))
    return number * 2 * 128 * 1000 * 1000 / best


def flops(action: Callable[[], Any]) -> float:
    """FLOPs of the matrix products and convolutions of something."""
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops()


def seconds_of(action: Callable[[], Any], on_gpu: bool = False) -> float:
    """Seconds until it is done, on the GPU too."""
    start = time.perf_counter()
    action()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(steps: Mapping[str, Callable[[], Any]], arguments: argparse.Namespace) -> dict[str, float]:
    """Median seconds of each step. Each has its `turns`; slow ones stop after `budget` seconds."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    on_gpu = arguments.device == "cuda"
    calls = CALLS if on_gpu else 1
    for _ in range(arguments.turns):
        for name, step in steps.items():
            if sum(times[name]) < arguments.budget:
                times[name] += [seconds_of(step, on_gpu) for _ in range(TURN)][1:]
    return {name: median(values) / calls for name, values in times.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def compare(comparison: Comparison, rate: float, arguments: argparse.Namespace) -> Iterator[str]:
    """A table of steps; the target network's products at the rate of its precision, others at float32's `rate`."""
    rows = []
    for learned in comparison.learned:
        made = {kind: make(kind, comparison, learned, arguments) for kind in comparison.kinds}
        own_rate = matmul_rate(arguments.device, made["plain"].plan.device.precision)
        steps = {kind: one.step() for kind, one in made.items()}
        work_of = {kind: flops(one.one_step()) for kind, one in made.items()}
        own = work_of["plain"]
        medians = measure(steps, arguments)
        for kind, taken in medians.items():
            work, size = work_of[kind], made[kind].plan.training.batch_size
            ratio, products = taken / medians["plain"], (own / own_rate + (work - own) / rate) * 1e3
            row = f"{taken * 1e3:.1f}", f"{size / taken:.0f}", f"{ratio:.2f}", f"{work / 1e9:.2f}", f"{products:.1f}"
            rows.append((str(learned), kind, *row))
    yield f"## {comparison.title}\n"
    yield f"The target network's products at {own_rate / 1e9:.0f} GFLOP/s.\n"
    yield from table(("T", "step", "ms", "images/s", "/ plain", "GFLOP", "ms of products alone"), rows)


def memory(arguments: argparse.Namespace) -> Iterator[str]:
    """Measures what the regulariser keeps, for two and for a hundred tasks."""
    yield "## Memory of the regulariser\n"
    rows = []
    for learned in (2, 100):
        learner = make("lookahead", COMPARISONS["long"], learned, arguments).learner
        regularizer: GramRegularizer = learner.protected.regularizer  # type: ignore[assignment, union-attr]
        tensors = [value for value in vars(regularizer).values() if isinstance(value, torch.Tensor)]
        tensors.append(regularizer.drift.stacked)
        tensors += [segment.anchor_gram for segment in regularizer.segments]
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
        rows.append((str(learned), f"{size:.1f}", f"{learner.target_size * (learned - 1) * 4 / 1e6:.0f}"))
    yield from table(("T", "MB kept", "MB of all old tasks' weights"), rows)


def side_by_side(arguments: argparse.Namespace) -> Iterator[str]:
    """Seeds in one process, and the limits of the card."""
    made = [make("lookahead", COMPARISONS["p10"], 10, arguments) for _ in range(10)]
    steps, size = [one.steps() for one in made], made[0].plan.training.batch_size
    rows = []
    for number in (1, 2, 4, 10):
        turn = partial(in_turns, steps[:number], size)
        turn()
        taken = median(seconds_of(turn, on_gpu=True) for _ in range(5)) / number / CALLS
        rows.append((str(number), f"{taken * 1e3:.2f}", f"{1 / taken:.0f}"))
    rate, work = large_rate(), flops(made[0].one_step())
    yield "## Seeds in turns, permuted MNIST, T = 10\n"
    yield from table(("seeds", "ms per step of a seed", "steps per second"), rows)
    yield f"\nProducts of large matrices run at {rate / 1e12:.1f} TFLOP/s, at which the step's {work / 1e9:.2f} GFLOP"
    yield f"would take {work / rate * 1e3:.3f} ms."


def in_turns(runs: Sequence[Steps], batch_size: int) -> None:
    """`CALLS` steps of each, in turns of as many as in a sweep in one process."""
    for _ in range(CALLS // trainer.STEPS_BETWEEN_YIELDS):
        for steps in runs:
            several(steps, batch_size, trainer.STEPS_BETWEEN_YIELDS)


def large_rate(side: int = 8192) -> float:
    """FLOP/s of a GPU in a product of large matrices in float32."""
    left, right = (torch.rand(side, side, device="cuda") for _ in range(2))
    return 2 * side**3 / min(seconds_of(lambda: left @ right, on_gpu=True) for _ in range(5))


def whole_run(rate: float, arguments: argparse.Namespace) -> Iterator[str]:
    """The evaluation of ten tasks, and the share of the tenth task's time that is spent in training steps."""
    made = make("lookahead", COMPARISONS["p10"], 10, arguments)
    learner, training = made.learner, made.plan.training
    for number in range(len(made.tasks)):
        learner.begin_task(made.tasks[: number + 1])
    test = lambda: evaluate(learner, made.tasks, 9, training.eval_batch_size)  # noqa: E731
    evaluation, work = min(seconds_of(test) for _ in range(3)), flops(test)
    steps, inside, plain_step = 300, 0.0, learner.step

    def timed(*batch: torch.Tensor) -> Any:
        nonlocal inside
        losses = {}
        inside += seconds_of(lambda: losses.update(plain_step(*batch)), batch[0].is_cuda)
        return losses

    learner.step = timed  # type: ignore[method-assign, assignment]
    short = training.model_copy(update={"iterations": steps})
    around = seconds_of(lambda: list(learn(learner, made.tasks, short, [], Start(), go_on))) - inside
    share = inside / (inside + around + evaluation * steps / training.iterations)
    yield "## Evaluation, and a whole run\n"
    yield f"Ten tasks of 10,000 images are evaluated in {evaluation:.1f} s; their products alone would take"
    yield f"{work / rate:.1f} s ({evaluation * rate / work:.2f} times that). Of the time of the tenth task, with its"
    yield f"{training.iterations:,} steps, the drawing of batches and the evaluation after it, {share:.1%} is spent"
    yield "in training steps."


def machine(rate: float, arguments: argparse.Namespace) -> Iterator[str]:
    """Where the figures come from."""
    cores = Path("/proc/cpuinfo")
    lines = cores.read_text().splitlines() if cores.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else (names or [platform.processor()])[0]
    yield "# Performance\n"
    yield f"Made by `python {' '.join(sys.argv)}`; what the steps are stands in that script."
    yield f"Machine: {name}, {arguments.threads} threads, {rate / 1e9:.0f} GFLOP/s in float32 products of"
    yield f"(128, 1000) x (1000, 1000); torch {torch.__version__}. Ratios are what counts."


def sections(arguments: argparse.Namespace) -> Iterator[Iterator[str]]:
    """Yields the sections that were asked for."""
    rate = matmul_rate(arguments.device)
    yield machine(rate, arguments)
    for name, comparison in COMPARISONS.items():
        if name in arguments.only:
            yield compare(comparison, rate, arguments)
    if "turns" in arguments.only and arguments.device == "cuda":
        yield side_by_side(arguments)
    if "memory" in arguments.only:
        yield memory(arguments)
    if "run" in arguments.only and arguments.device == "cpu":
        yield whole_run(rate, arguments)


def main() -> None:
    """Measures and prints, and writes the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*COMPARISONS, "memory", "run", "turns"]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="sections (run: cpu, turns: cuda)")
    parser.add_argument("--turns", type=int, default=10, help=f"of {TURN} steps, for each kind")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds at most for each kind")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the page there")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    console, page = Console(), []
    for section in sections(arguments):
        page.append("\n".join(section))
        console.print(Markdown(page[-1]))
    if arguments.write:
        arguments.write.parent.mkdir(exist_ok=True)
        arguments.write.write_text("\n\n".join(page) + "\n")


if __name__ == "__main__":
    main()
