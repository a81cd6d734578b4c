"""Small learners, tasks and scenarios for tests, and the hypernetwork's formula written out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor, nn

from hnet_cl.benchmarks.base import Benchmark, Split, Task
from hnet_cl.benchmarks.toy import GaussianBlobs
from hnet_cl.core import settings as base
from hnet_cl.core.older import TASK_INFERENCE
from hnet_cl.core.signals import Interruption
from hnet_cl.hypernet import Hypernetwork
from hnet_cl.methods.agem import AGEM
from hnet_cl.methods.base import Context, Learner
from hnet_cl.methods.derpp import DERpp
from hnet_cl.methods.er import ER
from hnet_cl.methods.er_ace import ERACE
from hnet_cl.methods.ewc import EWC
from hnet_cl.methods.finetune import Finetune
from hnet_cl.methods.gdumb import GDumb
from hnet_cl.methods.generative_classifier import GenerativeClassifier
from hnet_cl.methods.gpm import GPM
from hnet_cl.methods.h_embedding import HEmbedding
from hnet_cl.methods.hat import HAT
from hnet_cl.methods.hint import HINT
from hnet_cl.methods.hnet import HNet
from hnet_cl.methods.hnet_posterior import HNetPosterior
from hnet_cl.methods.hypermask import HyperMask
from hnet_cl.methods.icarl import ICaRL
from hnet_cl.methods.joint import Joint
from hnet_cl.methods.lwf import LwF
from hnet_cl.methods.mas import MAS
from hnet_cl.methods.owm import OWM
from hnet_cl.methods.packnet import PackNet
from hnet_cl.methods.ranpac import RanPAC
from hnet_cl.methods.replay import Replay
from hnet_cl.methods.scratch import Scratch
from hnet_cl.methods.si import SI
from hnet_cl.methods.simple_cil import SimpleCIL
from hnet_cl.methods.supsup import SupSup
from hnet_cl.methods.wsn import WSN
from hnet_cl.methods.xdg import XdG
from hnet_cl.recording import Request, RunContext
from hnet_cl.scenario import HeadMap, ScenarioSettings
from hnet_cl.single_run import exhaust, run_cooperatively
from hnet_cl.targets.mlp import MLP
from hnet_cl.training.evaluation import Row
from hnet_cl.training.trainer import TrainingSettings, train

CPU = torch.device("cpu")
LR, BETAS = 0.01, (0.9, 0.999)
RATE = 0.1
METHODS: Mapping[str, type[Learner]] = {
    "hnet": HNet,
    "hnet_ent": HNet,
    "hnet_tir": HNet,
    "hnet_r": Replay,
    "dgr": Replay,
    "finetune": Finetune,
    "scratch": Scratch,
    "joint": Joint,
    "ewc": EWC,
    "si": SI,
    "mas": MAS,
    "lwf": LwF,
    "er": ER,
    "er_ace": ERACE,
    "agem": AGEM,
    "derpp": DERpp,
    "owm": OWM,
    "gpm": GPM,
    "packnet": PackNet,
    "hat": HAT,
    "xdg": XdG,
    "gdumb": GDumb,
    "icarl": ICaRL,
    "simple_cil": SimpleCIL,
    "ranpac": RanPAC,
    "generative_classifier": GenerativeClassifier,
    "supsup": SupSup,
    "wsn": WSN,
    "hint": HINT,
    "hypermask": HyperMask,
    "hnet_posterior": HNetPosterior,
    "h_embedding": HEmbedding,
}
OF_HYPERNETWORKS = {"hint", "hypermask", "hnet_posterior", "h_embedding"}  # need a rule beyond CL1, as hnet
NEED_THE_TASK = {"hnet", "packnet", "wsn", "hat", "xdg"} | OF_HYPERNETWORKS  # defined in CL1 alone
LAYERWISE = {"owm", "gpm", "packnet", "wsn", "supsup", "hat", "xdg", "hint"}  # know plain layers alone
GATED = {"hat", "xdg"}  # know chains of these alone
BOUNDED = {"hint"}  # know chains of layers with interval bounds alone
NEEDS_SEPARATE_CLASSES = {"generative_classifier"}  # not defined in CL2
CLOSED_FORM = {"simple_cil", "ranpac"}  # learn at the end of tasks, without a network
WITHOUT_TARGET = CLOSED_FORM | {"generative_classifier"}  # have no target network
FAST = {"_target_": "hnet_cl.hypernet.GramRegularizer", "sampled_tasks": None}
EXPLICIT = {"_target_": "hnet_cl.hypernet.ExplicitRegularizer", "sampled_tasks": None}
BLOCKS = {"_target_": "hnet_cl.hypernet.BlockRegularizer", "sampled_blocks": 2}
GIVEN, ENTROPY, TASK_CLASSIFIER = TASK_INFERENCE.values()
ALONE = {"images_per_decision": 1}
CLASSIFIER = {"_target_": TASK_CLASSIFIER, **ALONE}
HNET: dict[str, Any] = {
    "hypernet": {
        "task_embedding": 3,
        "chunk_embedding": 2,
        "chunk_size": 20,
        "compression": None,
        "hidden": [6],
        "activation": "elu",
        "old_embeddings": "frozen",
        "init": "xavier",
    },
    "strength": 0.05,
    "lookahead": True,
    "update": "joint",
    "regularizer": FAST,
    "base": "zero",
    "mask_heads": False,
    "new_embedding": "random",
    "task_inference": {"_target_": GIVEN},
}
GENERATING = {key: value for key, value in HNET.items() if key not in ("base", "mask_heads")}
GENERATOR: dict[str, Any] = {
    "encoder": [6],
    "decoder": [5],
    "latent": 3,
    "pixel_noise": 0.2,
    "judge": {"iterations": 10, "lr": 0.05},
}
GENERATED: dict[str, Any] = GENERATOR | {
    "kind": "generated",
    "condition": 3,
    "hypernet": HNET["hypernet"],
    "strength": 0.05,
    "lookahead": True,
    "update": "joint",
    "regularizer": FAST,
}
PLAIN: dict[str, Any] = GENERATOR | {"kind": "plain", "reset_optimizer": False}
REPLAY: dict[str, Any] = {
    "reset_optimizer": True,
    "new_weight": 0.5,
    "targets": "soft",
    "temperature": 2.0,
    "new_heads": "zero_logit",
    "init": "torch",
    "generator": GENERATED,
}
BUFFER_REPLAY: dict[str, Any] = {
    "reset_optimizer": False,
    "replay_batch_size": 4,
    "buffer": {"examples": None, "examples_per_class": 3, "bytes": None, "balance": "classes"},
}
SETTINGS: Mapping[str, dict[str, Any]] = {
    "hnet": HNET,
    "hnet_ent": HNET | {"task_inference": {"_target_": ENTROPY, "temperature": 1.0, **ALONE}},
    "hnet_tir": HNET | {"task_inference": REPLAY | CLASSIFIER | {"targets": "hard"}},
    "hnet_r": REPLAY,
    "dgr": REPLAY | {"reset_optimizer": False, "new_weight": None, "new_heads": "zero_probability", "generator": PLAIN},
    "finetune": {"reset_optimizer": True},
    "scratch": {"task_inference": {"_target_": ENTROPY, "temperature": 1.0, **ALONE}},
    "joint": {"reset_optimizer": False},
    "ewc": {
        "reset_optimizer": False,
        "strength": 100.0,
        "half": True,
        "online": True,
        "gamma": 0.8,
        "gamma_in_penalty": True,
        "fisher_labels": "predicted",
        "fisher_samples": None,
    },
    "si": {"reset_optimizer": False, "strength": 0.5, "damping": 0.1, "path_gradient": "total"},
    "mas": {"reset_optimizer": False, "strength": 0.02, "importance_samples": None},
    "lwf": {"reset_optimizer": False, "strength": 1.0, "temperature": 2.0, "square": False, "count": "once"},
    "er": BUFFER_REPLAY | {"weighting": "tasks"},
    "er_ace": BUFFER_REPLAY,
    "agem": BUFFER_REPLAY,
    "derpp": BUFFER_REPLAY | {"alpha": 0.3, "beta": 0.5},
    "owm": {"reset_optimizer": False, "restricted": "step", "alpha": 0.1, "softmax": "seen", "samples": None},
    "gpm": {
        "reset_optimizer": True,
        "restricted": "step",
        "thresholds": [0.9],
        "threshold_growth": 0.01,
        "first_basis": "reach",
        "samples": 20,
    },
    "packnet": {"reset_optimizer": True, "pruned": 0.5, "retraining": 0.25, "left": "zero"},
    "hat": {"reset_optimizer": True, "restricted": "step", "strength": 0.75, "steepest": 50.0},
    "xdg": {"reset_optimizer": False, "gated": 0.4},
    "icarl": {
        "reset_optimizer": False,
        "temperature": 2.0,
        "reduction": "sum",
        "exemplars": {"examples": None, "examples_per_class": 3, "bytes": None},
    },
    "gdumb": {"buffer": BUFFER_REPLAY["buffer"] | {"balance": "greedy"}},
    "wsn": {"reset_optimizer": True, "kept": 0.5},
    "hint": HNET | {"lookahead": False, "radius": 0.3, "kappa": 0.5, "ramp": 0.5, "protected": "box"},
    "hypermask": GENERATING
    | {"start": 0.15, "sparsity": 0.3, "held": 0.01, "held_by_mask": True, "weights": "trained"},
    "hnet_posterior": GENERATING
    | {"kl": 0.5, "prior_std": 1.0, "start_std": 0.05, "train_samples": 2, "test_samples": 3},
    "h_embedding": HNET | {"guidance": 0.3, "score_examples": 40, "guide_steps": 30, "guide_lr": 0.01, "decoder": 7},
    "supsup": {"kept": None, "task_inference": {"_target_": ENTROPY, "temperature": 1.0, **ALONE}},
    "generative_classifier": {"encoder": [6], "decoder": [5], "latent": 3, "pixel_noise": 0.2, "samples": 7},
    "simple_cil": {},
    "ranpac": {"projected": 12, "ridge": None},
}


def head_map(scenario: str, counts: Sequence[int]) -> HeadMap:
    """The head map of scenario cl1, cl2, «cl2 separate» or cl3."""
    heads: Any = "shared" if scenario == "cl2" else "separate"
    classes: Any = "shared" if scenario.startswith("cl2") else "separate"
    known = scenario == "cl1"
    return HeadMap(ScenarioSettings(name=scenario, task_known=known, heads=heads, classes=classes), counts)


def blobs(**changes: Any) -> GaussianBlobs:
    """Three small tasks of two blobs each, unless told otherwise."""
    sizes: dict[str, Any] = {
        "num_tasks": 3,
        "num_classes": 2,
        "train_per_class": 30,
        "test_per_class": 20,
        "spread": 0.15,
        "seed": 42,
    }
    return GaussianBlobs(GaussianBlobs.Settings(**({"name": "toy"} | sizes | changes)), None, CPU)


def small_target(num_outputs: int) -> nn.Module:
    """An MLP 2-5-`num_outputs`."""
    return MLP((2,), num_outputs, [5])


def deep_target(num_outputs: int) -> nn.Module:
    """A convolution of a 1 x 1 image, a hidden layer and the outputs: 16, 40 and 5 weights for each output."""
    layers = nn.Linear(2, 8), nn.ReLU(), nn.Unflatten(1, (8, 1, 1)), nn.Conv2d(8, 5, 1), nn.ReLU()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(5, num_outputs))


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of real runs."""
    return torch.optim.Adam(parameters, lr=LR, betas=BETAS, fused=True)


