"""`transfer` compares with a run from scratch that was trained alike, or not at all."""

import shlex
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fake_runs import readable, square, write_config, write_run

from hnet_cl.report.cli import main
from hnet_cl.report.notes import lines
from hnet_cl.report.selection import select
from hnet_cl.report.transfer import COMMANDS, missing


def transfer(root: Path) -> float | None:
    (run,) = (run for run in readable(root) if run.result.method == "hnet")
    return run.metrics.get("transfer")


def said(root: Path) -> list[str]:
    """What is said of runs without transfer, a line each."""
    runs = readable(root)
    return lines(missing(select(runs, [], ()).finished, runs))


def scratch(root: Path, config: str = "s", *last_row: float, **changes: Any) -> Path:
    return write_run(root, config, method="scratch", accuracy_matrix=square(*(last_row or (1.0, 0.5))), **changes)


def test_same_tasks_and_seed(tmp_path: Path) -> None:
    write_run(tmp_path)  # learns both tasks to 1.0
    write_run(tmp_path, config="s", method="scratch", accuracy_matrix=[[0.75, None], [0.75, 0.5]])
    assert transfer(tmp_path) == pytest.approx(((1 - 0.75) + (1 - 0.5)) / 2)
    assert said(tmp_path) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "running"},
        {"seed": 2},
        {"benchmark": "pmnist"},
        {"scenario": "cl2"},
        {"data": {"name": "mnist", "checksum": "other"}},
        {"data": {"name": "mnist-5k", "checksum": "c0ffee"}},
        {"overrides": ["benchmark.seed=3"]},
        {"overrides": ["training.shuffle_tasks=true"]},
        {"overrides": ["training.iterations=5"]},
        {"overrides": ["training.gradient_clip_norm=1"]},
        {"overrides": ["optimizer._target_=torch.optim.SGD"]},
        {"overrides": ["lr_scheduler._target_=torch.optim.lr_scheduler.ConstantLR"]},
        {"overrides": ["target.hidden=[100,100]"]},
        {"overrides": ["device.precision=bfloat16"]},
        {"overrides": ["scenario.heads=separate"]},
    ],
    ids=str,
)
def test_nothing_else_will_do(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_run(tmp_path)
    scratch(tmp_path, **changes)
    assert transfer(tmp_path) is None
    assert len(said(tmp_path)) == 2


@pytest.mark.parametrize(
    "override",
    [
        *("training.log_every=7", "device.threads=2", "training.epochs=null", "training.iterations=100", "a=1"),
        *("training.eval_window=20", "training.eval_every=5"),
    ],
)
def test_what_changes_no_accuracy_or_nothing_does_not_matter(tmp_path: Path, override: str) -> None:
    write_run(tmp_path, overrides=["method.beta=2"])
    scratch(tmp_path, overrides=[override])
    assert transfer(tmp_path) == pytest.approx(0.25)


def test_settings_count_and_not_what_was_typed(tmp_path: Path) -> None:
    write_config(write_run(tmp_path), "training:\n  iterations: 200\n")
    other = scratch(tmp_path)
    write_config(other, "training:\n  iterations: 5\n")
    assert transfer(tmp_path) is None
    write_config(other, "training:\n  iterations: 200\n")
    assert transfer(tmp_path) == pytest.approx(0.25)


@pytest.mark.parametrize("unreadable", ["hnet", "scratch"])
def test_unknown_settings_are_not_compared(tmp_path: Path, unreadable: str) -> None:
    folders = {"hnet": write_run(tmp_path), "scratch": scratch(tmp_path)}
    (folders[unreadable] / ".hydra" / "config.yaml").unlink()
    assert transfer(tmp_path) is None
    reason = "unknown settings, .hydra/config.yaml cannot be read"
    assert (reason in said(tmp_path)[-1]) == (unreadable == "hnet")


def test_of_several_the_one_on_the_same_device_or_the_first(tmp_path: Path) -> None:
    write_run(tmp_path, overrides=["device.threads=2"])
    scratch(tmp_path, "s", 1.0, 0.5)
    scratch(tmp_path, "t", 1.0, 0.25)
    assert transfer(tmp_path) == pytest.approx(0.25)
    scratch(tmp_path, "u", 1.0, 0.75, overrides=["device.threads=2"])
    assert transfer(tmp_path) == pytest.approx(0.125)


def test_the_missing_run_is_named_by_its_command(tmp_path: Path) -> None:
    typed = [
        "benchmark=smnist",
        "method=hnet",
        "method.beta=3",
        "+method/generator=plain",
        "~method.mask",
        "target.hidden=[100,100]",
        "training.iterations=200",
        "hydra.run.dir=r",
        "fresh=true",
        "data_dir=a b",
    ]
    command = "python -m hnet_cl --config-dir 'my conf' benchmark=smnist -m"
    first = write_run(tmp_path, seed=3, overrides=[*typed, "seed=3"], command=command)
    assert said(tmp_path) == [
        "1 run without transfer: there is no run from scratch with the same tasks, seed, target, training and "
        "precision:",
        f"  for {first}: python -m hnet_cl --config-dir 'my conf' benchmark=smnist 'target.hidden=[100,100]' "
        "training.iterations=200 'data_dir=a b' method=scratch seed=3",
    ]
    write_run(tmp_path, seed=1, overrides=[*typed, "seed=1"], command=command)
    line = said(tmp_path)[1]
    assert line.startswith(f"  for {tmp_path}/smnist-cl1-hnet/aaaaaaaa/seed=1 and 1 more: python -m hnet_cl ")
    assert line.endswith("method=scratch seed=1,3 -m")


def test_where_the_same_was_typed_the_settings_that_differ_are_in_the_command(tmp_path: Path) -> None:
    """A preset of the method has chosen them."""
    write_config(write_run(tmp_path), "training: {iterations: 200, lr: 0.1, betas: [0.5, 0.9]}\n")
    write_config(scratch(tmp_path), "training: {iterations: 5, lr: 0.1, betas: [0.9, 0.9]}\n")
    assert "hnet_cl training.iterations=200 'training.betas=[0.5,0.9]' method=scratch seed=1" in said(tmp_path)[1]


def test_only_where_scratch_is_defined(tmp_path: Path) -> None:
    write_run(tmp_path, scenario="cl2")
    scratch(tmp_path)
    assert said(tmp_path) == []


@pytest.mark.parametrize(("task_known", "expected"), [("true", 0.25), ("false", None)])
def test_a_run_from_scratch_that_infers_the_task_is_no_reference(
    task_known: str, expected: float | None, tmp_path: Path
) -> None:
    for folder in (write_run(tmp_path), scratch(tmp_path)):
        write_config(folder, f"scenario: {{task_known: {task_known}}}\n")
    assert transfer(tmp_path) == expected
    assert said(tmp_path) == []


def test_many_commands_are_counted(tmp_path: Path) -> None:
    for number in range(COMMANDS + 3):
        for seed in (1, 2):
            write_run(tmp_path, config=str(number), seed=seed, overrides=[f"training.lr={number}"])
    found = said(tmp_path)
    assert len(found) == COMMANDS + 2 and found[-1] == "  ...: 3 more"


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    """Trained for 200 steps beside 5 from scratch, of another network."""
    overrides = ["target.hidden=[100,100]", "training.iterations=200"]
    write_run(tmp_path, overrides=overrides)
    scratch(tmp_path, overrides=["training.iterations=5"])
    return tmp_path


COMMAND = "python -m hnet_cl 'target.hidden=[100,100]' training.iterations=200 method=scratch seed=1"


@pytest.mark.slow
def test_a_report_shows_no_number_but_the_command(unlike: Path) -> None:
    main([str(unlike), "--output", str(unlike / "report")])
    for name in ("table.txt", "table.md", "table.tex", "index.html"):
        text = (unlike / "report" / name).read_text()
        assert "transfer (during" not in text
        assert COMMAND in unescape(text.replace("\\[", "["))


def test_a_table_of_transfer_alone_names_it_too(unlike: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(unlike), "--metric", "transfer"])
    err = capsys.readouterr().err
    assert COMMAND in err and err.count("\n") == 1
    main([str(unlike)])
    assert "transfer" not in capsys.readouterr().out  # not asked for
    write_run(unlike, config="c", seed=2)
    scratch(unlike, config="t", seed=2)
    main([str(unlike), "--metric", "transfer", "--where", "method=hnet"])
    out = capsys.readouterr().out
    assert "+25.00 (1)" in out and COMMAND in out


@pytest.mark.slow
def test_the_command_makes_the_run_that_was_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["benchmark=toy", "benchmark.num_tasks=2", "training.iterations=20", "target=mlp_100"]
    typed += [f"output_dir={tmp_path}", "method.strength=0.5", "seed=2"]
    subprocess.run([sys.executable, "-m", "hnet_cl", *typed], check=True, capture_output=True)
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--metric", "transfer"])
    words = shlex.split(capsys.readouterr().err.partition("seed=2: ")[2])
    assert words[:3] == ["python", "-m", "hnet_cl"]
    subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True)
    main([str(tmp_path), "--metric", "transfer"])
    assert "without transfer" not in capsys.readouterr().out
