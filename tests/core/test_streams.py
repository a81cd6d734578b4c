"""Output that nobody reads, that cannot be written, or whose characters nobody knows: training goes on to its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import result_of, start

RUN = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=20")
REDIRECTIONS = ("| head -1", ">&-", ">&- 2>&-", "> /dev/full 2>&1")
SAY = """
import sys
from hnet_cl.core.streams import forgive
forgive()
for number in range(3):
    print(number, "→ · ± \\udcff" * 100000)
    print(number, "é", file=sys.stderr)
    sys.stdout.flush()
open("made", "w").write("the next file that is opened")
sys.exit(7)
"""


def only_result(outputs: Path) -> str:
    (path,) = outputs.rglob("result.json")
    result = result_of(path.parent)
    assert result["error"] is None
    return str(result["status"])


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("redirection", ["| head -c 5 2>&1", ">&-", ">&- 2>&- <&-", "> /dev/full", "> /dev/full 2>&1"])
def test_print_never_fails(redirection: str, unbuffered: str, tmp_path: Path) -> None:
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("there is no full device")
    (tmp_path / "say.py").write_text(SAY)
    command = f'{{ "{sys.executable}" say.py; echo $? > code; }} {redirection}'
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (tmp_path / "code").read_text() == "7\n", done.stderr
    assert "Error" not in done.stderr and "ignored" not in done.stderr
    assert (tmp_path / "made").read_text() == "the next file that is opened"


def test_what_can_be_written_is(tmp_path: Path) -> None:
    code = (
        "import sys; from hnet_cl.core.streams import forgive; forgive(); "
        "print('·', end=''); print('é', file=sys.stderr)"
    )
    for encoding, shown in (("utf-8", "·"), ("ascii", "?")):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
        assert done.stdout.decode(encoding) == shown
        assert done.stderr.decode(encoding) == {"·": "é\n", "?": "?\n"}[shown]


@pytest.mark.slow
def test_a_run_outlives_its_reader(tmp_path: Path) -> None:
    process = start(*RUN, f"output_dir={tmp_path}")
    assert process.stdout and process.stderr
    process.stderr.close()
    lines = [process.stdout.readline() for _ in range(7)]
    first = ["Loading", "Reading", "Trying", "Hyperparameters", "Sizes:", "Data", "task"]
    assert [line.split()[0] for line in lines] == first
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert only_result(tmp_path) == "finished"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sweep", "redirection"),
    [
        *((sweep, redirection) for sweep in ("", "-m hydra/launcher=local") for redirection in REDIRECTIONS),
        ("-m", "| head -1"),
        ("-m hydra/launcher=one_process", "> /dev/full 2>&1"),
    ],
)
def test_training_goes_on_whatever_becomes_of_its_output(redirection: str, sweep: str, tmp_path: Path) -> None:
    run = f'"{sys.executable}" -m hnet_cl {" ".join(RUN)} {sweep} "output_dir={tmp_path}"'
    command = f'{{ {run}; echo $? > "{tmp_path}/code"; }} {redirection}'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300)
    assert (tmp_path / "code").read_text() == "0\n", done.stderr
    assert "Error" not in done.stderr
    assert only_result(tmp_path) == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("words", ["--help", "--cfg job", "--hydra-help", "--cfg all"])
def test_help_into_head(words: str) -> None:
    command = f'{{ "{sys.executable}" -m hnet_cl {words}; echo $? >&2; }} | head -1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == "0\n" and done.stdout.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [{"COLUMNS": "0"}, {"TERM": "dumb"}, {"COLUMNS": "1"}, {"TERM": ""}])
def test_strange_terminals(terminal: dict[str, str], tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", **terminal}
    command = [sys.executable, "-m", "hnet_cl", *RUN, f"output_dir={tmp_path}"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # how Linux says that nobody writes any more
            break
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert b"Traceback" not in shown
    assert only_result(tmp_path) == "finished"
