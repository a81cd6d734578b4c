"""How a class or a function that builds a target network is found, and which keys it has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from hnet_cl.api import run
from hnet_cl.config.networks import network_builder, network_settings
from hnet_cl.core.errors import UserError

KEY = "target._target_"
NETS = """
from __future__ import annotations
from typing import TYPE_CHECKING, Any
from torch import nn
if TYPE_CHECKING:
    from somewhere import Net

class Own(nn.Sequential):
    def __init__(self, width: int, classes=7):
        super().__init__(nn.Linear(2, width), nn.BatchNorm1d(width), nn.Dropout(0.1), nn.Linear(width, classes))

def made(width: int = 3, **more: Any) -> nn.Module:
    return Own(width)

def silent(width=3):
    return Own(width)

def lazy(width=3) -> Net:
    return Own(width)
"""


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_of_others.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_class_and_a_function_that_says_what_it_returns() -> None:
    assert issubclass(network_builder("nets_of_others.Own", KEY), nn.Module)  # type: ignore[arg-type]
    assert isinstance(network_builder("nets_of_others.made", KEY)(), nn.Module)


@pytest.mark.parametrize("name", ["silent", "lazy"])
def test_a_function_that_does_not_say_it(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{KEY}=nets_of_others.{name}: is a function .*; write -> nn.Module$"):
        network_builder(f"nets_of_others.{name}", KEY)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [("Own", {"width": 3}, {"width": 3, "classes": 7}), ("made", {"deep": True}, {"width": 3, "deep": True})],
)
def test_its_keys(name: str, given: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    settings = network_settings(network_builder(f"nets_of_others.{name}", KEY))
    assert settings.model_validate(given).model_dump() == kept


def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=3", "device.threads=1")
    result = run(*small, f"output_dir={tmp_path / 'outputs'}", "network=nets_of_others.Own", "network.width=5")
    assert (result["status"], result["target"]) == ("finished", "Own")
    assert result["parameters"]["target"] == 3 * 5 + 2 * 5 + 6 * 4
    line = "Target network Own: its last linear layer, 3, has 4 outputs in place of 7."
    assert line in capsys.readouterr().out
    with pytest.raises(UserError, match=r"^target\.width: is missing; give network\.width=VALUE$"):
        run(*small, f"output_dir={tmp_path / 'others'}", "network=nets_of_others.Own")
