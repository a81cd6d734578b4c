"""What the figures show, that colour is never the only cue, and that nothing is cut off."""

import io
import itertools
import logging
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from fake_runs import readable, square, write_run
from matplotlib.figure import Figure
from matplotlib.image import imread

from hnet_cl.report.drawing import accuracy_range, encoded, encodings
from hnet_cl.report.figures import ASIDE, figures
from hnet_cl.report.forms import FONTS, WIDTHS, Form
from hnet_cl.report.grouping import Layout, Section, sections
from hnet_cl.report.looks import BLUE, COLOURS, DASHES, GREY, MARKERS, METHODS, SOLID, TOGETHER, VERMILION, looks


def section(root: Path) -> Section:
    (found,) = sections(readable(root), Layout(["method"], ["scenario"]))
    return found


@pytest.fixture
def drawn(tmp_path: Path) -> dict[str, Figure]:
    """hnet with ACC 0.9 and 0.7 and a lone ewc in cl1, ewc in cl2."""
    for seed, last in ((1, 0.8), (2, 0.4)):
        write_run(tmp_path, config="a", seed=seed, accuracy_matrix=square(last, 1.0))
    write_run(tmp_path, config="b", method="ewc", accuracy_matrix=square(0.0, 1.0))
    write_run(tmp_path, config="c", method="ewc", scenario="cl2", accuracy_matrix=square(0.2, 1.0))
    return figures(section(tmp_path))


def test_accuracy_after_each_task(drawn: dict[str, Figure]) -> None:
    cl1, cl2 = drawn["accuracy"].axes
    curves = {line.get_color(): line for line in cl1.lines if len(line.get_xdata())}
    assert curves[VERMILION].get_ydata() == pytest.approx([1.0, 0.5])
    assert curves[BLUE].get_ydata() == pytest.approx([1.0, 0.8])
    assert curves[BLUE].get_xdata() == pytest.approx([1 - ASIDE / 2, 2 - ASIDE / 2])
    assert curves[VERMILION].get_xdata() == pytest.approx([1 + ASIDE / 2, 2 + ASIDE / 2])
    assert curves[BLUE].get_linewidth() == pytest.approx(1.8 * 1.4)  # drawn first, and not hidden by the later one
    assert curves[VERMILION].get_linewidth() == pytest.approx(0.7 * 1.4)
    (band,) = cl1.collections  # of hnet; a single seed has none
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.7, 1.0))  # 0.8 - sem, with sem |0.9 - 0.7| / 2
    assert [len(line.get_xdata()) for line in cl2.lines] == [2]
    assert [text.get_text() for text in cl2.get_legend().get_texts()] == ["HNET", "EWC"]


def test_bars(drawn: dict[str, Figure]) -> None:
    cl1, cl2 = drawn["during_final"].axes
    assert [label.get_text() for label in cl1.get_yticklabels()] == ["EWC", "HNET"]  # from the bottom
    during, _, final, _ = cl1.containers
    assert [bar.get_width() for bar in during] == pytest.approx([1.0, 1.0])
    assert [bar.get_width() for bar in final] == pytest.approx([0.8, 0.5])
    assert during[0].get_hatch() and not final[0].get_hatch()
    assert final[0].get_y() > final[1].get_y() and during[0].get_y() > final[0].get_y()
    assert len(cl2.containers[0]) == 1
    assert len(cl2.containers) == 2  # of a single seed there is no standard error to be drawn
    forgetting = drawn["forgetting"].axes[0].containers[0]
    assert [bar.get_width() for bar in forgetting] == pytest.approx([0.4, 1.0])


def test_matrices_are_means(drawn: dict[str, Figure]) -> None:
    hnet, ewc, ewc_cl2 = (axes for axes in drawn["accuracy_matrix"].axes if axes.images)
    assert hnet.get_title(loc="left") == "HNET, task-incremental\nACC 80.0 %, n = 2"
    values = hnet.images[0].get_array().filled(np.nan)
    np.testing.assert_allclose(values, [[1.0, np.nan], [0.6, 1.0]])
    assert ewc.images[0].get_clim() == (0, 1) and len(ewc_cl2.texts) == 3


