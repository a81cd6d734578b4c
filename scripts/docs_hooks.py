"""Hooks of MkDocs: the pages that are made from other files, and the place of pages that mkdocs.yml does not name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from key_reference import choices_page, reference
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
GUIDES = "Guides"


def generated() -> dict[str, str]:
    """Returns the texts of the pages that are made from other files, by their paths."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {
        "reference/choices.md": choices_page(),
        "reference/keys.md": reference(),
        "design.md": contributing.replace("# Contributing\n", "# Design, and how to contribute\n", 1),
    }


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made from other files, and fills the section of guides."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    named = set(_pages(config.nav))
    rest = sorted(file.src_uri for file in files.documentation_pages() if file.src_uri not in named)
    config.nav = [{GUIDES: rest} if GUIDES in entry else entry for entry in config.nav if GUIDES not in entry or rest]
    return files


def _pages(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for inner in nav.values() if isinstance(nav, dict) else nav:
            yield from _pages(inner)
