"""Optimisers without the compiler take PyTorch's own steps, and no run loads the compiler."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from marks import few
from torch import nn

from hnet_cl.training.lean_optimizers import without_compiler

KINDS = ("Adam", "AdamW", "SGD", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "ASGD", "Rprop")
RUN = """
import sys
from hnet_cl.__main__ import main
sys.argv = ["hnet_cl", *sys.argv[1:]]
main()
print(*(name for name in ("torch._dynamo", "sympy") if name in sys.modules), file=sys.stderr)
"""


def steps(kind: Any, then: Any) -> list[torch.Tensor]:
    """Parameters after five steps, three of one optimiser and two of another that loads its state."""
    torch.manual_seed(3)
    parameters = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))]
    optimizer = kind(parameters, lr=0.01)
    for step in range(5):
        if step == 3:
            later = then(parameters, lr=0.5)
            later.load_state_dict(optimizer.state_dict())
            optimizer = later
        optimizer.zero_grad()
        (parameters[0] @ parameters[1]).square().sum().backward()
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


@pytest.mark.parametrize("name", KINDS)
def test_steps_and_state_are_those_of_torch(name: str) -> None:
    kind = getattr(torch.optim, name)
    lean = without_compiler(kind)
    assert lean is not kind and lean is without_compiler(kind) and issubclass(lean, kind)
    assert (lean.__name__, lean.__module__, lean.same_as) == (name, kind.__module__, kind)  # type: ignore[attr-defined]
    expected = steps(kind, kind)
    for made in (steps(lean, lean), steps(lean, kind), steps(kind, lean)):
        assert all(torch.equal(*pair) for pair in zip(made, expected, strict=True))


def test_others_stay_as_they_are() -> None:
    class Own(torch.optim.SGD):
        pass

    assert without_compiler(Own) is Own


@pytest.mark.parametrize("method", few(["hnet", "hnet_r", "owm", "ewc"], []))
def test_no_run_loads_the_compiler(method: str, tmp_path: Path) -> None:
    words = ["benchmark=toy", "benchmark.num_tasks=2", "training.iterations=3", f"method={method}"]
    scenario = "scenario=cl3" if method == "hnet_r" else "scenario=cl1"
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words, scenario], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stderr == "\n"
