"""The page: well-formed, complete, without network, and safe against what runs contain."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_runs import readable, square, write_run

from hnet_cl.records.metrics_table import METRICS
from hnet_cl.report import page as page_module
from hnet_cl.report.grouping import Layout, sections
from hnet_cl.report.notes import notes
from hnet_cl.report.page import Part, page
from hnet_cl.report.runs import Unreadable
from hnet_cl.report.selection import select
from hnet_cl.report.tables import tables

VOID = {"meta", "input", "img", "wbr"}
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="1pt"><g style="fill: #111111"/></svg>'
USUAL = Layout(["method"], ["scenario"])


class Reader(HTMLParser):
    """All elements with their attributes, and all text; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def inside(self, tag: str) -> list[str]:
        return [text for place, text in self.texts if place == tag]


def written(root: Path, unreadable: tuple[Unreadable, ...] = (), command: str = "python -m hnet_cl.report x") -> str:
    selection = select(readable(root), unreadable, ())
    found = sections(selection.finished, USUAL)
    parts = [Part(part, tables([part], [METRICS["acc"]], USUAL), {"accuracy": SVG}) for part in found]
    return page(parts, selection, notes(selection), False, command)


def test_everything_is_there(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path, seed=seed, command=f"python -m hnet_cl 'a b' seed={seed} -m")
    failed = write_run(tmp_path, seed=3, status="failed", error="loss is nan")
    reader = Reader(written(tmp_path, (Unreadable(Path("broken"), "not JSON"),)))
    code, cells = reader.inside("code"), reader.inside("td")
    assert "90.00 ± 0.00 " in cells and "(2)" in reader.inside("span")
    assert {f"python -m hnet_cl 'a b' seed={seed} -m" for seed in (1, 2)} <= set(code)
    assert {"8a954bbf", "aaaaaaaa", "seed=1", "python 3.11.7, torch 2.13.0", "loss is nan", str(failed)} <= set(code)
    assert "2 finished runs. " in reader.inside("p")
    assert {"1 failed run, not averaged", "1 unreadable run, not averaged"} <= set(reader.inside("h3"))
    assert "broken" in code and "python -m hnet_cl.report x" in code
    identifiers = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    links = {attributes["href"] for tag, attributes in reader.elements if tag == "a"}
    assert links and links <= {f"#{identifier}" for identifier in identifiers}


def test_no_network(tmp_path: Path) -> None:
    write_run(tmp_path)
    text = written(tmp_path)
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    reader = Reader(text)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"link", "iframe", "object", "embed", "base", "form"}
    sources = [attributes["src"] for _, attributes in reader.elements if "src" in attributes]
    assert len(sources) == 1 and str(sources[0]).startswith("data:image/svg+xml;base64,")
    (policy,) = (str(found["content"]) for _, found in reader.elements if "http-equiv" in found)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    write_run(tmp_path)
    reader = Reader(written(tmp_path))
    (script,) = reader.inside("script")
    assert script == (Path(page_module.__file__).parent / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (str(found["content"]) for _, found in reader.elements if "http-equiv" in found)
    assert f"script-src 'sha256-{digest}'" in policy


EVIL = "</code></script><script>alert(1)</script><img src=x onerror='a'>\" & '"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed", "error": EVIL},
        {"command": EVIL},
        {"overrides": [f"method.x={EVIL}"]},
        {"method": EVIL.replace("/", "|")},
        {"benchmark": EVIL.replace("/", "|")},
        {"data": {"name": EVIL, "checksum": EVIL}},
        {"versions": {EVIL: EVIL}, "git_commit": EVIL, "device": EVIL},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_nothing_in_a_run_becomes_markup(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_run(tmp_path)
    usual = Reader(written(tmp_path))
    write_run(tmp_path / "evil", config="e", **changes)
    reader = Reader(written(tmp_path, (Unreadable(Path(EVIL), EVIL),), EVIL))
    names = {tag for tag, _ in reader.elements}
    assert names <= {tag for tag, _ in usual.elements} | {"h3", "ul", "li", "wbr"}
    assert len(reader.inside("script")) == 1
    handlers = [key for _, attributes in reader.elements for key in attributes if key.startswith("on")]
    assert handlers == []
    assert any("alert(1)" in text for text in reader.inside("code"))


def test_numbers_and_headers_can_be_sorted(tmp_path: Path) -> None:
    write_run(tmp_path)
    reader = Reader(written(tmp_path))
    values = [attributes["data-value"] for _, attributes in reader.elements if "data-value" in attributes]
    assert values == ["0.9"]
    assert {"method", "task-incremental", "seed", "ACC", "training, s"} <= set(reader.inside("button"))


def test_the_best_are_bold(tmp_path: Path) -> None:
    for method, value in (("hnet", 0.4), ("ewc", 0.2)):
        write_run(tmp_path, method, method=method, accuracy_matrix=square(value, 1.0))
    reader = Reader(written(tmp_path))
    bold = [attributes["data-value"] for _, attributes in reader.elements if attributes.get("class") == "best"]
    assert bold == ["0.7"]


def test_a_figures_ink_follows_light_and_dark(tmp_path: Path) -> None:
    write_run(tmp_path)
    (data,) = re.findall(r"base64,([^\"]+)\"", written(tmp_path))
    image = base64.b64decode(data).decode()
    assert "fill: currentColor" in image and "#111111" not in image
    assert "prefers-color-scheme:dark" in image
    assert ET.fromstring(image).attrib["width"] == "1pt"


def test_without_a_finished_run(tmp_path: Path) -> None:
    write_run(tmp_path, status="running", accuracy_matrix=[])
    reader = Reader(written(tmp_path))
    assert "0 finished runs. " in reader.inside("p") and "running" in reader.inside("td")
