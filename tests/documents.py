"""README and the pages of the documentation: their blocks, commands, files and samples."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CONTINUED = re.compile(r" \\\n\s*")
FILE = re.compile(r"# (my_(?:package|conf)/\S+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `language` is empty for a sample of what a command prints."""

    language: str
    text: str


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for inner in (nav.values() if isinstance(nav, dict) else nav) for page in _pages(inner)]


def pages() -> list[str]:
    """README and every page that mkdocs.yml names and that is a file, by their paths in the checkout."""
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = [f"docs/{page}" for page in _pages(nav)]
    return ["README.md", *(page for page in named if (ROOT / page).is_file())]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), re.DOTALL | re.MULTILINE)
    return [Block(language, text) for language, text in found]


def commands(page: str) -> list[list[str]]:
    """The words of each command of a page: of its blocks `sh`, without comments, and above its samples."""
    lines = []
    for block in blocks(page):
        if block.language == "sh":
            lines += CONTINUED.sub(" ", block.text).splitlines()
        elif not block.language:
            lines.append(block.text.splitlines()[0].removeprefix("$ "))
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def files(page: str) -> dict[str, str]:
    """The files of a user's own that a page shows: blocks whose first line is a comment with the file's path."""
    return {found[1]: block.text for block in blocks(page) if (found := FILE.match(block.text))}


def write_files(page: str, folder: Path) -> None:
    """Puts the files of a page into a folder."""
    for name, text in files(page).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def sample(page: str, start: str) -> str:
    """The sample of a page below the command that starts with `$ start`, without the command."""
    (found,) = [block.text for block in blocks(page) if block.text.startswith(f"$ {start}\n")]
    return found.partition("\n")[2].rstrip("\n")


def form(text: str) -> list[str]:
    """The lines of a text with every number in place of the others of its form, and spaces made one."""
    return [re.sub(r"\s+", " ", re.sub(r"[+-]?\d+\.\d+", "0.0", line)).strip() for line in text.splitlines()]
