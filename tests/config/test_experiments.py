"""Whole experiments: the command in each file's head composes, and what it says learns."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from in_process import command

from hnet_cl.build import build_benchmark, build_learner
from hnet_cl.config.arguments import flags_last, spread_seeds
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.config.overrides import prepared
from hnet_cl.config.resolvers import plain

CPU = torch.device("cpu")
COMMAND = re.compile(r"# python -m hnet_cl (.*experiment=(\S+).*)")
KEPT = {  # what of an experiment's own keys a command must not lose to a preset
    "smnist_wide_replay": ("method.generator.hypernet.hidden", [50, 50]),
    "smnist_later_ent": ("method.hypernet.chunk_size", 4500),
    "smnist_owm": ("training.batch_size", 256),
    "compare": ("benchmark._target_", "hnet_cl.benchmarks.split.SplitClasses"),
    "smnist_early_task_classifier": ("method.task_inference.generator.decoder", [300, 150]),
}


JOBS = {  # of the paper's sweeps
    "table1_split": 72,
    "table1_permuted": 72,
    "fig2_toy": 15,
    "fig3_long_sequence": 4,
    "fig3b_compression": 50,
    "fig4_embeddings": 3,
    "fig5_cifar_zenke": 15,
    "fig5_cifar_resnet32": 9,
    "f_celeba": 20,
    "lookahead": 6,
    "strength": 12,
    "sampled_tasks": 3,
    "task_order": 5,
}


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(conf_dir().glob("experiment/paper/*.yaml")), ids=lambda path: path.stem)
def test_every_sweep_of_the_paper_can_start(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)  # what optimisers then ask
    (line, name), *others = COMMAND.findall(path.read_text(encoding="utf-8"))
    assert name == f"paper/{path.stem}" and not others
    done = command(tmp_path, *shlex.split(line))
    assert done.code == 0, done.err
    assert len(done.jobs) == JOBS[path.stem] and len({tuple(job) for job in done.jobs}) == JOBS[path.stem]


@pytest.mark.parametrize("path", sorted(conf_dir().glob("experiment/*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_learns(path: Path) -> None:
    (line, name), *others = COMMAND.findall(path.read_text(encoding="utf-8"))
    assert name == path.stem and not others
    words = prepared(spread_seeds(flags_last(shlex.split(line))))
    fixed = [word for word in words if word[0] != "-" and not word.startswith("seed=")]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = plain(compose("config", [*fixed, "dataset.source=embedded"]))
    key, value = KEPT[name]
    node: Any = config
    for part in key.split("."):
        node = node[part]
    assert node == value
    plan = check(config)
    benchmark = build_benchmark(plan, Path("unused"), CPU)
    learner = build_learner(plan, benchmark.in_shape, benchmark.class_counts, CPU)
    learner.begin_task(benchmark.tasks[:1])
    losses = learner.step(*benchmark.tasks[0].train.batch(slice(0, 8)))
    assert losses and all(loss.isfinite() for loss in losses.values())