MOVERS = {  # optimisers that move weights, also those without a gradient
    "adam": adam,
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
    "weight decay": partial(torch.optim.AdamW, lr=0.01, weight_decay=0.5),
}


def sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Plain gradient descent, for arithmetic by hand."""
    return torch.optim.SGD(parameters, lr=RATE)


def setup(
    heads: HeadMap, seed: int = 1, target: Any = small_target, optimizer: Any = adam, in_shape: tuple[int, ...] = (2,)
) -> Context:
    """What a learner of tasks with these heads is given."""
    return Context(heads, target, optimizer, seed, CPU, in_shape)


def maker(
    method: str,
    benchmark: Benchmark,
    scenario: str = "cl1",
    seed: int = 1,
    target: Any = small_target,
    optimizer: Any = adam,
    **changes: Any,
) -> tuple[Callable[[Context], Any], Context]:
    """What makes learners of a benchmark's tasks, and what it is given; `changes` to its SETTINGS."""
    kind = METHODS[method]
    settings = kind.Settings(**({"name": method} | SETTINGS[method] | changes))
    return partial(kind, settings), setup(head_map(scenario, benchmark.class_counts), seed, target, optimizer)


def learner(method: str, benchmark: Benchmark, *given: Any, **changes: Any) -> Any:
    """A learner of a benchmark's tasks, as `maker` says."""
    make, own = maker(method, benchmark, *given, **changes)
    return make(own)


