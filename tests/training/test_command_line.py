"""`python -m cortexzoo.training` and its --set, run as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cortexzoo as cz
import pytest
from cortexzoo.training.recipes import RECIPES

# In a process of its own: the flags of two programs in one process clash. Reading the module loads no framework.
_CHANGE = """
import json, sys
from ml_collections import ConfigDict
from cortexzoo.training.configuration import change_config, run_directory
from pathlib import Path
config = ConfigDict({"number": 1, "rate": 0.5, "flag": True, "text": "a", "widths": (1, 2)})
try:
    change_config(config, sys.argv[1:])
except ValueError as error:
    sys.exit(str(error))
print(json.dumps([config.to_dict(), str(run_directory(Path("runs"), "mnist/dim", config))]))
"""


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[2]
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=root, env=environment, check=False
    )


def change(*changes: str) -> tuple[dict, str]:
    result = run_python("-c", _CHANGE, *changes)
    assert result.returncode == 0, result.stderr
    return tuple(json.loads(result.stdout))


def test_changes_are_read_as_json_or_text() -> None:
    values, _ = change("number=3", "rate=1e-3", "flag=false", "text=b=c", "widths=[4, 5, 6]", "number=4")
    assert values == {"number": 4, "rate": 0.001, "flag": False, "text": "b=c", "widths": [4, 5, 6]}
    values, _ = change("rate=2")
    assert (values["rate"], type(values["rate"])) == (2.0, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("number", "Expected --set=name=value with a name among flag, number, rate, text, widths. Received: 'number'"),
        ("colour=1", "Received: 'colour=1'"),
        ("=1", "Received: '=1'"),
        ("number=2.5", "Expected a int for number. Received: '2.5'"),
        ("number=three", "Received: 'three'"),
        ("number=null", "Expected a int for number. Received: 'null'"),
        ("number=true", "Expected a int for number. Received: 'true'"),
        ("flag=1", "Expected a bool for flag. Received: '1'"),
        ("text=3", "Expected a str for text. Received: '3'"),
        ("widths=3", "Expected a tuple for widths. Received: '3'"),
    ],
)
def test_wrong_changes(text: str, message: str) -> None:
    result = run_python("-c", _CHANGE, text)
    assert result.returncode == 1
    assert message in result.stderr


def test_every_config_has_its_own_folder() -> None:
    """So that a changed run never resumes another's checkpoints, and the same one always does."""
    folders = [change(*changes)[1] for changes in ([], ["number=1"], ["number=2"], ["widths=[1]"])]
    assert folders[0] == folders[1]
    assert len(set(folders)) == 3
    assert all(Path(folder).parent == Path("runs/mnist/dim") for folder in folders)


def test_unknown_recipe() -> None:
    result = run_python("-m", "cortexzoo.training", "--recipe=mnist/dmi")
    assert result.returncode == 1
    assert "Received: 'mnist/dmi'. Did you mean: mnist/" in result.stderr
    assert "Traceback" not in result.stderr


def test_list_of_recipes() -> None:
    result = run_python("-m", "cortexzoo.training", "--list")
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(RECIPES)


def test_recipe_from_the_shell_to_the_catalogue(tmp_path: Path) -> None:
    """biCNN needs no training, only a catalogued CNN: the shortest way through the whole program."""
    from cortexzoo.loading import create_model
    from cortexzoo.training.publishing import publish
    from cortexzoo.training.recipes import Trained

    from tests.training.test_publishing import RECIPE

    catalogue = tmp_path / "catalogue"
    model = create_model("ConvolutionalNetwork", {"maps": [4], "kernels": [5, 3], "strides": [4, 2]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORTEXZOO_SAVED_MODELS", str(catalogue))
        publish(RECIPE, RECIPE.config(), Trained(model, {}, {}), seconds=1)
        arguments = ["--recipe=mnist/bicnn", "--set=base=mnist/tiny", "--id=mnist/bicnn-tiny"]
        arguments += [f"--catalogue={catalogue}", f"--workdir={tmp_path}"]
        # The flag wins over the variable.
        result = run_python("-m", "cortexzoo.training", *arguments, CORTEXZOO_SAVED_MODELS=str(tmp_path / "elsewhere"))
        assert result.returncode == 0, result.stderr
        card = cz.verify("mnist/bicnn-tiny")
    assert card.recipe["config"] == {"base": "mnist/tiny", "dataset": "mnist", "seed": 0}
    command = "cortexzoo train --recipe=mnist/bicnn --set=base=mnist/tiny --id=mnist/bicnn-tiny"
    assert card.recipe["command"] == command
    assert card.config["binarize"]
    assert 0.0 <= card.training["validation"]["accuracy"] <= 1.0
    assert card.training["seconds"] == 0.0, "there are no epochs"
