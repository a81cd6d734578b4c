"""Every relative link in README, CONTRIBUTING and the documentation leads to a file, and to a heading of it."""

import re
from functools import cache
from pathlib import Path

import pytest
from documents import ROOT, text_of
from key_reference import choices_page, reference

PAGES = ["README.md", "CONTRIBUTING.md", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def generated() -> dict[str, str]:
    """The pages that scripts/docs_hooks.py makes when the site is built."""
    reference_pages = {"docs/reference/choices.md": choices_page(), "docs/reference/keys.md": reference()}
    return {"docs/design.md": text_of("CONTRIBUTING.md"), **reference_pages}


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as MkDocs and GitHub make them of letters, digits, _ and -."""
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in re.findall(r"^#+ (.*)$", plain, re.M)]
    return {re.sub(r"[-\s]+", "-", heading) for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_resolve(page: str) -> None:
    for link in LINK.findall(re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        found = Path(path).resolve().relative_to(ROOT).as_posix()
        assert path.exists(), link  # in a clone, too
        if anchor:
            assert anchor in anchors(generated().get(found) or path.read_text(encoding="utf-8")), link


def test_anchors_are_those_of_headings() -> None:
    assert anchors("# A new optimiser\n```\n# no\n```\n## method/generator=plain\n") == {
        "a-new-optimiser",
        "methodgeneratorplain",
    }
