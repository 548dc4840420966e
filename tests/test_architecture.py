"""The rooms and the arrows between them: zoo knows nobody, training knows zoo, evaluation knows data and catalogue only."""

import ast
import configparser
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

import cortexzoo as cz

ROOT = Path(__file__).parents[1]
ROOMS = {"cortexzoo": "zoo", "cortexzoo.training": "training", "cortexzoo.evaluation": "evaluation"}
# What a file of each room may import of ours; a package stands for all that is in it.
ALLOWED = {
    "zoo": ("cortexzoo",),
    "training": ("cortexzoo",),
    "evaluation": (
        "cortexzoo.evaluation",
        *(f"cortexzoo.{name}" for name in ("card", "card_page", "catalog", "console", "datasets", "export", "figures")),
        *(f"cortexzoo.{name}" for name in ("files", "heads", "images", "keras_files")),
        *(f"cortexzoo.{name}" for name in ("norms", "sections", "startup")),
    ),
}
FORBIDDEN = {
    "zoo": ("cortexzoo.training", "cortexzoo.evaluation"),
    "training": ("cortexzoo.evaluation",),
    "evaluation": (),
}
FILES = sorted(path for room in ROOMS.values() for path in (ROOT / room).rglob("*.py"))


def test_setup_lists_every_package() -> None:
    """A folder that is not listed is missing from what is installed, and a listed one that is missing breaks the build."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    found = {
        ".".join([room, *path.parent.relative_to(ROOT / folder).parts])
        for room, folder in ROOMS.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(listed) == sorted({*found, "cortexzoo.data", "cortexzoo.saved_models"})


def location(name: str) -> Path:
    """Where a module lies: `setup.cfg` maps the folders `training` and `evaluation` into the package."""
    room = max((room for room in ROOMS if f"{name}.".startswith(f"{room}.")), key=len, default=None)
    return ROOT / "no such module" if room is None else ROOT.joinpath(ROOMS[room], *name[len(room) :].split(".")[1:])


def is_module(name: str) -> bool:
    path = location(name)
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def imported_modules(source: str) -> set[str]:
    """The modules that a source imports, at its top or inside a function; a name from a package counts as its module."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they lead"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                modules.add(full if is_module(full) else node.module)
    return modules


def forbidden_imports(source: str, room: str) -> set[str]:
    own = {module for module in imported_modules(source) if is_in(module, ("cortexzoo",))}
    return {module for module in own if not is_in(module, ALLOWED[room]) or is_in(module, FORBIDDEN[room])}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_follow_the_arrows(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert not forbidden_imports(path.read_text(encoding="utf-8"), room)


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("zoo", "import numpy, cortexzoo.training.batches", {"cortexzoo.training.batches"}),
        ("zoo", "def f():\n    from cortexzoo.evaluation.results import metrics", {"cortexzoo.evaluation.results.metrics"}),
        ("training", "from cortexzoo.evaluation.results.store import Store", {"cortexzoo.evaluation.results.store"}),
        ("training", "from cortexzoo.models import ConvolutionalNetwork", set()),
        ("evaluation", "from cortexzoo import datasets, card_page", set()),
        ("evaluation", "from cortexzoo import datasets, models", {"cortexzoo.models"}),
        ("evaluation", "from cortexzoo import load_model", {"cortexzoo"}),
        ("evaluation", "import cortexzoo", {"cortexzoo"}),
        ("evaluation", "from cortexzoo.cards import x", {"cortexzoo.cards"}),
        ("evaluation", "import cortexzoo.training", {"cortexzoo.training"}),
    ],
)
def test_forbidden_imports_are_found(room: str, source: str, found: set[str]) -> None:
    assert forbidden_imports(source, room) == found


def name_of(path: Path) -> str:
    room, *parts = path.relative_to(ROOT).with_suffix("").parts
    package = next(package for package, folder in ROOMS.items() if folder == room)
    return ".".join([package, *parts]).removesuffix(".__init__")


def test_no_import_goes_in_a_circle() -> None:
    """Also none inside a function, but for what a package's `__init__` offers of its own files."""
    graph = {name_of(path): imported_modules(path.read_text(encoding="utf-8")) - {name_of(path)} for path in FILES}
    assert "cortexzoo.norms" in graph["cortexzoo.evaluation.api"]
    graphlib.TopologicalSorter(graph).prepare()
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(graph | {"cortexzoo.norms": {"cortexzoo.evaluation.api"}}).prepare()


@pytest.mark.parametrize("path", sorted((ROOT / "training").rglob("*.py")), ids=lambda path: path.name)
def test_training_never_names_the_test_split(path: Path) -> None:
    """A model that was chosen on test images would be scored on them: only evaluation reads that split."""
    strings = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    assert "test" not in strings


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_importing_zoo_is_cheap() -> None:
    """Neither the import nor a look at the catalogue loads a framework; the first model does."""
    heavy = ("tensorflow", "keras", "tensorflow_datasets", "matplotlib", "jax", "torch")
    code = f"import sys, cortexzoo as cz; cz.list_models(); dir(cz); print([x for x in {heavy} if x in sys.modules])"
    assert run_python(code).strip() == "[]"


def imported_at_once(path: Path) -> set[str]:
    """The modules that the top of a file imports."""
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return imported_modules("\n".join(map(ast.unparse, top)))


def imported_with(module: str) -> set[str]:
    """Everything that an import of `module` imports in its turn, but for what is imported later."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            path = location(name)
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if path.is_file():
                waiting += imported_at_once(path)
                # A module's packages come with it.
                waiting += [name.rsplit(".", 1)[0]] if "." in name else []
    return found


def test_recipes_need_no_tensorflow() -> None:
    """They are imported on machines that have another backend of Keras alone."""
    # Those that are discovered stand in no import.
    files = [path for folder in ("recipes", "targets") for path in (ROOT / "training" / folder).glob("*.py")]
    modules = [f"cortexzoo.training.{path.parent.name}.{path.stem}" for path in files]
    found = set().union(*map(imported_with, modules))
    assert {"keras", "cortexzoo.training.fitting", "cortexzoo.models.resnet"} <= found
    assert not [name for name in found if name.startswith(("tensorflow", "cortexzoo.export"))]
    assert "tensorflow" in imported_with("cortexzoo.export"), "otherwise this shows nothing"


def test_public_names_resolve() -> None:
    assert set(cz.__all__) <= set(dir(cz))
    for name in cz.__all__:
        assert getattr(cz, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'cortexzoo' has no attribute 'load_modle'"):
        cz.load_modle  # noqa: B018
