"""Which preset and recipe are taken, what of them depends on the target network, and what a run says of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from marks import thinned
from omegaconf import OmegaConf
from processes import folder_of, in_process, result_of

from hnet_cl.config.check import check
from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.presets import preset_for, recipe_for
from hnet_cl.config.resolvers import plain, setup_files
from hnet_cl.core.config_hash import config_id
from hnet_cl.core.errors import UserError

OWN = {
    "method/mine.yaml": "defaults: [hnet_ent, _self_]\nmask_heads: true\n",
    "method/deeper.yaml": "defaults: [/method/mine, _self_]\n",
    "method/sure.yaml": "defaults: [hnet, override task_inference: entropy, _self_]\nstrength: 3\n",
    "method/alone.yaml": "_target_: hnet_cl.methods.finetune.Finetune\nname: alone\nreset_optimizer: true\n",
    "benchmark/small.yaml": "# @package _global_\ndefaults: [smnist, _self_]\nbenchmark: {num_tasks: 2}\n",
    "benchmark/smaller.yaml": "defaults: [small, _self_]\nclasses_per_task: 3\n",
    "benchmark/faces.yaml": "# @package _global_\ndefaults: [f_celeba, _self_]\n",
    "target/wider.yaml": "defaults: [mlp_2000, _self_]\nhidden: [2500, 2500]\n",
    "target/same.yaml": "_target_: hnet_cl.targets.mlp.MLP\nhidden: [400, 400]\n",
    "preset/smaller/deeper.yaml": "# @package _global_\nmethod: {strength: 7}\n",
    "preset/smnist/sure.yaml": "# @package _global_\nmethod: {mask_heads: true}\n",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a user's own yaml files."""
    folder = tmp_path_factory.mktemp("own")
    for name, text in OWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(autouse=True)
def _search_path(own: Path) -> Iterator[None]:
    """Hydra looks where it does with `--config-dir`."""
    path = create_config_search_path(str(conf_dir()))
    path.prepend("command-line", f"file://{own}", anchor="schema")
    GlobalHydra.instance().clear()
    version.setbase("1.3")
    Hydra.create_main_hydra2("hnet_cl", path)
    yield
    GlobalHydra.instance().clear()


