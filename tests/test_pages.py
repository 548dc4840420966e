"""Every page links to what is there, and its commands have modules and flags that are there."""

import re
import subprocess
from pathlib import Path

import pytest
from cortexzoo.training import recipes
from cortexzoo.training.configuration import change_config

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
    assert {"evaluation", "cortexzoo.evaluation.analysis", "training", "cortexzoo.training.studies.sweep"} <= {
        module for _, module, _ in found
    }
    for page, module, flags in found:
        folder = ROOT.joinpath(*module.split("."))
        file = folder / "__main__.py" if folder.is_dir() else folder.with_suffix(".py")
        source = file.read_text(encoding="utf-8")
        known = {"help", *re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)}
        assert set(flags) <= known, f"{page}: {module} has no {sorted(set(flags) - known)}"


def expanded(page: Path, module: str) -> list[list[str]]:
    """Arguments of each `python -m MODULE` in a page's blocks: a shell runs their loops, with a function that prints."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    chosen = [block for language, block in blocks if not language and f"python -m {module} " in block]
    script = "\n".join(["python() { printf '%s\\n' \"$*\"; }", *chosen])
    shell = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return [words[2:] for line in shell.stdout.splitlines() if (words := line.split())[1] == module]


@pytest.mark.parametrize("name", ["similarity.md", "recordings.md"])
def test_trainings_have_recipes_and_settings(name: str) -> None:
    found = expanded(ROOT / "docs" / name, "training")
    assert found
    for arguments in found:
        flags = [argument.removeprefix("--").split("=", 1) for argument in arguments]
        values = dict(flags)
        recipe = recipes.find(values["recipe"])
        change_config(recipe.config(), [value for flag, value in flags if flag == "set"])
        assert recipes.check_id(values.get("id", recipe.id), recipe)


def test_similarity_page_trains_what_it_compares() -> None:
    """All models and the sources of transferred adversarials, which are not compared; of each data set there is one."""
    page = ROOT / "docs" / "similarity.md"
    published = [dict(argument.split("=", 1) for argument in arguments) for arguments in expanded(page, "training")]
    ids = [values.get("--id", values["--recipe"]) for values in published]
    assert len(ids) == len(set(ids))
    (transfer,) = (arguments for arguments in expanded(page, "evaluation") if "--suite=transfer" in arguments)
    models, sources = (
        {argument.split("=")[1] for argument in transfer if argument.startswith(flag)} for flag in ("--model", "--source")
    )
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
