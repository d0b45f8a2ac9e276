"""The documentation's links: each leads to a file of this repository, and to a heading in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The front of the protocols' pages is no page: its links hold where it is put in.
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *(ROOT / "docs").rglob("*.md")}
    - {ROOT / "docs" / "protocols_front.md"}
)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def _anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    names = re.findall(r"^#+ +(.+?) *$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def _broken(page: Path) -> list[str]:
    found = []
    for link in _LINK.findall(_CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        known = _anchors(target) if target.suffix == ".md" and target.is_file() else {anchor}
        if (
            not target.is_relative_to(ROOT)
            or not target.exists()
            or (anchor and anchor not in known)
        ):
            found.append(link)
    return found


def test_there_are_pages_to_check():
    assert ROOT / "README.md" in PAGES
    assert ROOT / "docs" / "journey.md" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_of_a_page_leads_somewhere(page):
    assert _broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    page = tmp_path / "a.md"
    page.write_text(
        "# One\n[a](b.md) [one](#one) [two](#two) [far](https://example.org) `[x](y.md)`"
    )
    assert _broken(page) == ["b.md", "#two"]
