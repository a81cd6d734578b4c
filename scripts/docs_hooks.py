"""Hooks of MkDocs: the pages that are made from other files, links to them, and where lines may be cut."""

import re
from pathlib import Path
from posixpath import relpath
from typing import Any

from key_reference import choices_page, reference
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DESIGN = "design.md"  # what CONTRIBUTING.md is called on the site


def generated() -> dict[str, str]:
    """Returns the texts of the pages that are made from other files, by their paths."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {
        "reference/choices.md": choices_page(),
        "reference/keys.md": reference(),
        DESIGN: contributing.replace("# Contributing\n", "# Design, and how to contribute\n", 1),
    }


def on_files(files: Files, config: Any) -> Files:
    """Puts the pages that are made from other files in place of those that say in a clone what stands there."""
    for path, text in generated().items():
        if (file := files.get_file_from_path(path)) is not None:
            files.remove(file)
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Leads links to CONTRIBUTING.md to the page that has its text."""
    design = relpath(DESIGN, Path(page.file.src_uri).parent.as_posix())
    return re.sub(r"\]\((?:\.\./)+CONTRIBUTING\.md", f"]({design}", markdown)


def on_page_content(html: str, page: Page, config: Any, files: Files) -> str:
    """Keeps a mean and its standard error on one line, and lets long default values be cut at their signs."""
    html = re.sub(r"(?<=\d) ± (?=\d)", "\u00a0±\u00a0", html)
    return re.sub(
        r"(?<=<td><code>)[^<]*\$\{[^<]*(?=</code>)",
        lambda value: re.sub(r"(?<=[/,:])(?=[^\s/,:])", "<wbr>", value[0]),
        html,
    )