def test_scores_over_memory(tmp_path: Path) -> None:
    for seed, last in ((1, 0.8), (2, 0.4)):
        write_run(tmp_path, "a", seed, accuracy_matrix=square(last, 1.0), memory_bytes={"total": 2_000_000})
    write_run(tmp_path, "b", method="ewc", accuracy_matrix=square(0.0, 1.0), memory_bytes={"total": 500_000})
    write_run(tmp_path, "c", method="si", accuracy_matrix=square(0.0, 1.0))
    figure = figures(section(tmp_path), wanted=("memory",))["memory"]
    (axes,) = figure.axes
    points = {line.get_color(): (*line.get_xdata(), *line.get_ydata()) for line in axes.lines if len(line.get_xdata())}
    assert points[BLUE] == pytest.approx((2e6, 0.8)) and points[VERMILION] == pytest.approx((5e5, 0.5))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["HNET", "EWC"], "what SI keeps is not known"
    bars = [line.get_segments()[0][:, 1] for line in axes.collections if len(line.get_segments())]
    assert any(bar == pytest.approx([0.7, 0.9]) for bar in bars), "standard error of hnet"
    figure.canvas.draw()
    assert axes.get_xscale() == "log" and {"0.5", "1", "2"} <= {tick.get_text() for tick in axes.get_xticklabels()}


def test_where_all_keep_the_same_there_is_no_figure_of_memory(tmp_path: Path) -> None:
    for method in ("hnet", "ewc"):
        write_run(tmp_path, method, method=method, memory_bytes={"total": 500_000})
    assert "memory" not in figures(section(tmp_path))


def test_one_task_has_no_forgetting(tmp_path: Path) -> None:
    write_run(tmp_path, accuracy_matrix=[[0.5]])
    assert figures(section(tmp_path)).keys() == {"accuracy", "during_final", "accuracy_matrix"}


def test_lines_of_a_panel_differ_in_more_than_colour() -> None:
    assert len(set(COLOURS)) == len(set(DASHES)) == len(set(MARKERS)) == TOGETHER
    shown = [(look.colour, look.marker) for look in METHODS.values()]
    assert len(set(shown)) == len(shown)
    assert {name for name, look in METHODS.items() if look.colour == GREY} == {"finetune", "joint", "scratch"}
    assert not [name for name, look in METHODS.items() if look.colour == GREY and look.dash == SOLID]


def test_a_method_looks_the_same_beside_any_others(tmp_path: Path) -> None:
    for number, method in enumerate(("si", "mine", "hnet", "joint", "other")):
        write_run(tmp_path, f"{number}", method=method)
    write_run(tmp_path, "6", method="hnet", overrides=["method.strength=2"])
    rows = section(tmp_path).rows
    assert [row.title for row in rows] == ["HNET", "HNET, method.strength=2", "mine", "other", "SI", "Joint"]
    found = looks(rows)
    assert [found[0], found[4], found[5]] == [METHODS["hnet"], METHODS["si"], METHODS["joint"]]
    assert len({look.colour for look in found}) == len(found), "what is no method of ours has colours that are free"


@pytest.mark.parametrize(("width", "style"), [("column", "paper"), ("page", None), ("page", "talk")])
def test_width_and_size_of_text(width: str, style: str | None, tmp_path: Path) -> None:
    for number, method in enumerate(("hnet", "ewc", "finetune")):
        write_run(tmp_path, f"{number}", method=method, window=window(0.5, 0.75))
    form = Form(width, style)
    for name, figure in figures(section(tmp_path), form, ("accuracy", "during_final", "stability_gap")).items():
        size = imread(io.BytesIO(encoded(figure, "png"))).shape[1] / 300
        assert size == pytest.approx(WIDTHS[width], abs=0.1), name
        assert figure.axes[0].xaxis.label.get_fontsize() == pytest.approx(FONTS.get(style or "", 9.0))


