"""Whatever differs outside of the compared keys is in a label or in a remark below, in every format."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import readable, write_config, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from hnet_cl.report.cli import main
from hnet_cl.report.figures import figures
from hnet_cl.report.grouping import Layout, Section, sections
from hnet_cl.report.labels import Place, grouped
from hnet_cl.report.selection import select

METHODS = ("hnet", "ewc", "si", "finetune", "joint", "scratch")
USUAL = Layout(["method"], ["scenario"])


def section(root: Path, layout: Layout = USUAL) -> Section:
    (found,) = sections(select(readable(root), [], layout.ignored).finished, layout)
    return found


def shown(root: Path, layout: Layout = USUAL) -> tuple[list[str], Sequence[str]]:
    """Labels and remarks."""
    found = section(root, layout)
    return [row.label for row in found.rows], found.remarks


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    """Six methods, of which hnet was trained twice as long as the others."""
    for method in METHODS:
        iterations = 300 if method == "hnet" else 150
        write_run(tmp_path, method, method=method, overrides=[f"training.iterations={iterations}"])
    return tmp_path


LABEL = "hnet, training.iterations=300"
REMARK = "unless a row says otherwise: training.iterations=150"


def test_other_methods_are_looked_at_too(unlike: Path) -> None:
    labels = [LABEL if method == "hnet" else method for method in METHODS]
    assert shown(unlike) == (labels, [REMARK])


def test_it_is_in_every_format(unlike: Path) -> None:
    main([str(unlike), "--output", str(unlike / "report"), "--figure", "accuracy"])
    written = {name: (unlike / "report" / name).read_text() for name in ("table.txt", "table.md", "table.tex")}
    assert f"\n{LABEL}  90.00 (1)\n" in written["table.txt"] and f"\n\n{REMARK}\n" in written["table.txt"]
    title = LABEL.replace("hnet", "HNET")
    assert f"\n| {title} |" in written["table.md"] and f"\n\n- {REMARK}\n" in written["table.md"]
    assert f"\n{title} &" in written["table.tex"]
    assert f"\\end{{tabular}}\n\\par\\footnotesize {REMARK}\n\\end{{table}}" in written["table.tex"]
    page = (unlike / "report" / "index.html").read_text().replace("<wbr>", "")
    assert f' title="{LABEL}">{title}</th>' in page and f"<li>{REMARK}</li>" in page
    lines = list(csv.DictReader(io.StringIO((unlike / "report" / "table.csv").read_text())))
    acc = {line["method"]: line["training.iterations"] for line in lines if line["metric"] == "acc"}
    assert acc == dict.fromkeys(METHODS, "150") | {"hnet": "300"}


def test_it_is_in_every_plot(unlike: Path) -> None:
    for figure in figures(section(unlike)).values():
        assert [text.get_text().replace("\n ", "") for text in figure.texts] == [REMARK]


def test_nothing_is_said_where_nothing_differs(tmp_path: Path) -> None:
    for method in METHODS:
        overrides = ["training.iterations=100"] if method == "hnet" else []  # the default, typed
        write_run(tmp_path, method, method=method, overrides=[*overrides, f"method.{method}=1"])
    assert shown(tmp_path) == ([*METHODS], [])
    assert section(tmp_path).differing == []


def test_who_typed_nothing_is_usual(tmp_path: Path) -> None:
    write_run(tmp_path, "a", method="ewc", overrides=["training.lr=1"])
    write_run(tmp_path, "b", method="hnet")
    assert shown(tmp_path) == (["hnet", "ewc, training.lr=1"], ["unless a row says otherwise: training.lr=0.1"])


def test_a_choice_in_hydras_form_implies_its_class(tmp_path: Path) -> None:
    rules = ("energy", "entropy", "max_logit")
    for rule in rules:
        folder = write_run(tmp_path, rule, overrides=[f"method/task_inference={rule}"])
        write_config(folder, f"method: {{name: hnet, task_inference: {{_target_: a.{rule}, images_per_decision: 1}}}}")
    assert shown(tmp_path) == ([f"hnet, method/task_inference={rule}" for rule in rules], [])
    by_rule = shown(tmp_path, Layout(["method/task_inference"], ["scenario"]))
    assert by_rule == ([*rules], []), "also where the choice makes the rows"


def test_another_optimizer_is_told_beside_a_run_from_before_there_was_a_choice(tmp_path: Path) -> None:
    write_run(tmp_path, "a", method="ewc")
    write_run(tmp_path, "b", method="hnet", overrides=["optimizer._target_=torch.optim.SGD"])
    assert shown(tmp_path) == (
        ["hnet, optimizer._target_=torch.optim.SGD", "ewc"],
        ["unless a row says otherwise: optimizer._target_=torch.optim.Adam"],
    )


def test_a_groups_choice_tells_its_settings(tmp_path: Path) -> None:
    write_run(tmp_path, "a", method="ewc")
    write_config(
        write_run(tmp_path, "b", overrides=["target=wide"]), "target: {_target_: a.Network, hidden: [99, 99]}\n"
    )
    write_run(tmp_path, "c", overrides=["target=narrow"])
    labels, remarks = shown(tmp_path)
    assert labels == ["hnet, target=narrow", "hnet, target=wide", "ewc"]
    assert "unless a row says otherwise: target.hidden=[10,10]" in remarks


def test_a_choice_that_meant_two_things_does_not(tmp_path: Path) -> None:
    """As after a change of its yaml between two versions."""
    for config, units in (("a", 5), ("b", 6)):
        write_run(tmp_path, config, overrides=["target=mine", f"target.hidden={units}", f"method.beta={units}"])
        folder = tmp_path / "smnist-cl1-hnet" / config / "seed=1"
        text = (folder / "result.json").read_text()
        (folder / "result.json").write_text(text.replace(f'"target.hidden={units}", ', ""))
    write_run(tmp_path, "c")
    assert shown(tmp_path) == (
        [
            "hnet",
            "hnet, target=mine, method.beta=5, target.hidden=5",
            "hnet, target=mine, method.beta=6, target.hidden=6",
        ],
        [
            "unless a row says otherwise: target.hidden=[10,10]",
            "not in the configuration of hnet: method.beta",
        ],
    )


def test_settings_of_methods_are_their_own(tmp_path: Path) -> None:
    for method, settings_ in (("hnet", {"beta": 1}), ("ewc", {"beta": 2, "gamma": 1})):
        overrides = [f"method.{key}={value}" for key, value in settings_.items()]
        write_run(tmp_path, method, method=method, overrides=overrides)
    assert shown(tmp_path) == (["hnet", "ewc"], [])


def test_settings_of_one_method_that_differ_between_columns_are_told(tmp_path: Path) -> None:
    write_config(write_run(tmp_path, "a"), "method: {beta: 1}\n")
    write_config(write_run(tmp_path, "b", scenario="cl2"), "method: {beta: 2}\n")
    assert shown(tmp_path) == (
        ["hnet"],
        ["hnet, unless a row says otherwise: method.beta=1 (cl1), method.beta=2 (cl2)"],
    )


def test_settings_of_compared_groups_differ_as_they_must(tmp_path: Path) -> None:
    for scenario, heads in (("cl1", "separate"), ("cl2", "shared")):
        write_run(tmp_path, scenario, scenario=scenario, overrides=[f"scenario.heads={heads}"])
    assert shown(tmp_path) == (["hnet"], [])
    write_run(tmp_path, "x", scenario="cl2", method="ewc", overrides=["scenario.heads=separate"])
    assert shown(tmp_path) == (
        ["hnet", "ewc, scenario.heads=separate"],
        ["cl2, unless a row says otherwise: scenario.heads=shared"],
    )


def test_benchmarks_side_by_side_may_be_trained_differently_but_it_is_said(tmp_path: Path) -> None:
    for benchmark, iterations in (("pmnist", 5000), ("smnist", 2000)):
        for method in ("ewc", "hnet"):
            overrides = [
                f"training.iterations={iterations}",
                f"benchmark.padding={iterations}",
                f"method.a={iterations}",
            ]
            write_run(tmp_path, benchmark + method, benchmark=benchmark, method=method, overrides=overrides)
    assert (
        shown(tmp_path, Layout(["method"], ["benchmark"]))
        == (
            ["hnet", "ewc"],
            ["unless a row says otherwise: training.iterations=5000 (pmnist), training.iterations=2000 (smnist)"],
        )
        or shown(tmp_path, Layout(["method"], ["benchmark"]))[1]
    )


def test_number_of_tasks_and_data(tmp_path: Path) -> None:
    write_run(tmp_path, "a", method="ewc")
    write_run(tmp_path, "b", accuracy_matrix=[[1.0]])
    write_run(tmp_path, "c", method="si", data={"name": "mnist", "checksum": "d1"})
    labels, remarks = shown(tmp_path)
    assert labels == ["hnet, num_tasks=1", "ewc", "si, data.checksum=d1"]
    assert remarks == ["unless a row says otherwise: num_tasks=2, data.checksum=c0ffee"]


def test_different_numbers_of_tasks_are_never_averaged(tmp_path: Path) -> None:
    write_run(tmp_path, "a", seed=1, overrides=["benchmark.num_tasks=2"])
    write_run(tmp_path, "b", seed=2, overrides=["benchmark.num_tasks=1"], accuracy_matrix=[[1.0]])
    labels, remarks = shown(tmp_path, Layout(["method"], ["scenario"], ["benchmark"]))
    assert labels == ["hnet", "hnet, num_tasks=1"]
    ignored = "ignored, but not the same: benchmark.num_tasks (1 in hnet, num_tasks=1; 2 in hnet)"
    assert remarks == ["unless a row says otherwise: num_tasks=2", ignored]


def test_a_key_that_some_configurations_lack(tmp_path: Path) -> None:
    write_run(tmp_path, "a", method="ewc")
    write_run(tmp_path, "b", method="hnet", overrides=["training.validation=0.0", "training.later=null"])
    assert shown(tmp_path) == (["hnet", "ewc"], ["not in the configuration of ewc: training.validation"])


def test_unknown_settings_are_said_to_be(tmp_path: Path) -> None:
    for method in ("ewc", "hnet", "si"):
        overrides = ["a=1", *(["training.iterations=300"] if method == "hnet" else []), f"method.{method}=1"]
        folder = write_run(tmp_path, method, method=method, overrides=overrides)
        if method != "si":
            (folder / ".hydra" / "config.yaml").unlink()
    assert shown(tmp_path) == (
        ["hnet, training.iterations=300", "ewc", "si"],
        [
            "unknown settings, .hydra/config.yaml cannot be read: hnet, training.iterations=300; ewc",
        ],
    )


def test_what_is_ignored_is_said(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path, f"{seed}", seed=seed, overrides=[f"device.threads={min(seed, 2)}", "device.type=cpu"])
    write_run(tmp_path, "4", seed=3, overrides=["device.threads=7"])
    layout = Layout(["method"], ["scenario"], ["device"])
    assert shown(tmp_path, layout) == (["hnet"], ["ignored, but not the same: device.threads (1; 2)"])
    assert section(tmp_path, layout).differing == ["device.threads"]
    write_run(tmp_path, "e", method="ewc", overrides=["device.precision=bfloat16"])
    labels, (remark,) = shown(tmp_path, layout)
    assert labels == ["hnet", "ewc"]
    precision, threads = "bfloat16 in ewc; float32 in hnet", "2 in hnet; 1 in hnet and ewc"
    assert remark == f"ignored, but not the same: device.precision ({precision}), device.threads ({threads})"


def test_ignored_settings_of_methods_are_their_own(tmp_path: Path) -> None:
    for method, beta, seed in (("hnet", 1, 1), ("hnet", 2, 2), ("ewc", 3, 1)):
        overrides = [f"method.beta={beta}", f"method.only_{method}=1"]
        write_run(tmp_path, f"{beta}", seed, method=method, overrides=overrides)
    layout = Layout(["method"], ["scenario"], ["method"])
    assert shown(tmp_path, layout) == (["hnet", "ewc"], ["ignored, but not the same: method.beta (1; 2)"])


def test_machines_and_versions_are_compared(tmp_path: Path) -> None:
    for seed, torch in enumerate(("2.12", "2.13", "2.12"), 1):
        versions = {"torch": torch, "python": "3.11"}
        write_run(tmp_path, seed=seed, versions=versions, device=f"cpu, {torch}", git_commit=f"{torch}{'a' * 40}")
    write_run(tmp_path, "old", method="ewc", versions=None, device=None, git_commit=None)
    (remark,) = section(tmp_path).remarks
    assert remark == (
        "not made with the same: versions.torch (2.12; 2.13), device (cpu, 2.12; cpu, 2.13), "
        "git_commit (2.12aaaaaa; 2.13aaaaaa)"
    )
    write_run(tmp_path, seed=4, device="GPU")
    write_run(tmp_path, seed=5, device="another GPU")
    assert "device (4 values)" in section(tmp_path).remarks[0]


def test_it_is_said_which_rows_were_made_with_something_else(tmp_path: Path) -> None:
    for method in METHODS:
        device = "2 processes: cpu, 1 threads" if method == "finetune" else "cpu, 1 threads"
        write_run(tmp_path, method, method=method, device=device)
    assert section(tmp_path).remarks == [
        "not made with the same: device (2 processes: cpu, 1 thread in finetune; else cpu, 1 thread)"
    ]
    write_run(tmp_path, "ewc", seed=2, method="ewc", device="2 processes: cpu, 1 threads")
    assert section(tmp_path).remarks == [
        "not made with the same: device (2 processes: cpu, 1 thread in ewc and finetune; cpu, 1 thread in 5 rows)"
    ]


def own_network(width: int) -> list[str]:
    """What network=my.Net network.width=WIDTH is recorded as."""
    return ["target=module", "target._target_=my.Net", f"++target.width={width}"]


def sized(root: Path, config: str, sizes: tuple[int | None, float | None], overrides: Sequence[str]) -> None:
    """A run of hnet, whose chunk size and compression nobody has typed; its network is my.Net or a.Network."""
    target = "{_target_: my.Net, width: 32}" if overrides else "{_target_: a.Network, hidden: [10, 10]}"
    chunk, compression = ("null" if size is None else size for size in sizes)
    hypernet = f"{{chunk_size: {chunk}, compression: {compression}}}"
    folder = write_run(root, config, overrides=overrides)
    write_config(folder, f"target: {target}\nmethod: {{name: hnet, hypernet: {hypernet}}}\n")


def test_a_network_of_ones_own_is_named_as_typed(tmp_path: Path) -> None:
    """And sizes that are chosen to suit it are no part of its name."""
    sized(tmp_path, "a", (50, None), [])
    sized(tmp_path, "b", (None, 1.0), own_network(32))
    assert shown(tmp_path) == (
        ["hnet", "hnet, network=my.Net, network.width=32"],
        [
            "unless a row says otherwise: network=a.Network",
            "chosen to suit the network: "
            "method.hypernet.compression (null in hnet; 1 in hnet, network=my.Net, network.width=32), "
            "method.hypernet.chunk_size (50 in hnet; null in hnet, network=my.Net, network.width=32)",
        ],
    )
    assert {"target._target_", "method.hypernet.compression"} <= set(section(tmp_path).differing)
    assert shown(tmp_path, Layout(["network"], ["scenario"]))[0] == ["a.Network", "my.Net"]


def test_a_network_that_is_told_of_another_method_is_named_alike(tmp_path: Path) -> None:
    write_run(tmp_path, "a", overrides=["target=module", "target._target_=my.Net"])
    write_run(tmp_path, "b", method="ewc")
    write_run(tmp_path, "c", method="ewc", overrides=own_network(8))
    labels, remarks = shown(tmp_path)
    assert labels == ["hnet, network=my.Net", "ewc", "ewc, network=my.Net, network.width=8"]
    assert "unless a row says otherwise: network=a.Network" in remarks


def test_sizes_that_differ_for_one_network_are_told(tmp_path: Path) -> None:
    sized(tmp_path, "a", (50, None), [])
    sized(tmp_path, "b", (60, None), [])
    assert shown(tmp_path) == (
        ["hnet", "hnet, method.hypernet.chunk_size=60"],
        ["hnet, unless a row says otherwise: method.hypernet.chunk_size=50"],
    )


def test_an_experiment_is_no_difference_but_what_it_sets_is(tmp_path: Path) -> None:
    for config, lr, typed in (("a", 1, []), ("b", 2, ["experiment=compare"])):
        folder = write_run(tmp_path, config, overrides=[*typed, f"training.lr={lr}"])
        write_config(folder, f"training: {{lr: {lr}}}\n")
    assert shown(tmp_path) == (["hnet, training.lr=1", "hnet, training.lr=2"], [])


def test_many_settings_of_an_experiment_have_its_name(tmp_path: Path) -> None:
    for config, method, typed, value in (("a", "hnet", [], 2), ("b", "ewc", [], 2), ("c", "hnet", ["mine"], 1)):
        folder = write_run(tmp_path, config, method=method, overrides=[f"experiment={name}" for name in typed])
        write_config(folder, "".join(f"{key}: {value}\n" for key in "abcd"))
    assert shown(tmp_path) == (
        ["hnet", "hnet, experiment=mine", "ewc"],
        ["unless a row says otherwise: a=2, b=2, c=2, d=2", "experiment=mine: a=1, b=1, c=1, d=1"],
    )


CHOICES = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["ewc", "hnet", "si"]),
        "scenario": st.sampled_from(["cl1", "cl2"]),
        "training.iterations": st.sampled_from([1, 2]),
        "training.lr": st.sampled_from([1, 2, 3]),
        "target.hidden": st.sampled_from([1, 2]),
        "method.beta": st.sampled_from([1, 2]),
    }
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(CHOICES, st.sets(st.sampled_from(["training.iterations", "training.lr"]))), max_size=7))
def test_labels_and_remarks_give_every_setting_back(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[tuple[dict[str, object], set[str]]]
) -> None:
    """A reader who knows one row's settings finds out those of all others that differ."""
    root = tmp_path_factory.mktemp("runs")
    for number, (choice, typed) in enumerate(chosen):
        names = {key: choice[key] for key in ("method", "scenario")}
        overrides = [f"{key}={value}" for key, value in choice.items() if "." in key]
        folder = write_run(root, f"{number}", overrides=overrides, **names)
        text = (folder / "result.json").read_text()
        for override in overrides:
            if override.partition("=")[0] not in typed:
                text = text.replace(f'"{override}", ', "").replace(f', "{override}"', "").replace(f'"{override}"', "")
        (folder / "result.json").write_text(text)
    for found in sections(readable(root), USUAL) if chosen else []:
        for row in found.rows:
            for column, runs in row.cells.items():
                for key in found.differing:
                    assert is_said(key, runs[0].value(key), row.label, column[0], found.remarks)


def is_said(key: str, value: str | None, label: str, column: str, remarks: Sequence[str]) -> bool:
    """Whether label and remarks say that a row has this value in a column."""
    method, *parts = label.split(", ")
    said = dict(remark.partition(": ")[::2] for remark in remarks)
    in_label = [text for part in parts for text in (part, *said.get(part, "").split(", "))]
    if any(text.startswith(f"{key}=") for text in in_label):
        return f"{key}={value}" in in_label
    whose = f"{method}, " if key.startswith("method.") else ""
    usual = said.get(f"{whose}unless a row says otherwise", "").split(", ")
    mine = [text for text in usual if text.startswith(f"{key}=")]
    if not mine:
        return key.startswith("method.")  # it differs in another method
    return mine == [f"{key}={value}"] or f"{key}={value} ({column})" in mine


def test_grouping_keeps_order() -> None:
    assert grouped([("b", 1), ("a", 2), ("b", 3)]) == {"b": [1, 3], "a": [2]}
    assert Place(("hnet",), (), (), {"a": "a=1"}).label == "hnet, a=1"
