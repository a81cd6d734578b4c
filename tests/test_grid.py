"""Every method in every scenario, from configuration to accuracy matrix, on a benchmark of seconds."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from builders import rows_of
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import hnet_cl.config.resolvers  # noqa: F401  (presets ask for its resolvers)
from hnet_cl import build
from hnet_cl.config.check import check
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.core.errors import UserError

METHODS, SCENARIOS = (list(choices(conf_dir(), group)) for group in ("method", "scenario"))
NEED_THE_TASK = {"hnet", "scratch"}


@pytest.mark.parametrize(("method", "scenario"), list(product(METHODS, SCENARIOS)))
def test_grid(method: str, scenario: str) -> None:
    overrides = ["benchmark=toy", f"method={method}", f"scenario={scenario}", "training.iterations=60"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose("config", overrides), resolve=True)
    if method in NEED_THE_TASK and scenario != "cl1":
        with pytest.raises(UserError, match=rf"^method={method} with scenario={scenario}: .*use scenario=cl1"):
            check(config)
        return
    plan = check(config)
    benchmark = build.build_benchmark(plan, Path("unused"), torch.device("cpu"))
    learner = build.build_learner(plan, benchmark.in_shape, benchmark.class_counts, torch.device("cpu"))
    rows = list(rows_of(learner, benchmark.tasks, plan.training, []))
    assert rows[0].scores[0] is not None and rows[0].scores[0] > 0.9, "the first task is learned anywhere"
    inferred = rows[-1].inferred
    if method in ("hnet_ent", "hnet_tir") and scenario != "cl1":
        assert inferred is not None and [sum(counts) for counts in inferred] == [200] * 3
    else:
        assert inferred is None
