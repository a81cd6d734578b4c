"""How a class or a function that builds a target network is found, and which keys it has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from marks import thinned
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

class Loud(nn.Linear):
    def forward(self, x):
        raise RuntimeError("cleared \\x1b[2J the screen, " + 5000 * "x" + "\\nand more")

class Unbuilt(nn.Module):
    def __init__(self, in_features, num_outputs):
        raise RuntimeError("cleared \\x1b[2J the screen\\nand more")

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
    with pytest.raises(UserError, match=r"^network\.width: is missing; give network\.width=VALUE$"):
        run(*small, f"output_dir={tmp_path / 'others'}", "network=nets_of_others.Own")


MISTAKES = [
    (["network=nets_of_others.silent"], "network=nets_of_others.silent: is a function that does not say"),
    (
        ["network=nets_of_others.Nope"],
        "network=nets_of_others.Nope: cannot be imported (module 'nets_of_o",
    ),
    (
        ["network=loud_import.Net"],
        r"network=loud_import.Net: cannot be imported (RuntimeError: \x1b[2J and more)",
    ),
    (["network=nodot"], "network=nodot: give the dotted path of a Module class, as package.module.Class"),
    (["network=nets_of_others.Own", "network.width=a"], "network.width=a: input should be a valid integer"),
    (
        ["network=nets_of_others.Own", "network.widht=1"],
        "network.width: is missing; give network.width=VALUE\n",
    ),
    (
        ["network=nets_of_others.Loud"],
        r"network=nets_of_others.Loud: forward in training mode of float32 inputs",
    ),
    (
        ["network=nets_of_others.Unbuilt"],
        "network: Unbuilt cannot be built for inputs [2] and 4 outputs with",
    ),
    (
        ["target=module", "target._target_=nets_of_others.Nope"],
        "network=nets_of_others.Nope: cannot be imported",
    ),
    (
        ["target=mlp_10", "target._target_=nets_of_others.Nope"],
        "target._target_=nets_of_others.Nope: cannot be imp",
    ),
]


@pytest.mark.parametrize(("typed", "said"), thinned(MISTAKES, 3))
def test_errors_name_what_was_typed_and_send_nothing_to_the_terminal(
    typed: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "loud_import.py").write_text('raise RuntimeError("\\x1b[2J and\\nmore")')
    small = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=3", "device.threads=1")
    with pytest.raises(UserError) as caught:
        run(*small, f"output_dir={tmp_path / 'outputs'}", *typed)
    assert str(caught.value).startswith(said)
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 900
