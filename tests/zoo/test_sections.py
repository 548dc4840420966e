"""Sections of pages: only the text between the markers changes, and a page without them is refused."""

from pathlib import Path

import pytest

from cortexzoo.sections import replace_section

PAGE = "# Page\n<!-- a:begin -->\nold\n\nolder\n<!-- a:end -->\nafter\n<!-- b:begin -->\n<!-- b:end -->\n"


def test_only_the_section_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    replace_section(page, "a", None)
    assert page.read_text() == PAGE
    replace_section(page, "a", "| 1 |\n| 2 |\n")
    assert page.read_text() == PAGE.replace("old\n\nolder", "| 1 |\n| 2 |")
    replace_section(page, "a", "old\n\nolder")
    assert page.read_text() == PAGE


@pytest.mark.parametrize(
    "text", ["", "<!-- a:begin -->", "<!-- a:end -->\n<!-- a:begin -->", f"{PAGE}<!-- a:end -->", PAGE.replace("a:", " a:")]
)
def test_a_page_without_the_markers_is_refused(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=rf"Expected the lines <!-- a:begin --> and <!-- a:end --> in {page}"):
        replace_section(page, "a", "new")
    assert page.read_text() == text


def test_a_page_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.md", tmp_path, tmp_path / "binary.md"):
        with pytest.raises(ValueError, match=f"Expected a Markdown page with a section a at {path}"):
            replace_section(path, "a", None)
