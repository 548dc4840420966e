"""Every page links to what is there, and its commands have modules and flags that are there."""

import functools
import importlib.util
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from cortexzoo import catalog
from cortexzoo.__main__ import COMMANDS
from cortexzoo.console import discover
from cortexzoo.training import recipes
from cortexzoo.training.configuration import change_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Every program of ours prints its words, one a line, and runs nothing; what else a page calls is not there.
SHELL = """
PATH=/nowhere
command_not_found_handle() { :; }
say() { printf '%s\\n' "$@"; printf '\\n'; }
cortexzoo() { say cortexzoo "$@"; }
python() { if [ "$1" = -m ]; then say "$@"; fi; }
python3() { :; }
pip() { :; }
"""


@functools.cache
def expanded(page: Path) -> list[list[str]]:
    """The words of every command of ours in a page's shell blocks and inline code, with loops and variables expanded."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`(cortexzoo \w[^`…]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    chosen = [block for language, block in blocks if language in ("", "shell") and not block.startswith("saved_models/")]
    script = "\n".join([SHELL, *chosen, *inline]).replace(".venv/bin/", "")
    with tempfile.TemporaryDirectory() as empty:
        shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, cwd=empty)
    assert "syntax error" not in shell.stderr, shell.stderr
    return [group.split("\n") for group in shell.stdout.split("\n\n") if group.strip()]


def module_of(words: list[str]) -> str:
    """The module whose flags a command takes."""
    if words[0] == "-m":
        return words[1]
    assert words[1] in COMMANDS, f"no command {' '.join(words)}"
    module = COMMANDS[words[1]].module
    if not COMMANDS[words[1]].is_group or len(words) == 2:
        return module
    package = module.removesuffix(".__main__")
    assert words[2] in discover(package), f"no {words[2]} in `cortexzoo {words[1]}`"
    # A study has flags of its own, analyses have them together.
    return f"{package}.{words[2]}.__main__" if words[1] == "study" else module


def defined_flags(module: str) -> set[str]:
    spec = importlib.util.find_spec(module)
    assert spec, f"no module {module}"
    origin = Path(str(spec.origin))
    source = (origin.with_name("__main__.py") if origin.name == "__init__.py" else origin).read_text(encoding="utf-8")
    return {"help", *re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)}


def flags_of(words: list[str]) -> list[tuple[str, str]]:
    """Names and values of the flags of a command."""
    pairs = [word.removeprefix("--").partition("=") for word in words if word.startswith("--")]
    return [(name, value) for name, _, value in pairs]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in (link for link in links if not re.match(r"https?://", link)):
        file, _, anchor = link.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_modules_flags_and_models(page: Path) -> None:
    ids = {card.id for card in catalog.list_models()}
    for words in expanded(page):
        module, flags = module_of(words), flags_of(words)
        unknown = {name for name, _ in flags} - defined_flags(module)
        assert not unknown, f"{page.name}: {module} has no {sorted(unknown)}"
        if words[1] in ("card", "verify"):
            assert set(words[2:]) <= ids


def test_pages_have_commands() -> None:
    """What the other tests go over is not empty."""
    found = {module_of(words) for page in PAGES for words in expanded(page)}
    assert {command.module for command in COMMANDS.values() if not command.is_group} <= found
    assert {"cortexzoo.evaluation.analysis.__main__", "cortexzoo.training.studies.sweep.__main__"} <= found


def arguments(page: Path, command: str) -> list[list[tuple[str, str]]]:
    """The flags of every `cortexzoo COMMAND` in a page's blocks that has some."""
    found = [flags_of(words) for words in expanded(page) if words[:2] == ["cortexzoo", command]]
    return [flags for flags in found if flags]


@pytest.mark.parametrize("name", ["recordings.md", "saturating.md", "saturating-variants.md", "similarity.md"])
def test_trainings_have_recipes_and_settings(name: str) -> None:
    found = arguments(ROOT / "docs" / name, "train")
    assert found
    for flags in found:
        values = dict(flags)
        recipe = recipes.find(values["recipe"])
        change_config(recipe.config(), [value for flag, value in flags if flag == "set"])
        assert recipes.check_id(values.get("id", recipe.id), recipe)


def test_similarity_page_trains_what_it_compares() -> None:
    """All models and the sources of transferred adversarials, which are not compared; of each data set there is one."""
    page = ROOT / "docs" / "similarity.md"
    published = [dict(flags) for flags in arguments(page, "train")]
    ids = [values.get("id", values["recipe"]) for values in published]
    assert len(ids) == len(set(ids))
    (transfer,) = (flags for flags in arguments(page, "evaluate") if ("suite", "transfer") in flags)
    models, sources = ({value for name, value in transfer if name == flag} for flag in ("model", "source"))
    assert len(models) == 30
    assert models | sources <= set(ids)
    assert not models & sources
    assert {source.split("/")[0] for source in sources} == {model.split("/")[0] for model in models}


def test_pages_have_no_empty_section() -> None:
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "code", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        headings = [(len(m[1]), m.start(), m.end()) for m in re.finditer(r"^(#+) .*$", text, flags=re.MULTILINE)]
        for (depth, _, end), (following, start, _) in zip(headings, [*headings[1:], (0, len(text), 0)], strict=True):
            assert text[end:start].strip() or following > depth, f"{page.name}: {text[:end].splitlines()[-1]}"