def chosen(*overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The resolved configuration that these overrides make, and the chosen file of each group."""
    whole = compose("config", list(overrides), return_hydra_config=True)
    return plain(whole), dict(whole.hydra.runtime.choices)


@pytest.mark.parametrize(
    ("benchmark", "method", "preset"),
    [
        ("smnist", "mine", "smnist/hnet"),
        ("smnist", "deeper", "smnist/hnet"),
        ("small", "hnet_tir", "smnist/hnet_tir"),
        ("smaller", "mine", "smnist/hnet"),
        ("smaller", "deeper", "smaller/deeper"),
        ("smnist", "alone", "none"),
        ("pmnist100", "hnet_r", "pmnist/hnet_r"),
        ("split_cifar10", "hnet_tir", "split_cifar/hnet"),
    ],
)
def test_what_is_derived_has_the_presets_of_its_parents(benchmark: str, method: str, preset: str) -> None:
    assert preset_for(benchmark, method) == preset


RULES = [
    ("hnet", "given", "smnist/hnet"),
    ("hnet", "classifier", "smnist/hnet_tir"),
    ("hnet_ent", "classifier", "smnist/hnet_tir"),
    ("deeper", "classifier", "smnist/hnet_tir"),
    ("hnet_tir", "classifier", "smnist/hnet_tir"),
    ("hnet_tir", "entropy", "smnist/hnet"),
    ("hnet", "entropy", "smnist/hnet"),
    ("sure", "entropy", "smnist/sure"),
    ("sure", "classifier", "smnist/hnet_tir"),
    ("hnet_tir", "of one's own", "smnist/hnet"),
    ("ewc", None, "smnist/ewc"),
]


@pytest.mark.parametrize(("method", "rule", "preset"), thinned(RULES, 4))
def test_a_method_with_another_rule_has_the_presets_of_what_it_is(method: str, rule: str | None, preset: str) -> None:
    assert preset_for("smnist", method, rule) == preset


@pytest.mark.slow
def test_the_preset_of_a_composition_is_that_of_its_short_name() -> None:
    composed, files = chosen("benchmark=smnist", "scenario=cl3", "method=hnet", "method/task_inference=classifier")
    short, _ = chosen("benchmark=smnist", "scenario=cl3", "method=hnet_tir")
    assert files["preset"] == "smnist/hnet_tir" and composed["method"].pop("name") == "hnet"
    assert short["method"].pop("name") == "hnet_tir" and composed == short
    other, files = chosen("benchmark=smnist", "scenario=cl3", "method=hnet_tir", "method/task_inference=entropy")
    assert files["preset"] == "smnist/hnet" and check(other).method.name == "hnet_tir"


@pytest.mark.parametrize(
    ("benchmark", "target", "recipe"),
    [
        ("faces", "wider", "f_celeba/mlp_2000"),
        ("faces", "convnet", "none"),
        ("split_cifar10", "resnet32", "split_cifar/resnet32"),
    ],
)
def test_recipes_go_by_what_is_derived_too(benchmark: str, target: str, recipe: str) -> None:
    assert recipe_for(benchmark, target) == recipe


def test_a_derived_method_on_a_derived_benchmark_differs_in_what_it_says() -> None:
    usual, _ = chosen("benchmark=smnist", "method=hnet_ent", "scenario=cl3")
    derived, files = chosen("benchmark=smaller", "method=mine", "scenario=cl3")
    assert files["preset"] == "smnist/hnet"
    assert usual["method"]["hypernet"]["chunk_size"] == 42000 and usual["method"]["strength"] == 0.01
    usual["method"]["mask_heads"] = True
    usual["benchmark"] |= {"num_tasks": 2, "classes_per_task": 3}
    assert derived == usual


@pytest.mark.parametrize(
    ("words", "size"),
    thinned(
        [
            ("benchmark=smnist target=same", 42000),
            ("benchmark=smnist target=mlp_1000 target.hidden=[400,400]", 42000),
            ("benchmark=smnist ~target.hidden", None),
            ("benchmark=smnist target=mlp_1000 method.hypernet.chunk_size=99", 99),
            ("benchmark=split_cifar target.conv_dropout=0.1", 5500),
            ("benchmark=split_cifar100 target=resnet32 target.blocks=3", None),
            ("benchmark=faces target=wider", None),
            ("benchmark=smnist preset=none", None),
            ("benchmark=small preset=pmnist/hnet", None),
        ],
        3,
    ),
)
def test_a_published_chunk_size_is_for_the_network_that_it_was_published_for(words: str, size: int | None) -> None:
    config, files = chosen(*words.split())
    hypernet = config["method"]["hypernet"]
    assert (hypernet["chunk_size"], hypernet["compression"]) == (size, None if size else 1.0)
    typed = [word.removeprefix("preset=") for word in words.split() if word.startswith("preset=")]
    assert files["preset"] == (typed or [preset_for(files["benchmark"], "hnet")])[0]


@pytest.mark.parametrize(
    ("target", "same"),
    [
        ({"_target_": "a.Net", "width": [4, 4]}, True),
        ({"_target_": "a.Net", "width": [4, 4], "dropout": 0.1}, True),
        ({"_target_": "a.Net", "width": [4, 5]}, False),
        ({"_target_": "b.Net", "width": [4, 4]}, False),
        ({"_target_": "a.Net"}, False),
    ],
)
def test_networks_are_told_apart_by_their_sizes(target: dict[str, Any], same: bool) -> None:
    text = "${for_target:{_target_: a.Net, width: [4, 4]},300}"
    assert OmegaConf.create({"target": target, "size": text}).size == (300 if same else None)
    for words, whole in (("all", True), ("head", False)):
        config = OmegaConf.create({"target": target, "training": {"parameters": words}, "size": text})
        assert config.size == (300 if same and whole else None)


def test_every_preset_and_every_recipe_is_taken_and_described() -> None:
    for group, closest in (("preset", preset_for), ("recipe", recipe_for)):
        shipped = choices(conf_dir(), group)
        assert all(shipped.values()) and "none" in shipped
        pairs = [name.split("/") for name in shipped if name != "none"]
        assert [closest(*pair) for pair in pairs] == ["/".join(pair) for pair in pairs]
        parts = (choices(conf_dir(), name) for name in ("benchmark", {"preset": "method", "recipe": "target"}[group]))
        assert all(one in files for files, names in zip(parts, zip(*pairs, strict=True), strict=True) for one in names)


TARGETS = choices(conf_dir(), "target")


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(conf_dir().glob("preset/*/*/*.yaml")) if path.stem in TARGETS],
    ids=lambda p: f"{p.parts[-3]}-{p.stem}",
)
def test_every_preset_of_a_target_is_taken_with_it(path: Path) -> None:
    benchmark, method = path.parts[-3:-1]
    alone: Any = OmegaConf.to_container(OmegaConf.load(path))
    size = alone["method"]["hypernet"].pop("chunk_size")
    found = chosen(f"benchmark={benchmark}", f"method={method}", f"target={path.stem}")[0]["method"]
    said = alone["method"]
    assert {**found, **said, "hypernet": {**found["hypernet"], **said["hypernet"]}} == found
    assert size.endswith(f",{found['hypernet']['chunk_size']}}}")


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ("method=dgr benchmark=f_celeba", "method.generator.pixel_noise", 0.3),
        ("method=hnet_r benchmark=split_cifar10", "method.generator.pixel_noise", 0.2),
        ("method=hnet_tir benchmark=toy", "method.task_inference.generator.pixel_noise", 0.1),
        ("method=dgr benchmark=smnist", "method.generator.pixel_noise", None),
        ("method=ewc_offline benchmark=split_cifar100", "method.fisher_samples", 2000),
        ("method=ewc benchmark=pmnist", "method.fisher_samples", None),
    ],
)
def test_methods_take_from_the_benchmark_what_depends_on_it_alone(words: str, key: str, value: float | None) -> None:
    assert OmegaConf.select(OmegaConf.create(chosen(*words.split())[0]), key) == value


def test_what_a_method_takes_from_the_benchmark_can_be_typed_for_both() -> None:
    usual, of_benchmark, of_method = (
        chosen("method=ewc", *typed)[0] for typed in ([], ["benchmark.fisher_samples=7"], ["method.fisher_samples=7"])
    )
    assert of_benchmark["method"] == of_method["method"] == {**usual["method"], "fisher_samples": 7}
    assert config_id(of_benchmark) == config_id(of_method) != config_id(usual)


@pytest.mark.parametrize(("benchmark", "usual"), [("smnist", 100), ("pmnist", 10)])
def test_one_budget_of_a_buffer_takes_the_place_of_the_usual_one(benchmark: str, usual: int) -> None:
    budgets = {"examples_per_class": usual, "examples": 50, "bytes": 9}
    for given, number in budgets.items():
        words = [] if given == "examples_per_class" else [f"method.buffer.{given}={number}"]
        config, _ = chosen(f"benchmark={benchmark}", "method=er", *words)
        found = {name: config["method"]["buffer"][name] for name in budgets}
        assert found == dict.fromkeys(budgets) | {given: number}
    config, _ = chosen(f"benchmark={benchmark}", "method=er", "method.buffer.examples=50", "method.buffer.bytes=9")
    with pytest.raises(UserError, match=r"^method.buffer: examples and bytes given; give exactly one of examples, "):
        check(config)


def test_chunk_size_and_compression_exclude_each_other() -> None:
    config, _ = chosen("benchmark=smnist", "method.hypernet.compression=0.5")
    with pytest.raises(UserError) as error:
        check(config)
    assert str(error.value) == (
        "method.hypernet.chunk_size=42000 and method.hypernet.compression=0.5: give one of them and set the other to "
        "null"
    )
    config, _ = chosen("benchmark=smnist", "method.hypernet.compression=0.5", "method.hypernet.chunk_size=null")
    assert check(config).method.hypernet.compression == 0.5


def run(own: Path, folder: Path, *words: str) -> tuple[str, Path]:
    """What a run of one step on the toy benchmark prints, and its folder."""
    short = ["training.iterations=1", "benchmark.num_tasks=2", "device.threads=1"]
    GlobalHydra.instance().clear()
    done = in_process(f"--config-dir={own}", "benchmark=toy", *words, *short, f"output_dir={folder}")
    return done.stdout, folder_of(done)


def test_a_run_says_and_records_its_preset_and_its_sizes(own: Path, tmp_path: Path) -> None:
    out, folder = run(own, tmp_path, "method=mine")
    result, weights = result_of(folder), 2 * 10 + 10 + 10 * 10 + 10 + 10 * 6 + 6
    assert (result["preset"], result["target"]) == ("toy/hnet", "mlp_10")
    sizes = result["parameters"]
    assert sizes["target"] == sizes["generated"] == weights - 2 * 10 - 2  # two tasks of two classes
    assert sizes["compression_ratio"] == sizes["trainable"] / sizes["target"]
    said = out.splitlines()
    assert said[:4] == [
        "Reading the data of toy.",
        "Trying two examples of the first tasks, before training.",
        "Hyperparameters of mine on toy: preset toy/hnet.",
        f"Sizes: target network {sizes['target']} weights, {sizes['trainable']:,} trainable in all (compression ratio "
        f"{sizes['compression_ratio']:.3g}).",
    ]
    assert said[4] == (
        "Data toy: 2 tasks of 2 classes, training examples 400 a task and 200 a class, test examples 200 a task, "
        "inputs 2."
    )
    written = yaml.safe_load((folder / ".hydra" / "hydra.yaml").read_text())["hydra"]["runtime"]["choices"]
    assert (written["preset"], written["recipe"], written["method"]) == ("toy/hnet", "none", "mine")


@pytest.mark.slow
def test_what_was_chosen_for_the_user_is_said(own: Path, tmp_path: Path) -> None:
    out, folder = run(own, tmp_path, "target=mlp_100")
    ratio = result_of(folder)["parameters"]["compression_ratio"]
    assert 0.9 < ratio <= 1 and "Chosen by method.hypernet.compression=1: method.hypernet.chunk_size=" in out
    out, _ = run(own, tmp_path, "method.hypernet.compression=0.5", "method.hypernet.chunk_size=null")
    assert "; no chunk size gives less)." in out


@pytest.mark.slow
def test_every_job_of_a_sweep_has_its_own_preset(own: Path, tmp_path: Path) -> None:
    out, _ = run(own, tmp_path, "method=alone", "target._target_=hnet_cl.targets.mlp.MLP")
    assert "\nHyperparameters of alone on toy: the method's own defaults.\n" in out
    words = ["benchmark=toy", "training.iterations=1", "benchmark.num_tasks=1", f"output_dir={tmp_path}"]
    done = in_process(f"--config-dir={own}", "-m", "method=mine,dgr", *words)
    assert done.returncode == 0, done.stderr
    assert "\nHyperparameters: preset toy/hnet for mine; preset toy/dgr for dgr.\n" in done.stdout
    results = [result_of(path.parent) for path in tmp_path.rglob("result.json")]
    assert {result["method"]: (result["preset"], result["target"]) for result in results} == {
        "alone": (None, "MLP"),
        "dgr": ("toy/dgr", "mlp_10"),
        "mine": ("toy/hnet", "mlp_10"),
    }


def test_no_choice_is_recorded_that_is_no_file() -> None:
    config, files = chosen("benchmark=f_celeba", "method=hnet", "target=mlp_10")
    assert files["preset/f_celeba/hnet"] == "mlp_10"
    hydra = OmegaConf.create({"hydra": {"runtime": {"choices": files}}})
    recorded = yaml.safe_load(setup_files(config, hydra, [])["hydra.yaml"])["hydra"]["runtime"]["choices"]
    assert files.keys() - recorded.keys() == {"preset/f_celeba/hnet"}
    shipped = {key: name for key, name in recorded.items() if not key.startswith("hydra/") and name}
    assert all((conf_dir() / key / f"{name}.yaml").exists() for key, name in shipped.items())
