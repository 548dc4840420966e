"""Every page links to what is there, and its commands have modules and flags that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {"zoo-evaluate": "evaluation", "zoo-train": "training"}


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Module and flags of each of our programs in the fenced blocks of a page, comments left out."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").split("\n")
    found = []
    for line in (line.split(" #")[0] for line in lines):
        if match := re.match(r"\s*(?:\w+=\S+ )*(?:python -m ([\w.]+)|(zoo-\w+))", line):
            flags = re.findall(r"(?<=\s)--(\w+)", line[match.end() :])
            found.append((match[1] or PROGRAMS[match[2]], flags))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [link.split("#")[0] for link in links if not re.match(r"https?://|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_commands_have_modules_and_flags() -> None:
    found = [(page.name, *command) for page in PAGES for command in commands(page.read_text(encoding="utf-8"))]
    assert {"evaluation", "evaluation.analysis", "training", "training.sweep"} <= {module for _, module, _ in found}
    for page, module, flags in found:
        folder = ROOT.joinpath(*module.split("."))
        file = folder / "__main__.py" if folder.is_dir() else folder.with_suffix(".py")
        source = file.read_text(encoding="utf-8")
        known = {"help", *re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)}
        assert set(flags) <= known, f"{page}: {module} has no {sorted(set(flags) - known)}"


def test_pages_have_no_empty_section() -> None:
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "code", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        headings = [(len(m[1]), m.start(), m.end()) for m in re.finditer(r"^(#+) .*$", text, flags=re.MULTILINE)]
        for (depth, _, end), (following, start, _) in zip(headings, [*headings[1:], (0, len(text), 0)], strict=True):
            assert text[end:start].strip() or following > depth, f"{page.name}: {text[:end].splitlines()[-1]}"
