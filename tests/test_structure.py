"""The rules of the house: who may import whom, and how long things may be."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "hnet_cl"
FILES = sorted(SOURCE.rglob("*.py"))
SWEEPS = {path.relative_to(SOURCE).as_posix() for path in FILES if "sweeps" in path.parts}

MAY_IMPORT = {
    "core": set(),
    "hypernet": set(),
    "targets": set(),
    "datasets": {"core"},
    "benchmarks": {"core", "datasets"},
    "scenario": {"core"},
    "methods": {"core", "benchmarks.base", "scenario", "hypernet", "targets.mlp", "targets.bfloat16"}
    | {"targets.lora", "targets.output_layer"},
    "training": {
        "core",
        "benchmarks.base",
        "datasets.identity",
        "hypernet.trainable",
        "methods.base",
        "methods.parts.certificates",
        "methods.parts.network",
    },
    "records": {"core", "training.listener"},
    "loggers": {"core", "records"},
    "sweeps": {"core", "config", "records", "report"},
    "report": {"core", "config.conf_files", "loggers.colours", "records"},
    "config": {"core", "datasets.base", "benchmarks.base", "methods.base", "scenario", "training", "records.logger"}
    | {"targets.fitting"},
    "build": {"core", "datasets.base", "benchmarks.base", "methods.base", "scenario", "config"}
    | {
        "methods.parts.objective",
        "targets.bfloat16",
        "targets.fitting",
        "targets.lora",
        "targets.selection",
        "targets.starting",
        "training",
    },
    "recording": {"core", "benchmarks.base", "methods.base", "methods.parts.embeddings", "config"}
    | {"loggers", "records"},
    "extending": {
        "core",
        "benchmarks.base",
        "methods.base",
        "methods.parts.extension",
        "config",
        "build",
        "training",
        "records",
    },
    "single_run": {
        "recording",
        "extending",
        "core",
        "benchmarks.base",
        "benchmarks.overview",
        "methods.base",
        "config",
        "build",
        "training",
        "records",
        "loggers",
    },
    "predict": {"core", "benchmarks.base", "hypernet", "methods.base", "config", "build", "targets.bfloat16"}
    | {"methods.parts.inference", "methods.parts.inferring"}
    | {"records.run_folder", "records.run_result", "training.checkpointing"},
    "plane": {"core", "benchmarks.base", "loggers.colours", "methods.parts.generated", "predict", "report"},
    "data": {"core", "benchmarks.base", "benchmarks.overview", "build", "config", "loggers.pictures"},
    "api": {"core", "config", "extending", "in_memory", "predict", "recording", "records", "report", "single_run"},
    "in_memory": {"core", "hypernet"},
    "app": {"core", "config", "extending", "recording", "records", "single_run", "sweeps"},
    "__main__": {"core", "app"},
    "compare": {"core", "config", "api", "app"},
    "testing": {"core", "benchmarks.base", "methods.base", "config", "build", "training"},
    "__init__": {"api"},
}
NEEDED_BY_CORE = {  # beside the standard library
    "settings": {"pydantic"},
    "chosen": {"pydantic", "pydantic_core"},
    "seeding": {"torch"},
    "ranks": {"torch"},
    "tensor_files": {"torch"},
    "numpy_files": {"numpy"},
    "checks": {"torch"},
    "importing": {"torch"},
    "hollow": {"torch"},
    "regular_files": {"yaml"},
    "locking": {"filelock"},
}


def part_of(path: Path) -> str:
    """The package or module directly below hnet_cl that a file belongs to."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Dotted names of all that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def outside(path: Path) -> set[str]:
    """Top-level packages that a file imports beside hnet_cl and the standard library."""
    return {name.partition(".")[0] for name in imports(path)} - {"hnet_cl"} - sys.stdlib_module_names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_data_flow_one_way(path: Path) -> None:
    part = part_of(path)
    allowed = [f"hnet_cl.{name}" for name in MAY_IMPORT[part] | {part}]
    inside = {name for name in imports(path) if name.startswith("hnet_cl.")}  # hnet_cl itself is only its version
    assert [name for name in inside if not any(f"{name}.".startswith(f"{start}.") for start in allowed)] == []