def test_ticks_are_round_and_a_hundred_per_cent_is_inside(drawn: dict[str, Figure]) -> None:
    axes = drawn["accuracy"].axes[0]
    low, high = axes.get_ylim()
    drawn["accuracy"].canvas.draw()
    ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    shown = [label.get_text() for value, label in ticks if low <= value <= high]
    assert shown == ["50 %", "60 %", "70 %", "80 %", "90 %", "100 %"] and 1 < high < 1.05
    assert drawn["during_final"].axes[0].get_xlim() == (0, 1.04)


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (0.5, 1.0, (0.472, 1.022)),  # a tenth more than 0.5, and 0.04 of that above 100 %
        (0.1, 0.1, (0.075, 0.125)),
        (0.9999, 1.0, (0.952, 1.002)),
        (0.0, 0.0, (-0.002, 0.048)),
        (0.0, 1.0, (-0.044, 1.044)),
        (0.97, 1.2, (0.75712, 1.01012)),  # a band of standard errors beyond 100 %
    ],
)
def test_an_axis_of_accuracies_has_room_for_markers(low: float, high: float, ends: tuple[float, float]) -> None:
    assert accuracy_range(low, high) == pytest.approx(ends)


def test_a_constant_curve_at_a_hundred_per_cent_is_not_cut(tmp_path: Path) -> None:
    write_run(tmp_path, accuracy_matrix=square(1.0, 1.0))
    axes = figures(section(tmp_path), wanted=("accuracy",))["accuracy"].axes[0]
    assert axes.get_ylim() == pytest.approx((0.952, 1.002))
    (curve,) = (line for line in axes.lines if len(line.get_xdata()))
    above = axes.transData.transform((0, 1.002))[1] - axes.transData.transform((0, 1.0))[1]  # pixels
    assert above > curve.get_markersize() / 2 * axes.figure.dpi / 72


def test_curves_that_coincide_have_their_markers_at_different_places(tmp_path: Path) -> None:
    for number in range(TOGETHER):
        write_run(tmp_path, f"{number}", method=f"m{number}", accuracy_matrix=square(*[1.0] * 20))
    axes = figures(section(tmp_path), wanted=("accuracy",))["accuracy"].axes[0]
    curves = [line for line in axes.lines if len(line.get_xdata())]
    assert [line.get_markevery() for line in curves] == [(0, 2), (1, 2), (0, 2), (1, 2), (0, 2), (1, 2), (0, 2)]
    assert [line.get_xdata()[0] - 1 for line in curves] == pytest.approx([0.6 / 7 * (n - 3) for n in range(7)])


@pytest.mark.parametrize(
    ("last", "ends"),
    [(0.99924, (0.0, 0.01)), (0.5, (0.0, 0.525))],  # 0.076 points; 50 points and the usual margin
)
def test_little_forgetting_does_not_fill_the_panel(last: float, ends: tuple[float, float], tmp_path: Path) -> None:
    write_run(tmp_path, accuracy_matrix=square(last, 1.0))
    axes = figures(section(tmp_path), wanted=("forgetting",))["forgetting"].axes[0]
    assert axes.containers[0][0].get_width() == pytest.approx(1 - last)
    assert axes.get_xlim() == pytest.approx(ends)


@pytest.mark.parametrize("style", [None, "talk"])
def test_labels_of_several_lines_do_not_overlap(style: str | None, tmp_path: Path) -> None:
    for number in range(3):
        overrides = [f"method.a_long_key_of_a_method={number}", f"method.another_long_key={number}"]
        write_run(tmp_path, f"{number}", overrides=overrides if number else [])
    write_run(tmp_path, "ewc", method="ewc")
    for figure in figures(section(tmp_path), Form(style=style), ("during_final", "forgetting")).values():
        figure.canvas.draw()
        labels = figure.axes[0].get_yticklabels()
        assert sorted(label.get_text().count("\n") for label in labels) == [0, 0, 2, 2]
        boxes = [label.get_window_extent() for label in labels]  # from the bottom
        assert all(lower.y1 < upper.y0 for lower, upper in itertools.pairwise(boxes))
        bars = sorted(bar.get_y() + bar.get_height() / 2 for bar in figure.axes[0].containers[-1])
        ticks = figure.axes[0].get_yticks()
        assert max(abs(bar - tick) for bar, tick in zip(bars, ticks, strict=True)) < 0.3


