"""The examples of CONTRIBUTING.md are complete: their files go into a copy of the packages, and their tests pass there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
# The copy comes before an editable install.
RUN_PYTEST = """
import importlib.machinery, sys, pytest
sys.meta_path.insert(0, importlib.machinery.PathFinder)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def example_files() -> dict[str, str]:
    """Text of each file of the page by its path, which a comment on the first line names."""
    blocks = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return dict(blocks)


def copy_packages(to: Path) -> None:
    """Copies the three packages and the tests, in the layout in which they are installed."""
    for name in ("zoo", "training", "evaluation", "tests"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
    (to / "zoo" / "data").symlink_to(ROOT / "zoo" / "data")
    (to / "cortexzoo").symlink_to(to / "zoo")
    for name in ("training", "evaluation"):
        (to / "zoo" / name).symlink_to(to / name)
    shutil.copy(ROOT / "setup.cfg", to)


def test_each_example_is_one_new_file_and_its_test() -> None:
    files = example_files()
    tests = {path for path in files if path.startswith("tests/")}
    assert len(tests) * 2 == len(files) > 0
    assert not [path for path in files if (ROOT / path).exists()]
    for path in files.keys() - tests:
        assert f"tests/{Path(path).parts[0]}/test_{Path(path).name}" in tests


def test_examples_pass_their_tests(tmp_path: Path) -> None:
    copy_packages(tmp_path)
    files = example_files()
    for path, text in files.items():
        (tmp_path / path).write_text(text, encoding="utf-8")
    tests = sorted(path for path in files if path.startswith("tests/"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CORTEXZOO_SAVED_MODELS": str(ROOT / "saved_models")}
    command = [sys.executable, "-c", RUN_PYTEST, *tests]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", example_files())
def test_examples_are_formatted(path: str, tmp_path: Path) -> None:
    """As ruff would have them, where there is ruff."""
    ruff = shutil.which("ruff") or shutil.which("ruff", path=str(Path(sys.executable).parent))
    if not ruff:
        pytest.skip("ruff is not installed")
    file = tmp_path / Path(path).name
    file.write_text(example_files()[path], encoding="utf-8")
    for command in (["check"], ["format", "--diff"]):
        words = [ruff, *command, "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(file)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
