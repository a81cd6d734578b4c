"""Tasks inferred by another rule than the run's own: as a run with that rule, without training again."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from marks import few
from processes import folder_of, in_process, result_of

from hnet_cl.predict.cli import main

WORDS = ("benchmark=toy", "scenario=cl3", "training.iterations=20", "device.threads=1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs with these words, each once."""
    return cache(lambda *words: folder_of(in_process(*WORDS, *words, f"output_dir={tmp_path_factory.mktemp('runs')}")))


def said(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    capsys.readouterr()
    main([f"run={folder}", "input=test", f"output={folder.parent / 'answers.csv'}", *words])
    return capsys.readouterr().out.splitlines()[1:]


RULES = [("max_logit", "scratch"), ("energy", "scratch"), ("entropy_gradient", "scratch")]
DRAWN = ("agreement", "hnet_posterior")  # networks that share a hypernetwork, but a score that no training data give


@pytest.mark.parametrize(("rule", "method"), few([*RULES, DRAWN], [("energy", "scratch")]))
def test_what_a_rule_finds_is_what_a_run_with_it_finds(
    rule: str, method: str, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    by_entropy = run(f"method={method}", "method/task_inference=entropy")
    expected = result_of(run(f"method={method}", f"method/task_inference={rule}"))
    lines = said(by_entropy, capsys, f"task_inference={rule}")
    accuracies = [f"{accuracy:.2%}" for accuracy in expected["accuracy_matrix"][-1]]
    assert lines[0] == f"rule: {rule}" and [line.split()[2] for line in lines[1:4]] == accuracies
    assert lines[5] == f"task inference: {expected['metrics']['task_inference']:.2%} of the tasks found"


@pytest.mark.slow
def test_the_runs_own_rule_by_name_changes_nothing(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("method=hnet_ent")
    assert said(folder, capsys, "task_inference=entropy") == ["rule: entropy", *said(folder, capsys)]
    together = said(folder, capsys, "task_inference=entropy", "images_per_decision=1000")
    assert together[0] == "rule: entropy; 1000 images at a time decide together, another protocol"
    assert together[5] in [f"task inference: {share:.2%} of the tasks found" for share in (0, 1 / 3, 2 / 3, 1)]


@pytest.mark.parametrize(
    ("method", "words", "line"),
    [
        ("hnet_ent", ["task_inference=enrgy"], "task_inference=enrgy: no such rule; did you mean energy?"),
        (
            "hnet_ent",
            ["task_inference=classifier"],
            "task_inference=classifier: is trained with a run; choose it there, as method/task_inference=classifier",
        ),
        ("hnet_ent", ["task_inference=given"], "task_inference=given: no such rule; there are agreement, classifier, "),
        ("hnet_ent", ["task_inference=agreement"], "method/task_inference=agreement: compares samples of each task's "),
        ("hnet_ent", ["images_per_decision=0"], "images_per_decision=0: give a whole number from 1 on"),
        ("hnet_ent", ["images_per_decision=1000000000"], "images_per_decision=1000000000: give a smaller number"),
        ("hnet_ent", ["task_inference="], "task_inference=: no such rule; there are agreement, classifier, "),
        (
            "finetune",
            ["task_inference=energy"],
            "task_inference: method=finetune with scenario=cl3 infers no task by a rule; give the run of one that does",
        ),
        ("finetune", ["images_per_decision=2"], "images_per_decision: method=finetune with scenario=cl3 infers no "),
    ],
)
def test_mistakes_are_a_line(
    method: str, words: list[str], line: str, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(f"method={method}")
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([f"run={folder}", "input=test", *words])
    assert end.value.code == 2
    (first,) = capsys.readouterr().err.splitlines()
    assert first.startswith(f"hnet_cl.predict: {line}")


def test_files_are_answered_by_the_runs_own_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run=somewhere", "input=digits", "task_inference=energy"])
    assert capsys.readouterr().err == (
        "hnet_cl.predict: task_inference: is for input=test, the test set of the run's benchmark\n"
    )
