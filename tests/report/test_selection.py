"""Which runs are averaged: by status, once per seed, and by conditions."""

from pathlib import Path

import pytest
from fake_runs import readable, write_config, write_run

from hnet_cl.core.config_hash import is_below
from hnet_cl.core.errors import UserError
from hnet_cl.report.selection import identity_of, require_key, select, where


def test_only_finished_runs_are_averaged(tmp_path: Path) -> None:
    finished = write_run(tmp_path)
    running = write_run(tmp_path, seed=2, status="interrupted", accuracy_matrix=[[1.0, None]])
    done_but_running = write_run(tmp_path, seed=3, status="running")
    failed = write_run(tmp_path, seed=4, status="failed", error="loss is nan")
    selection = select(readable(tmp_path), [], ())
    assert [run.folder for run in selection.finished] == [finished]
    assert [run.folder for run in selection.incomplete] == [running, done_but_running]
    assert [run.folder for run in selection.failed] == [failed]
    assert len(selection.runs) == 4


def test_a_copy_does_not_count_twice(tmp_path: Path) -> None:
    first, copy = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    write_run(tmp_path / "c", data={"name": "mnist", "checksum": "other"})
    write_run(tmp_path / "d", status="failed")
    selection = select(readable(tmp_path), [], ())
    assert len(selection.finished) == 2
    ((repeat, kept),) = selection.repeats
    assert (repeat.folder, kept.folder) == (copy, first)


def test_ignored_keys_join_what_differs_in_them_only(tmp_path: Path) -> None:
    for config, threads, beta, seed in (("a", 1, 0.1, 1), ("b", 2, 0.1, 2), ("c", 2, 0.1, 1), ("d", 2, 0.5, 1)):
        folder = write_run(tmp_path, config=config, seed=seed)
        write_config(folder, f"seed: {seed}\ndevice:\n  threads: {threads}\nmethod:\n  beta: {beta}\n")
    unknown = write_run(tmp_path, config="e")
    runs = readable(tmp_path)
    assert len({identity_of(())(run) for run in runs}) == 5
    assert len({identity_of(["device"])(run) for run in runs}) == 3
    assert len({identity_of(["device.threads", "method.beta"])(run) for run in runs}) == 2
    selection = select(runs, [], ["device"])
    assert [run.result.config_id for run, _ in selection.repeats] == ["c"]
    assert unknown in {run.folder for run in selection.finished}


def test_what_is_not_computed_separates_no_runs(tmp_path: Path) -> None:
    for seed, batch in ((1, 2000), (2, 5000)):
        folder = write_run(tmp_path, seed=seed)
        write_config(folder, f"seed: {seed}\ntraining:\n  eval_batch_size: {batch}\n  lr: 0.1\n")
    runs = readable(tmp_path)
    first, second = (run.settings for run in runs)
    assert first == second and first["training.lr"] == 0.1 and "training.eval_batch_size" not in first
    assert len({identity_of(["device"])(run) for run in runs}) == 1


def test_nothing_joins_different_methods_or_data(tmp_path: Path) -> None:
    for number, key in enumerate(("method", "scenario", "benchmark")):
        write_config(write_run(tmp_path / key, config=f"{number}", **{key: "other"}), "a: 1\n")
    write_config(write_run(tmp_path, config="x", data={"name": "mnist-5k", "checksum": "c0ffee"}), "a: 1\n")
    identity = identity_of(["a", "method", "scenario", "benchmark", "data"])
    assert len({identity(run) for run in readable(tmp_path)}) == 4


def test_below() -> None:
    assert is_below("method.beta", ["method"]) and is_below("method", ["method"])
    assert not is_below("methods", ["method"]) and not is_below("method", ["method.beta"])


@pytest.fixture
def three(tmp_path: Path) -> Path:
    write_run(tmp_path, config="a", method="hnet", overrides=["method.beta=1e-2"])
    write_run(tmp_path, config="b", method="ewc")
    write_run(tmp_path, config="c", method="si", scenario="cl2")
    return tmp_path


@pytest.mark.parametrize(
    ("conditions", "methods"),
    [
        ([], ["ewc", "hnet", "si"]),
        (["method=hnet"], ["hnet"]),
        (["method=hnet,si"], ["hnet", "si"]),
        (["scenario=cl1", "method=ewc,si"], ["ewc"]),
        (["method.beta=0.01"], ["hnet"]),
        (["data.name=mnist"], ["ewc", "hnet", "si"]),
    ],
)
def test_conditions(three: Path, conditions: list[str], methods: list[str]) -> None:
    assert sorted(run.result.method for run in where(readable(three), conditions)) == methods


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("method", "--where method: must be key=value or key=value,value"),
        ("metod=hnet", "--where metod: no run has this key; did you mean method?"),
        ("method=hnt", "--where method=hnt: no run has it; did you mean hnet?"),
    ],
)
def test_mistaken_conditions(three: Path, condition: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        where(readable(three), [condition])
    assert str(caught.value) == message


def test_a_key_that_one_run_has_will_do(three: Path) -> None:
    require_key("method.beta", readable(three), "--rows")
    with pytest.raises(UserError, match=r"^--rows method.bet: .* did you mean method.beta\?$"):
        require_key("method.bet", readable(three), "--rows")