def with_shared_head(method: str, **choices: Any) -> Any:
    """A learner of three tasks that are given and share one head, on the benchmark `blobs()`."""
    heads = head_map("cl1", [2, 2, 2])
    heads.separate = False
    heads._own = [slice(0, 2)] * 3
    kept = learner(method, blobs(), **choices)
    return type(kept)(kept.settings, type(kept.context)(**(vars(kept.context) | {"heads": heads})))


def learned(made: Learner, benchmark: Benchmark, tasks: int, steps: int = 3) -> Learner:
    """The learner after some steps on each of the first `tasks` tasks, the whole training data at a time."""
    for number, task in enumerate(benchmark.tasks[:tasks]):
        made.begin_task(benchmark.tasks[: number + 1])
        for _ in range(steps):
            made.step(*task.train.batch(slice(None)))
        made.end_task()
    return made


def begin(made: Learner, task: int) -> None:
    """Lets a learner begin task number `task` of some tasks."""
    made.begin_task(blobs(num_tasks=task + 1).tasks)


class TwoWeights(Benchmark):
    """Three tasks with one number as input; with `two_weights` all formulas fit on one line."""

    Settings = base.Settings

    def __init__(self) -> None:
        data = [([1.0, 0.5], [0, 1]), ([-1.0, 2.0], [0, 0]), ([0.3, 0.4], [1, 0])]
        splits = [Split(torch.tensor(x)[:, None], torch.tensor(y), torch.clone) for x, y in data]
        self.tasks = [Task(number, f"task {number + 1}", split, split, 2) for number, split in enumerate(splits)]


