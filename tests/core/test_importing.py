"""Modules of users: whatever their import does is one line, and they may import torchvision."""

from pathlib import Path

import pytest
from processes import folder_of, hnet_cl, mistake, result_of
from tiny_images import write_cifar

from hnet_cl.core.errors import Interrupted, UserError
from hnet_cl.core.importing import import_named

RESNET = """
import torchvision
from torch import nn

class Net(nn.Module):
    def __init__(self, in_shape, num_outputs):
        super().__init__()
        self.net = torchvision.models.resnet18(num_classes=num_outputs)

    def forward(self, x):
        return self.net(x)
"""


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('operator torchvision::nms\\ndoes not exist')", "RuntimeError: operator torchvision::nms"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise SystemExit", "SystemExit"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("assert False", "AssertionError"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("open('/nowhere/at/all')", "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/at/all'"),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("def __getattr__(name): raise OSError(name)", "OSError: Net"),
        ("class Net(", "SyntaxError: '(' was never closed (mine_of_"),
        ("\0", "SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_whatever_an_import_raises_is_one_line(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    name = f"mine_of_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as caught:
        import_named(f"{name}.Net", "target._target_")
    line = str(caught.value)
    assert line.startswith(f"target._target_={name}.Net: cannot be imported ({reason}") and "\n" not in line


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), Interrupted(15)], ids=["ctrl-c", "sigterm"])
def test_a_signal_during_an_import_is_no_mistake(
    signal: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "signalled.py").write_text("import builtins; raise builtins.signal_of_test")
    monkeypatch.setattr("builtins.signal_of_test", signal, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(type(signal)):
        import_named("signalled.Net", "target._target_")


@pytest.mark.slow
def test_a_network_of_torchvision_is_trained(tmp_path: Path) -> None:
    write_cifar(tmp_path, 10)
    (tmp_path / "nets.py").write_text(RESNET)
    done = hnet_cl(
        *("benchmark=split_cifar10", "benchmark.verify=none", "benchmark.num_tasks=2", f"data_dir={tmp_path}"),
        *("target._target_=nets.Net", "~target.conv_dropout", "~target.dense_dropout", "method=finetune"),
        *("training.iterations=2", "training.epochs=null", "training.batch_size=4", f"output_dir={tmp_path / 'out'}"),
        PYTHONPATH=str(tmp_path),
    )
    assert "Traceback" not in done.stderr
    result = result_of(folder_of(done))
    assert (result["status"], result["tasks_done"]) == ("finished", 2)
    assert 11_100_000 < result["parameters"]["target"] < 11_200_000  # ResNet-18


@pytest.mark.slow
def test_a_module_that_ends_its_process_does_not_end_ours(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("import sys\nsys.exit('enough')")
    line = mistake("benchmark=toy", "target._target_=nets.Net", "~target.hidden", PYTHONPATH=str(tmp_path))
    assert line == "target._target_=nets.Net: cannot be imported (SystemExit: enough)"