def test_every_part_has_a_rule_and_every_rule_a_part() -> None:
    assert {part_of(path) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("parts", "packages"),
    [
        ({"hypernet"}, {"torch"}),
        ({"targets"}, {"torch", "pydantic", "torchvision", "timm", "efficientnet_lite_pytorch"}),
        ({"report"}, {"jinja2", "markupsafe", "matplotlib", "numpy", "pandas", "pydantic", "scipy"}),
        ({"__main__", "__init__"}, set()),
    ],
)
def test_parts_that_need_little(parts: set[str], packages: set[str]) -> None:
    assert [path for path in FILES if part_of(path) in parts and not outside(path) <= packages] == []


@pytest.mark.parametrize("path", sorted((SOURCE / "core").glob("*.py")), ids=lambda path: path.stem)
def test_the_core_needs_little(path: Path) -> None:
    assert outside(path) <= NEEDED_BY_CORE.get(path.stem, set())


@pytest.mark.parametrize(
    ("package", "homes"),
    [
        (
            "hydra",
            {
                "app.py",
                "config/arguments.py",
                "config/composed_once.py",
                "config/composing.py",
                "config/messages.py",
                "config/overrides.py",
                "config/presets.py",
                *SWEEPS,
            },
        ),
        (
            "omegaconf",
            {
                "app.py",
                "config/composed_once.py",
                "config/composing.py",
                "config/messages.py",
                "config/presets.py",
                "config/resolvers.py",
                *SWEEPS,
            },
        ),
        ("hydra_plugins", {"sweeps/joblib.py", "sweeps/submitit.py", "sweeps/ray.py"}),
        ("joblib", {"sweeps/joblib.py"}),
        ("ray", {"sweeps/ray.py"}),
        ("submitit", {"sweeps/submitit.py"}),
        ("optuna", {"sweeps/search.py", "sweeps/space.py", "sweeps/study.py", "sweeps/pruning.py", "sweeps/slots.py"}),
        ("torchvision", {"datasets/_torchvision.py", "targets/published.py"}),
        ("timm", {"targets/published.py"}),
        ("efficientnet_lite_pytorch", {"targets/published.py"}),
        ("tensorboard", {"loggers/tensorboard.py", "loggers/events.py", "loggers/hparams_table.py"}),
        ("wandb", {"loggers/weights_and_biases.py"}),
        ("mlflow", {"loggers/mlflow.py"}),
    ],
)
def test_packages_that_stay_in_one_place(package: str, homes: set[str]) -> None:
    users = {path.relative_to(SOURCE).as_posix() for path in FILES if package in outside(path)}
    assert users <= homes


def test_what_records_a_run_needs_torch_only_for_tensorboard() -> None:
    users = {path.name for path in FILES if part_of(path) in ("records", "loggers") and "torch" in outside(path)}
    assert users <= {"tensorboard.py"}


def test_the_report_imports_matplotlib_only_to_draw() -> None:
    users = {path.name for path in FILES if part_of(path) == "report" and outside(path) & {"matplotlib", "numpy"}}
    own = {f"{name}_figure.py" for name in ("certified", "embeddings", "gap", "memory", "sensitivity")}
    assert users == {"drawing.py", "figures.py"} | own


def test_only_the_head_map_asks_which_scenario_it_is() -> None:
    """The report has their names alone."""
    nodes = ((path, node) for path in FILES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    literals = {(path.name, node.value) for path, node in nodes if isinstance(node, ast.Constant)}
    scenarios = {"cl1", "cl2", "cl3"}
    assert {(file, value) for file, value in literals if value in scenarios} == {("methods.py", s) for s in scenarios}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 50, node.name


def test_every_random_stream_has_its_name_in_the_one_list() -> None:
    drawing = ("stream", "seeded", "OwnRandomness", "derive_seed")
    nodes = (node for path in FILES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    draws = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] in drawing]
    assert len(draws) > 20
    words = (ast.JoinedStr, ast.Constant)
    named = [call for call in draws for given in call.args if isinstance(given, words) and ast.unparse(given) != "0"]
    assert [ast.unparse(call) for call in named] == []


def test_files_of_tests_have_names_of_their_own() -> None:
    """Else pytest imports only one of two."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
