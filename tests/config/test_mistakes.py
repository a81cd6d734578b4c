"""What is said against a command, and that nothing is left behind; `test_fuzz.py` has what nobody thought of."""

from pathlib import Path

import pytest
from in_process import command, left
from marks import few, thinned

MISTAKES = [
    (
        ["method=ewc", "method.strenth=1"],
        ["method.strenth: method=ewc has no such key; did you mean method.strength?"],
    ),
    (
        ["method=finetune", "method.strength=1"],
        ["method.strength: method=finetune has no such key; there are method.reset_optimizer"],
    ),
    (["~method.nope"], ["method.nope: no such key; "]),
    (["task_inference=energy"], ["task_inference: no such key; give method/task_inference=energy"]),
    (["--iterations", "100"], ["--iterations: no such flag; keys have no dashes: iterations=VALUE"]),
    (
        ["method.task_inference=energy"],
        ["method.task_inference=energy: is chosen by its file, with a slash, as method/task_inference=NAME"],
    ),
    (["hydra.verbose=null"], ["the configuration cannot be used (AssertionError); check hydra.verbose=null"]),
    (
        ["seed=1,2"],
        ["seed=1,2: is several values; add -m to run one after another, or give a list, as KEY=[1,2]"],
    ),
    (
        ["seed=range(2)"],
        ["seed=range(2): is several values; add -m to run one after another, or give a list, as "],
    ),
    (
        ["method.task_inference.generator=3"],
        ["method.task_inference.generator: no such key; did you mean "],
    ),
    (["method=[1,2]", "--resolve"], ["method=[1,2]: give the name of one choice; there are agem, derpp, "]),
    (["--resolve"], ["The --resolve flag can only be used in conjunction with --cfg or --help"]),
    (["seed=${seed}"], ["seed: refers to itself; check seed=${seed}"]),
    (
        ["data_dir=${output_dir}", "output_dir=${data_dir}"],
        ["data_dir: refers to itself; check data_dir=${output_dir}, output_dir=${data_dir}"],
    ),
    (["seed=1", "--config-dir", "/nowhere", "method=ewc"], ["--config-dir=/nowhere: no such folder"]),
    (
        ["-m", "method=ewc,finetune,si", "method.strength=10"],
        ["method.strength: method=finetune has no such key; there are method.reset_optimizer (job "],
    ),
    (
        ["-m", "hydra/sweeper=optuna", "method=ewc,finetune", "method.strength=10"],
        ["method.strength: method=finetune has no such key; there are method.reset_optimizer (job "],
    ),
    (
        ["-m", "hydra/sweeper=optuna", "training.lr=interval(-1,1)"],
        ["training.lr=-1.0: input should be greater than 0 (job training.lr=-1.0)"],
    ),
    (
        ["hydra.output_subdir=../mine"],
        ["hydra.output_subdir=../mine: a run writes its configuration to .hydra "],
    ),
    (["-m", "seed=1,2", "hydra.output_subdir=x"], ["hydra.output_subdir=x: a run writes its configuration to .hydra "]),
    (
        ["method=hint", "method.hypernet.init=fan_in"],
        ["method.hypernet.init=fan_in: is for weights, and boxes of weights are generated here; "],
    ),
    (["method=hint", "method.radius=1e30"], ["method.radius=1e+30: input should be less than or equal to 10000"]),
    (
        ["-m", "training.lr=glob(*)"],
        ["training.lr=glob(*): fits no choice, so there is no job; give values, as KEY=1,2"],
    ),
    (["-m", "method=hnet,nope"], ["method=nope: no such choice; did you mean hnet? there are agem, "]),
    (["-m", "method=hnet,si", "scenario=cl1,cl2"], ["method=hnet with scenario=cl2: the task is not "]),
    (
        ["-m", "seed=range(6)", "method=si", "training.lr=0,-1,0.1"],
        [
            "training.lr=0: input should be greater than 0 (jobs seed=0 training.lr=0; seed=1 training.lr=0; "
            "seed=2 training.lr=0 and 3 more)",
            "training.lr=-1: input should be greater than 0 (jobs ",
        ],
    ),
]


@pytest.mark.parametrize(("typed", "lines"), thinned(MISTAKES, 3))
def test_is_a_line_for_each(typed: list[str], lines: list[str], tmp_path: Path) -> None:
    ended = command(tmp_path, "benchmark=toy", *typed)
    assert len(ended.lines) == len(lines), ended.err
    assert [line for line, start in zip(ended.lines, lines, strict=True) if not line.startswith(start)] == []
    assert left(tmp_path) == [] and ended.jobs == [] and list(tmp_path.iterdir()) == []


def test_a_fixed_key_below_a_swept_group_goes_to_every_job(tmp_path: Path) -> None:
    ended = command(tmp_path, "-m", "benchmark=toy", "method=ewc,si", "method.strength=10", "seed=1,2")
    assert (ended.code, ended.err) == (0, "")
    assert ended.jobs == [
        ["benchmark=toy", f"method={method}", "method.strength=10", f"seed={seed}"]
        for method in ("ewc", "si")
        for seed in (1, 2)
    ]
    verified = command(tmp_path, "-m", "benchmark=split_cifar10,split_cifar100", "benchmark.verify=counts")
    assert (verified.code, len(verified.jobs)) == (0, 2)


@pytest.mark.slow
def test_a_fixed_key_below_a_searched_group_goes_to_every_trial(tmp_path: Path) -> None:
    settings = ["hydra.sweeper.n_trials=3", "training.validation=0.25"]
    ended = command(
        tmp_path, "-m", "benchmark=toy", "hydra/sweeper=optuna", "method=ewc,si", "method.strength=10", *settings
    )
    assert (ended.code, ended.err) == (0, "")
    assert [job[:2] for job in ended.jobs] == [["benchmark=toy", "method.strength=10"]] * 3
    assert {job[-1] for job in ended.jobs} <= {"method=ewc", "method=si"}


@pytest.mark.slow
def test_a_configuration_is_checked_once_for_all_its_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hnet_cl.config import check as config

    checked: list[tuple[str, int]] = []
    real = config.check

    def check(given: dict) -> object:  # type: ignore[type-arg]
        checked.append((given["method"]["name"], given["seed"]))
        return real(given)

    monkeypatch.setattr(config, "check", check)
    assert len(command(tmp_path, "-m", "benchmark=toy", "method=ewc,si", "seed=1,2,3").jobs) == 6
    assert checked == [("ewc", 1), ("ewc", 2), ("ewc", 3), ("si", 1)]


@pytest.mark.parametrize("place", few([0, 1, 2], [1]))
def test_a_folder_of_own_files_can_be_named_anywhere(place: int, tmp_path: Path) -> None:
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "mine.yaml").write_text("defaults: [finetune, _self_]\n")
    typed = ["benchmark=toy", "method=mine"]
    typed[place:place] = ["--config-dir", str(tmp_path / "conf")]
    assert command(tmp_path, *typed).jobs == [["benchmark=toy", "method=mine"]]
