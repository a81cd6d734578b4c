"""What is typed of a regulariser: by its key or as a choice of Hydra's, by names of today or of before."""

from pathlib import Path
from typing import Any

import pytest
from in_process import command

from hnet_cl.config.check import check
from hnet_cl.config.composing import compose_job
from hnet_cl.config.typed_parts import as_choice, choices_of, with_target
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError


@pytest.mark.parametrize(
    ("typed", "choice"),
    [
        ("method.regularizer=explicit", "method/regularizer=explicit"),
        ("method.regularizer=fast,blocks", "method/regularizer=fast,blocks"),
        ("method.generator.regularizer=mine", "method/regularizer@method.generator.regularizer=mine"),
        (
            "method.task_inference.generator.regularizer=fast",
            "method/regularizer@method.task_inference.generator.regularizer=fast",
        ),
        ("dataset.of=svhn", "dataset@dataset.of=svhn"),
        ("dataset.of=svhn,cifar10", "dataset@dataset.of=svhn,cifar10"),
        ("dataset.of.of=mnist", "dataset@dataset.of.of=mnist"),
    ],
)
def test_a_key_is_a_choice(typed: str, choice: str) -> None:
    assert as_choice(typed) == choice


@pytest.mark.parametrize(
    "typed",
    [
        "method.regularizer.sampled_tasks=2",
        "method.regularizer={_target_: a.B}",
        "method.regularizer='a'",
        "method.regularizer=",
        "+method.regularizer=fast",
        "training.regularizer=fast",
        "dataset.of.normalize=dataset",
        "dataset.of={_target_: a.B}",
        "dataset.offset=3",
        "dataset.of=FGVCAircraft",
        "method/regularizer=fast",
    ],
)
def test_all_else_stays(typed: str) -> None:
    assert as_choice(typed) == typed


@pytest.mark.slow
def test_the_jobs_of_a_sweep_over_regularisers(tmp_path: Path) -> None:
    ended = command(tmp_path, "-m", "benchmark=toy", "method=hnet_r", "method.generator.regularizer=explicit,blocks")
    assert ended.code == 0, ended.err
    place = "method/regularizer@method.generator.regularizer"
    assert [job[-1] for job in ended.jobs] == [f"{place}=explicit", f"{place}=blocks"]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (
            "method.regularized_tasks=2",
            "method.regularized_tasks=2: is a key of the regulariser now; type method.regularizer.sampled_tasks=2",
        ),
        (
            "method.generator.regularized_blocks=64",
            "method.generator.regularized_blocks=64: is a regulariser of its own now; type "
            "method.generator.regularizer=blocks method.generator.regularizer.sampled_blocks=64",
        ),
        (
            "method.regularizer=fats",
            "method/regularizer=fats: no such choice; did you mean fast? there are blocks, explicit, fast",
        ),
        ("dataset=mnist dataset.of=mnist", "dataset.of: dataset=mnist has no such key; there are dataset.source"),
        ("method=ewc method.regularizer=fast", "method/regularizer: method=ewc has no such part"),
        (
            "method=hnet_r method.regularizer=fast",
            "method/regularizer: method=hnet_r has no such part; did you mean method.generator.regularizer=NAME?",
        ),
        (
            "method.regularizer=blocks method.regularizer.sampled_tasks=2",
            "method.regularizer.sampled_tasks: no such key; did you mean method.regularizer.sampled_blocks?",
        ),
        (
            "method.regularizer=blocks method.regularizer.sampled_blocks=0",
            "method.regularizer.sampled_blocks=0: give a positive number, or null for all",
        ),
    ],
)
def test_mistakes_end_in_a_line(typed: str, line: str, tmp_path: Path) -> None:
    assert command(tmp_path, "benchmark=toy", *typed.split()).lines == [line]


@pytest.mark.parametrize(
    ("value", "choices"),
    [
        (["mnist"], ["+dataset@dataset.of.mnist=mnist"]),
        (["svhn", "mnist"], ["+dataset@dataset.of.svhn=svhn", "+dataset@dataset.of.mnist=mnist"]),
        ({"a": "folder", "b": "folder"}, ["+dataset@dataset.of.a=folder", "+dataset@dataset.of.b=folder"]),
    ],
)
def test_a_list_of_datasets_is_a_choice_for_each(value: Any, choices: list[str]) -> None:
    assert choices_of("dataset=...", value) == ["dataset=several", *choices]


@pytest.mark.parametrize("value", [[], {}, ["mnist", "mnist"], ["a b"], [["mnist"]], [None, 3], {"a": ["b"]}])
def test_lists_that_are_no_datasets(value: Any) -> None:
    with pytest.raises(UserError, match=r"^dataset=\.\.\.: give different data sets, as dataset=\[mnist,fashion_mnist"):
        choices_of("dataset=...", value)


def test_datasets_are_joined_in_the_order_in_which_they_are_typed() -> None:
    job = compose_job(["benchmark=domains", "dataset=[fashion_mnist,mnist]", "dataset.of.mnist.source=embedded"], None)
    dataset = job.settings["dataset"]
    assert dataset["order"] == ["fashion_mnist", "mnist"] and dataset["of"]["mnist"]["source"] == "embedded"
    assert job.settings["benchmark"]["name"] == "domains"
    other = {**job.settings, "dataset": {**dataset, "order": ["mnist", "fashion_mnist"]}}
    assert config_id(other) != config_id(job.settings)
    plan = check(job.settings)
    assert plan.dataset is not None
    assert plan.dataset.settings.of["mnist"].settings.key("source") == "dataset.of.mnist.source"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["benchmark=domains"], "dataset.of={}: no data sets are chosen; give some, as dataset=[mnist,fashion_mnist]"),
        (
            ["benchmark=domains", "dataset=[mnist,fashio]"],
            "=fashio: no such choice; did you mean fashion_mnist?",
        ),
        (
            ["benchmark=domains", "dataset=mnist"],
            "benchmark=domains_mnist: makes tasks of a dataset of the kind Several",
        ),
    ],
)
def test_mistakes_in_a_list_of_datasets(tmp_path: Path, words: list[str], line: str) -> None:
    assert line in command(tmp_path, *words).lines[0]


def test_a_list_of_datasets_in_a_sweep(tmp_path: Path) -> None:
    ended = command(tmp_path, "-m", "benchmark=domains,split", "dataset=[mnist_5k,blobs]", "dataset.of.blobs.seed=1")
    assert ended.code == 0, ended.err
    assert [job[0] for job in ended.jobs] == ["benchmark=domains", "benchmark=split"]
    assert all("+dataset@dataset.of.blobs=blobs" in job for job in ended.jobs)


def test_a_dataset_inside_of_another_is_checked_by_its_key(tmp_path: Path) -> None:
    (line,) = command(tmp_path, "benchmark=split", "dataset=features", "dataset.of=mnsit").lines
    assert line.startswith("dataset.of=mnsit: no such choice; did you mean mnist? there are ")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["network=my.Net"], ["target=module", "target._target_=my.Net"]),
        (["network.width=3", "seed=1"], ["++target.width=3", "seed=1"]),
        (["+network.width=3"], ["++target.width=3"]),
        (["dataset.network=my.Net", "~network", "networks=1"], ["dataset.network=my.Net", "~network", "networks=1"]),
    ],
)
def test_a_network_is_short_for_a_target(typed: list[str], words: list[str]) -> None:
    assert with_target(typed) == words