def test_no_more_than_three_matrices_stand_abreast(tmp_path: Path) -> None:
    for number in range(4):
        write_run(tmp_path, f"{number}", method=f"m{number}")
    figure = figures(section(tmp_path), wanted=("accuracy_matrix",))["accuracy_matrix"]
    places = [axes.get_position() for axes in figure.axes if axes.images]
    assert [round(place.y0, 3) for place in places[:3]] == [round(places[0].y0, 3)] * 3
    assert places[3].y1 < places[0].y0 and places[3].x0 == pytest.approx(places[0].x0)


def test_files_for_papers(drawn: dict[str, Figure]) -> None:
    """Text that is text in SVG, TrueType and no Type 3 fonts in PDF."""
    made = encodings(drawn["accuracy"])
    assert made["svg"] == encoded(drawn["accuracy"], "svg"), "also where what is drawn is measured once"
    assert made["png"].startswith(b"\x89PNG")
    svg = made["svg"].decode()
    assert ">tasks learned</text>" in svg and ">HNET</text>" in svg
    assert b"/CIDFontType2" in made["pdf"] and b"/Type3" not in made["pdf"]


def simulated(colour: str, matrix: list[list[float]]) -> np.ndarray:
    """Linear RGB as someone with a colour vision deficiency sees it."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(matrix) @ linear, 0, 1)


@pytest.mark.parametrize(
    "matrix",
    [  # Viénot, Brettel & Mollon 1999: protanopia, deuteranopia; nobody's deficiency
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ],
)
def test_colours_stay_apart(matrix: list[list[float]]) -> None:
    seen = [simulated(colour, matrix) for colour in COLOURS]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.05


@pytest.mark.slow
def test_many_long_names_fit(tmp_path: Path) -> None:
    for number in range(TOGETHER + 2):
        overrides = [f"method.a_key_with_a_long_name={number}", "method.other=1"][: number + 1]
        write_run(tmp_path, f"{number}", overrides=overrides, accuracy_matrix=square(*[0.5] * 12))
    made = figures(section(tmp_path))
    assert len(made["accuracy"].axes) == 2
    for figure in made.values():
        image = imread(io.BytesIO(encoded(figure, "png")))[..., :3]
        edges = (image[0], image[-1], image[:, 0], image[:, -1])
        assert all((edge == 1).all() for edge in edges)  # nothing is cut off at a border


def test_names_are_no_formulas(tmp_path: Path) -> None:
    write_run(tmp_path, method="a$b$_{", overrides=["x=$\\frac"])
    for figure in figures(section(tmp_path)).values():
        ET.fromstring(encoded(figure, "svg"))


def test_svg_is_the_same_every_time_and_names_no_other_place(drawn: dict[str, Figure]) -> None:
    first = encoded(drawn["forgetting"], "svg")
    assert first == encoded(drawn["forgetting"], "svg")
    root = ET.fromstring(first)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    links = [value for node in root.iter() for key, value in node.attrib.items() if key.endswith("href")]
    assert all(link.startswith("#") for link in links)


def test_a_program_that_logs_everything_hears_nothing_of_fonts(caplog: pytest.LogCaptureFixture) -> None:
    figure = Figure((1, 1))
    figure.text(0.1, 0.5, "text")
    with caplog.at_level(logging.INFO):
        encoded(figure, "pdf")
    assert caplog.messages == []


def window(*scores: float) -> list[dict[str, object]]:
    """Tests of the first task in the middle of the second one, five iterations apart."""
    return [{"task": 1, "iteration": 5 * number, "scores": [score]} for number, score in enumerate(scores, start=1)]


def test_the_gap_is_drawn_from_the_scores_before_it_to_those_after_it(tmp_path: Path) -> None:
    for seed, dip in ((1, 0.2), (2, 0.4)):
        write_run(tmp_path, "a", seed, accuracy_matrix=square(0.8, 1.0), window=window(dip, 0.7))
    write_run(tmp_path, "b", method="ewc", accuracy_matrix=square(0.5, 1.0))  # has no window
    axes = figures(section(tmp_path))["stability_gap"].axes[0]
    curve, leap = (line for line in axes.lines if len(line.get_xdata()))
    assert curve.get_xdata() == pytest.approx([2, 2.35, 2.7])  # 0.7 of a task's room is for the window
    assert curve.get_ydata() == pytest.approx([1.0, 0.3, 0.7]) and curve.get_markevery() == 1
    assert leap.get_xdata() == pytest.approx([2.7, 2.9]) and leap.get_ydata() == pytest.approx([0.7, 0.8])
    assert (curve.get_linestyle(), leap.get_linestyle()) == ("-", ":")
    assert (leap.get_markevery(), leap.get_markerfacecolor()) == ([1], "white")
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(0.2)  # 0.3 - sem, with sem |0.4 - 0.2| / 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["HNET"]


def test_each_later_task_has_its_part_of_the_gap_and_only_what_all_seeds_have_is_drawn(tmp_path: Path) -> None:
    matrix = [[0.9, None, None], [0.7, 0.8, None], [0.5, 0.7, 0.9]]
    points = [*window(0.1, 0.3), {"task": 2, "iteration": 10, "scores": [0.2, 0.6]}]
    write_run(tmp_path, "a", 1, accuracy_matrix=matrix, window=points)
    write_run(tmp_path, "a", 2, accuracy_matrix=matrix, window=points[1:])
    axes = figures(section(tmp_path))["stability_gap"].axes[0]
    second, to_its_end, third, last = (line for line in axes.lines if len(line.get_xdata()))
    assert second.get_ydata() == pytest.approx([0.9, 0.3]) and to_its_end.get_ydata() == pytest.approx([0.3, 0.7])
    assert third.get_xdata() == pytest.approx([3, 3.7]) and last.get_xdata() == pytest.approx([3.7, 3.9])
    assert third.get_ydata() == pytest.approx([0.75, 0.4])  # means over two old tasks
    assert last.get_ydata() == pytest.approx([0.4, 0.6])


def test_certified_scores_lie_below_measured_ones(tmp_path: Path) -> None:
    measured = [[0.9, None, None], [0.7, 0.8, None], [0.5, 0.7, 0.9]]
    for seed, proved in ((1, 0.4), (2, 0.6)):
        matrix = [[0.8, None, None], [proved, 0.7, None], [0.2, proved, 0.6]]
        write_run(tmp_path, "a", seed, method="hint", accuracy_matrix=measured, certified_matrix=matrix)
    write_run(tmp_path, "b", method="ewc", accuracy_matrix=measured)  # proves nothing
    (axes,) = figures(section(tmp_path), wanted=("certified",))["certified"].axes
    seen, certified = (line for line in axes.lines if len(line.get_xdata()))
    assert seen.get_xdata() == pytest.approx([2, 3]) and seen.get_ydata() == pytest.approx([0.7, 0.6])
    assert certified.get_ydata() == pytest.approx([0.5, 0.35]) and certified.get_linestyle() == ":"
    widths = [np.ptp(band.get_paths()[0].vertices[:2, 1]) for band in axes.collections]
    assert widths == pytest.approx([0, 0.2]), "twice the standard error after two tasks: that of 0.4 and 0.6 is 0.1"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["HINT", "HINT, certified"]


def test_without_a_window_there_is_no_gap_to_be_seen(drawn: dict[str, Figure]) -> None:
    assert "stability_gap" not in drawn
