"""`python -m cortexzoo.training` and its --set, run as a user runs them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from absl import app, flags
from absl.testing import flagsaver
from ml_collections import ConfigDict

from cortexzoo import catalog
from cortexzoo.loading import create_model
from cortexzoo.training.configuration import ConfigError, change_config, run_directory
from cortexzoo.training.publishing import publish
from cortexzoo.training.recipes import RECIPES, Recipe, Trained
from tests.programs import alone
from tests.training.test_publishing import RECIPE

Main = Callable[..., None]


@pytest.fixture(scope="module")
def program() -> Iterator[ModuleType]:
    """`cortexzoo.training.__main__`, imported into a process in which other programs may have defined their flags."""
    with alone("cortexzoo.training.__main__") as module:
        yield module


@pytest.fixture
def main(program: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Main:
    """Runs the program with these arguments in this process, from an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> None:
        with flagsaver.flagsaver():
            program.main(flags.FLAGS(["cortexzoo train", *arguments]))

    return run


def run_python(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd or Path(__file__).parents[2],
        env={**os.environ, **environment},
        check=False,
    )


def example() -> ConfigDict:
    return ConfigDict({"number": 1, "rate": 0.5, "flag": True, "text": "a", "widths": (1, 2)})


def test_changes_are_read_as_json_or_text() -> None:
    changes = ["number=3", "rate=1e-3", "flag=false", "text=b=c", "widths=[4, 5, 6]", "number=4"]
    expected = {"number": 4, "rate": 0.001, "flag": False, "text": "b=c", "widths": (4, 5, 6)}
    assert change_config(example(), changes).to_dict() == expected
    assert type(change_config(example(), ["rate=2"]).rate) is float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("number", "Expected --set=name=value with a name among flag, number, rate, text, widths. Received: 'number'"),
        ("colour=1", "Received: 'colour=1'"),
        ("=1", "Received: '=1'"),
        ("number=2.5", "Expected an int for number. Received: '2.5'"),
        ("number=three", "Received: 'three'"),
        ("number=null", "Expected an int for number. Received: 'null'"),
        ("number=true", "Expected an int for number. Received: 'true'"),
        ("flag=1", "Expected a bool for flag. Received: '1'"),
        ("text=3", "Expected a str for text. Received: '3'"),
        ("widths=3", "Expected a tuple for widths. Received: '3'"),
    ],
)
def test_wrong_changes(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        change_config(example(), [text])
    assert message in str(error.value)


def test_every_config_has_its_own_folder() -> None:
    """So that a changed run never resumes another's checkpoints, and the same one always does."""
    configs = [change_config(example(), changes) for changes in ([], ["number=1"], ["number=2"], ["widths=[1]"])]
    folders = [run_directory(Path("runs"), "mnist/dim", config) for config in configs]
    assert folders[0] == folders[1]
    assert len(set(folders)) == 3
    assert all(folder.parent == Path("runs/mnist/dim") for folder in folders)


def test_list_of_recipes(main: Main, capsys: pytest.CaptureFixture) -> None:
    main("--list")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(RECIPES)


def test_settings_of_a_recipe(main: Main, capsys: pytest.CaptureFixture) -> None:
    main("--recipe=mnist/dim", "--set=seed=7", "--show_config")
    assert json.loads(capsys.readouterr().out) == {**json.loads(RECIPES["mnist/dim"].config().to_json()), "seed": 7}


def publish_tiny(catalogue: Path, maps: int) -> None:
    """Publishes mnist/tiny, a CNN that biCNN can be made of."""
    model = create_model("ConvolutionalNetwork", {"maps": [maps], "kernels": [5, 3], "strides": [4, 2]})
    publish(RECIPE, RECIPE.config(), Trained(model, {}, {}), seconds=1, catalogue=catalogue)


def train(cwd: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return run_python("-m", "cortexzoo.training", *arguments, cwd=cwd, **environment)


def test_recipe_from_the_shell_to_the_catalogue(tmp_path: Path) -> None:
    """biCNN needs no training, only a catalogued CNN: the shortest way through the whole program."""
    publish_tiny(tmp_path / "runs/catalogue", maps=4)
    publish_tiny(tmp_path / "shipped", maps=6)
    before = sorted((tmp_path / "shipped").rglob("*"))
    arguments = ["--recipe=mnist/bicnn", "--set=base=mnist/tiny"]
    result = train(tmp_path, *arguments, CORTEXZOO_SAVED_MODELS=str(tmp_path / "shipped"))
    assert result.returncode == 0, result.stderr
    card = catalog.verify("mnist/bicnn", tmp_path / "runs/catalogue")
    assert sorted((tmp_path / "shipped").rglob("*")) == before, "what is shipped is left alone"
    assert card.config["maps"] == [4], "the catalogue's own models come before the shipped ones"
    assert card.config["binarize"]
    assert card.recipe["config"] == {"base": "mnist/tiny", "dataset": "mnist", "seed": 0}
    assert card.recipe["command"] == "cortexzoo train --recipe=mnist/bicnn --set=base=mnist/tiny"
    assert card.training["seconds"] == 0.0, "there are no epochs"
    checkpoints, *lines = result.stdout.splitlines()
    assert checkpoints.startswith("Checkpoints and logs: runs/mnist/bicnn/")
    assert lines == [
        "Published mnist/bicnn in runs/catalogue/mnist/bicnn/1",
        f"Validation accuracy: {card.training['validation']['accuracy']:.4f}",
        "Next: cortexzoo evaluate --model=runs/catalogue/mnist/bicnn --suite=quick",
    ]


def test_base_models_are_looked_up_among_the_shipped_ones_too(tmp_path: Path) -> None:
    publish_tiny(tmp_path / "shipped", maps=6)
    arguments = ["--recipe=mnist/bicnn", "--set=base=mnist/tiny", "--catalogue=mine", "--id=mnist/bicnn-tiny"]
    result = train(tmp_path, *arguments, CORTEXZOO_SAVED_MODELS=str(tmp_path / "shipped"))
    assert result.returncode == 0, result.stderr
    assert catalog.verify("mnist/bicnn-tiny", tmp_path / "mine").config["maps"] == [6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--recipe=mnist/bicnn"],
            "no version but 1 in runs/catalogue/mnist/bicnn, which is replaced. Received: 2.",
        ),
        (["--recipe=mnist/cnn", "--catalogue=a_file/b"], "a folder that can be written: a_file/b/mnist/cnn. Received: "),
        (["--recipe=mnist/cnn", "--workdir=a_file"], "Expected a folder that can be written: a_file. Received: "),
        (["--recipe=mnist/cnn", "--catalogue="], "Expected a folder for --catalogue. Received: none"),
        (["--recipe=mnist/cnn", "--set=epochs=0"], "Expected epochs to be from 1 to 100,000. Received: epochs=0"),
        (["--recipe=mnist/cnn", "--id=cifar10/cnn"], "Expected an id of the form mnist/NAME"),
        (["--recipe=mnist/bidim", "--set=base=mnist/dmi"], "Received: 'mnist/dmi'. Close matches: "),
        (["--recipe=mnist/dmi"], "Received: 'mnist/dmi'. Did you mean: mnist/"),
    ],
)
def test_what_would_fail_later_fails_first(
    arguments: list[str], message: str, main: Main, program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs/catalogue/mnist/bicnn/2").mkdir(parents=True)
    (tmp_path / "a_file").touch()
    monkeypatch.setattr(program, "_train_and_publish", lambda *_: pytest.fail("a training was begun"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as error:
        main(*arguments)
    assert message in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before, "something was left behind"


def test_a_recipe_is_needed(main: Main) -> None:
    with pytest.raises(app.UsageError, match=r"Expected --recipe=NAME. Received: none. --list shows the recipes."):
        main()


def test_a_diverged_training_ends_in_a_sentence(main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: object) -> None:
        raise FloatingPointError("Expected a finite loss in 3 epochs.")

    monkeypatch.setattr(Recipe, "train", diverge)
    with pytest.raises(SystemExit, match=r"^Expected a finite loss in 3 epochs\.$"):
        main("--recipe=mnist/cnn")
    assert not (tmp_path / "runs/catalogue").exists()