def two_weights(num_outputs: int = 2) -> nn.Module:
    """Logits w x."""
    return nn.Linear(1, num_outputs, bias=False)


def slope(w: Tensor, data: Split) -> Tensor:
    """Gradient (2, 1) of the mean cross-entropy of `two_weights`."""
    p = (data.images @ w.T).softmax(1)
    return ((p - nn.functional.one_hot(data.labels, 2)).T @ data.images) / len(data)


def training(**changes: Any) -> TrainingSettings:
    """A short training."""
    usual: dict[str, Any] = {
        "iterations": 15,
        "epochs": None,
        "batch_size": 8,
        "lr": LR,
        "lr_decay": [],
        "betas": [*BETAS],
        "gradient_clip_norm": None,
        "likelihood": None,
        "log_variance": [-10.0, 0.5],
        "parameters": "all",
        "lora_rank": 4,
        "lora_scale": 1.0,
        "lora_layers": "*",
        "initial_weights": None,
        "initial_weights_checksum": None,
        "shuffle_tasks": False,
        "validation": 0.0,
        "eval_batch_size": 16,
        "eval_window": None,
        "eval_every": 10,
        "log_every": 5,
    }
    return TrainingSettings(**(usual | changes))


def rows_of(*arguments: Any, **more: Any) -> Iterator[Row]:
    """The rows alone of what `train` yields."""
    return (row for row in train(*arguments, **more) if row is not None)


def written_out(hypernetwork: Hypernetwork, theta: Mapping[str, Tensor], embedding: Tensor) -> Tensor:
    """h(e, theta) by the book: each chunk's code through the layers, the blocks joined and cut."""
    blocks = []
    for chunk in theta["chunk_embeddings"]:
        hidden = torch.cat([embedding, chunk])
        for i in range(len(hypernetwork.trunk)):
            hidden = hypernetwork.activation(theta[f"trunk.{i}.weight"] @ hidden + theta[f"trunk.{i}.bias"])
        blocks.append(theta["head"][:-1].T @ hidden + theta["head"][-1])
    return torch.cat(blocks)[: hypernetwork.layout.total]


def moved(theta: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Another theta nearby, as leaves that require gradients."""
    return {name: (p + scale * torch.randn_like(p)).detach().requires_grad_() for name, p in theta.items()}


def run(config: Mapping[str, Any], folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """A whole run of a resolved configuration in this process; returns the contents of result.json."""

    def setup() -> dict[str, str]:
        return {"config.yaml": OmegaConf.to_yaml(OmegaConf.create(dict(config)))}

    with Interruption() as interruption:
        result: dict[str, Any] = exhaust(
            run_cooperatively(config, folder, Request(overrides, setup), RunContext(Console(), interruption))
        )
    return result


def same_state(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two state_dicts hold the same tensors bit for bit (extra state aside)."""
    tensors = [name for name, value in first.items() if isinstance(value, Tensor)]
    assert tensors
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in tensors)
