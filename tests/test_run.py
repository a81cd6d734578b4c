"""One run in this process: what protects earlier results, and what one job of a sweep leaves to the next."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from builders import run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hnet_cl import build
from hnet_cl.config.check import DeviceSettings, check
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.core.errors import UserError
from hnet_cl.records.run_folder import read_result


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    overrides = ["benchmark=toy", "method=finetune", "training.iterations=5"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        plain: Any = OmegaConf.to_container(compose("config", overrides), resolve=True)
    return dict(plain)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    torch.set_flush_denormal(False)


def changed(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    node = config = deepcopy(config)
    *groups, last = key.split(".")
    for group in groups:
        node = node[group]
    node[last] = value
    return config


def rewrite(folder: Path, **changes: Any) -> None:
    """Changes keys of a result.json."""
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def device(threads: int | None) -> DeviceSettings:
    return DeviceSettings(type="cpu", threads=threads, precision="float32", graph=False)


def test_fresh_keeps_the_old_result_until_the_new_run_can_begin(config: dict[str, Any], tmp_path: Path) -> None:
    run(config, tmp_path, [])
    before = read_result(tmp_path)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="no room"):
        patch.setattr(build, "build_context", Mock(side_effect=RuntimeError("no room")))
        run(changed(config, "fresh", True), tmp_path, [])
    assert read_result(tmp_path) == before
    run(changed(config, "fresh", True), tmp_path, [])
    after = read_result(tmp_path)
    assert before and after and after["wall_time_s"] != before["wall_time_s"]
    assert len(list(tmp_path.glob("events.*"))) == 1, "that of the new run; none of the old run"


def test_a_run_does_not_continue_on_other_data(config: dict[str, Any], tmp_path: Path) -> None:
    run(config, tmp_path, [])
    rewrite(tmp_path, status="running")
    with pytest.MonkeyPatch.context() as patch:
        real = build.build_benchmark

        def other(*arguments: Any) -> Any:
            benchmark = real(*arguments)
            benchmark.data = type(benchmark.data)("other", "", "1234")
            return benchmark

        patch.setattr(build, "build_benchmark", other)
        with pytest.raises(UserError, match=r"it is of configuration .* on toy .*, not .* on other 1234\); give fresh"):
            run(config, tmp_path, [])


def test_what_a_kill_left_half_written_is_removed(config: dict[str, Any], tmp_path: Path) -> None:
    run(config, tmp_path, [])
    rewrite(tmp_path, status="running")
    digits = "0123456789abcdef"
    parts = [tmp_path / f".result.part-{digits}.json", tmp_path / "checkpoint" / f".after-1-tasks.part-{digits}.pt"]
    mine = [tmp_path / ".thesis.part-2.tex", tmp_path / "checkpoint" / ".part-list"]
    for path in [*parts, *mine]:
        path.touch()
    run(config, tmp_path, [])
    assert not any(part.exists() for part in parts) and all(path.exists() for path in mine)


def test_validation_is_named_in_the_results(config: dict[str, Any], tmp_path: Path) -> None:
    run(changed(config, "training.validation", 0.25), tmp_path, [])
    result = read_result(tmp_path)
    assert result and result["data"]["name"] == "toy (validation)"


def test_denormal_numbers_are_zero_in_a_run() -> None:
    tiny = torch.tensor([1e-40])
    assert (tiny * 0.5).item() > 0
    build.build_device(device(1))
    assert (tiny * 0.5).item() == 0


def test_threads_of_one_job_are_not_left_to_the_next() -> None:
    usual = build.THREADS
    build.build_device(device(usual + 1))
    assert torch.get_num_threads() == usual + 1
    build.build_device(device(None))
    assert torch.get_num_threads() == usual


@pytest.mark.parametrize("target", ["zenke", "mlp_10"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_that_of_the_target_network(target: str, precision: str) -> None:
    overrides = ["benchmark=split_cifar", "method=hnet", f"target={target}", f"device.precision={precision}"]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        plan = check(OmegaConf.to_container(compose("config", overrides), resolve=True))  # type: ignore[arg-type]
    learner: Any = build.build_learner(plan, (3, 32, 32), [10] * 6, torch.device("cpu"))
    weights = learner.hypernetwork(0)
    assert weights.dtype == torch.float32
    rounding = torch.finfo(getattr(torch, precision)).eps
    images = torch.rand(2, 3, 32, 32)
    logits = learner.target.train(False)(weights, images)
    exact = learner.target.train(False)(weights.double(), images.double())  # autocast leaves float64 alone
    error = ((logits - exact).norm() / exact.norm()).item()
    assert rounding / 100 < error < 10 * rounding
