"""What is left out is counted and named."""

from pathlib import Path

from fake_runs import readable, write_run

from hnet_cl.report.notes import lines, notes
from hnet_cl.report.runs import Unreadable
from hnet_cl.report.selection import select


def test_every_kind(tmp_path: Path) -> None:
    first = write_run(tmp_path)
    copy = write_run(tmp_path / "z")
    stopped = [
        write_run(
            tmp_path, seed=2, status="interrupted", error="interrupted by SIGTERM", accuracy_matrix=[[1.0, None]]
        ),
        write_run(tmp_path, seed=3, status="running", accuracy_matrix=[]),
    ]
    failed = write_run(tmp_path, seed=4, status="failed", error="loss is nan\n\x1b[31mat iteration 3", num_tasks=2)
    selection = select(readable(tmp_path), [Unreadable(Path("there"), "not JSON")], ())
    assert lines(notes(selection)) == [
        "2 incomplete runs, not averaged:",
        f"  {stopped[0]}: 1 of 2 tasks: interrupted by SIGTERM",
        f"  {stopped[1]}: 0 of 2 tasks: running, or killed",
        "1 failed run, not averaged:",
        f"  {failed}: 2 of 2 tasks: loss is nan �[31mat iteration 3",
        "1 unreadable run, not averaged:",
        "  there: not JSON",
        "1 repeated run, not averaged:",
        f"  {copy}: same configuration and seed as {first}",
    ]


def test_of_many_that_are_left_out_alike_the_first_is_named(tmp_path: Path) -> None:
    for seed in range(1, 6):
        write_run(tmp_path, seed=seed, status="failed", error="no data" if seed < 5 else "nan", accuracy_matrix=[])
    _, first, other = lines(notes(select(readable(tmp_path), [], ())))
    assert first == f"  {tmp_path}/smnist-cl1-hnet/aaaaaaaa/seed=1 and 3 more: 0 of 2 tasks: no data"
    assert other == f"  {tmp_path}/smnist-cl1-hnet/aaaaaaaa/seed=5: 0 of 2 tasks: nan"


def test_a_run_that_failed_before_it_knew_its_tasks(tmp_path: Path) -> None:
    failed = write_run(tmp_path, status="failed", error="no data", num_tasks=0, accuracy_matrix=[])
    assert lines(notes(select(readable(tmp_path), [], ())))[1] == f"  {failed}: before its first task: no data"


def test_nothing_to_say(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert lines(notes(select(readable(tmp_path), [], ()))) == []
