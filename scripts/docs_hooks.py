"""Hooks of MkDocs: the pages that are made from other files."""

from pathlib import Path
from typing import Any

from key_reference import choices_page, reference
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]


def generated() -> dict[str, str]:
    """Returns the texts of the pages that are made from other files, by their paths."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {
        "reference/choices.md": choices_page(),
        "reference/keys.md": reference(),
        "design.md": contributing.replace("# Contributing\n", "# Design, and how to contribute\n", 1),
    }


def on_files(files: Files, config: Any) -> Files:
    """Puts the pages that are made from other files in place of those that say in a clone what stands there."""
    for path, text in generated().items():
        if (file := files.get_file_from_path(path)) is not None:
            files.remove(file)
        files.append(File.generated(config, path, content=text))
    return files
