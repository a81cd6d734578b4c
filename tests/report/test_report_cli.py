"""The report's command line, in this process and in a real one."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import square, write_config, write_run

from hnet_cl.report.cli import main

HEAVY = ("torch", "hydra", "omegaconf", "scipy", "matplotlib", "numpy", "rich", "tensorboard")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed in (1, 2):
        folder = write_run(tmp_path, seed=seed, accuracy_matrix=square(0.8, 1.0))
        write_config(folder, f"seed: {seed}\ndevice:\n  threads: 2\n")
    other = write_run(tmp_path, config="b", seed=3, overrides=["method.beta=0.5"], accuracy_matrix=square(0.6, 1.0))
    write_config(other, "seed: 3\ndevice:\n  threads: 1\nmethod:\n  beta: 0.5\n")
    write_run(tmp_path, config="c", method="ewc", status="failed", error="loss is nan")
    return tmp_path


def test_a_table_and_what_is_left_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(root)])
    out = capsys.readouterr().out
    label = "hnet, method.beta=0.5, device.threads=1"
    assert f"hnet{' ' * 37}90.00 ± 0.00 (2)\n{label}  80.00 (1)\n\n" in out
    assert "\n\nunless a row says otherwise: device.threads=2\n" in out
    name = f"{root}/smnist-cl1-ewc/c/seed=1"
    assert out.endswith(f"1 failed run, not averaged:\n  {name}: 2 of 2 tasks: loss is nan\n")


def test_csv_is_nothing_but_csv(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(root), "--format", "csv", "--metric", "acc,wall_time_s", "--where", "method.beta=0.5"])
    (acc, time) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (acc["metric"], acc["mean"], time["metric"], time["mean"]) == ("acc", "0.8", "wall_time_s", "10.0")
    main([str(root), "--format", "csv"])
    assert "loss is nan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "header"),
    [
        ([], "method  cl1"),
        (["--columns", "scenario,metric", "--metric", "acc,bwt"], "method  cl1, ACC  cl1, BWT"),
        (["--columns", "method"], "runs  hnet"),
        (["--rows", "scenario"], "scenario  ACC"),
        (["--rows", "method.beta"], "method.beta  cl1"),
        (["--rows", "", "--columns", "metric", "--metric", "acc,bwt"], "runs  ACC  BWT"),
    ],
)
def test_rows_and_columns(root: Path, arguments: list[str], header: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(root), *arguments])
    lines = capsys.readouterr().out.splitlines()
    assert header.split() == lines[2].split()


def test_ignored_keys(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(root), "--ignore", "device,method.beta", "--ci"])
    # 0.9, 0.9 and 0.8: standard error 0.1 / 3, times t(0.975, 2) = 4.3027
    assert "hnet    86.67 [72.32, 101.01] (3)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder; give the folder of your runs, which is outputs where you started "),
        (
            ["--metrc", "acc"],
            "unrecognized arguments: --metrc acc; did you mean --metric? (--help shows what there is)",
        ),
        (["--rows", "metod"], "--rows metod: no run has this key; did you mean method?"),
        (["--columns", "scenari"], "--columns scenari: no run has this key; did you mean scenario?"),
        (["--metric", "accc"], "--metric accc: no finished run has it; did you mean acc?"),
        (["--where", "method=hnt"], "--where method=hnt: no run has it; did you mean hnet?"),
        (["--ignore", "devic"], "--ignore devic: no run's configuration has it; did you mean device?"),
        (["--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["--metrics", "acc"], "unrecognized arguments: --metrics"),
        (["--output", "FILE/report"], "[Errno 20] Not a directory"),
    ],
)
def test_mistakes_are_one_line(
    root: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        main([str(root), *(argument.replace("FILE", str(root / "file")) for argument in arguments)])
    out, err = capsys.readouterr()
    assert stopped.value.code == 2 and out == ""
    assert err.startswith(f"hnet_cl.report: {message}") and err.count("\n") == 1


@pytest.mark.slow
def test_a_real_process_imports_nothing_heavy(root: Path) -> None:
    code = (
        "import sys\nfrom hnet_cl.report.cli import main\n"
        f"main({[str(root), '--metric', 'acc,bwt', '--rows', 'method.beta']!r})\n"
        f"heavy = set({HEAVY!r}) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        f"main({[str(root), '--output', str(root / 'report')]!r})\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'pandas', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"loss is nan\n{root}/report/index.html\n")
    assert "without transfer" not in done.stdout, "nobody has trained from scratch"


@pytest.mark.slow
def test_odd_names_and_terminals(root: Path) -> None:
    odd = root / os.fsdecode(b"\xff")
    write_run(odd, config="z", overrides=["a=\u2603"], accuracy_matrix=square(0.8, 1.0))
    write_run(odd, seed=1)  # a repeat
    command = [sys.executable, "-m", "hnet_cl.report", str(root)]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"hnet, a=?  " in done.stdout and b"90.00 ? 0.00 (2)" in done.stdout
    main([str(odd), "--output", str(root / "report")])
    assert "\ufffd" in (root / "report" / "index.html").read_text(encoding="utf-8")


def test_as_a_module_in_a_pipe_that_closes_early(root: Path) -> None:
    command = [sys.executable, "-m", "hnet_cl.report", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 0
    process.stderr.close()


@pytest.mark.slow
def test_a_leading_tilde_is_the_home(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    main([f"~/{root.name}", "--output", "~/compared"])
    assert (root.parent / "compared" / "index.html").is_file()


def test_as_another_library_defines_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the first task 0.9, then 0.95 and 0.7: forgetting is 25 points in ours and in Mammoth, 20 in Avalanche."""
    write_run(tmp_path, accuracy_matrix=[[0.9, None, None], [0.95, 0.8, None], [0.7, 0.8, 1.0]])
    found = {}
    for library in ("avalanche", "libcontinual", "mammoth"):
        main([str(tmp_path), "--as", library, "--format", "csv"])
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        found[library] = [(row["metric"], round(float(row["mean"]), 6)) for row in rows]
    assert found == {
        name: [("acc", 0.833333), (f"forgetting_{name}", lost), (f"bwt_{name}", bwt)]
        for name, lost, bwt in (("avalanche", 0.1, -0.1), ("libcontinual", 0.1, -0.066667), ("mammoth", 0.125, -0.1))
    }
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--as", "mammoth", "--metric", "acc"])
    assert capsys.readouterr().err == (
        "hnet_cl.report: --as mammoth: chooses the metrics; leave out --metric and --published\n"
    )
