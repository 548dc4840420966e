"""The examples run as they stand, on few images."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from cortexzoo.loading import create_model
from cortexzoo.training.publishing import publish
from cortexzoo.training.recipes import Trained
from tests.conftest import load_split, needs_dataset
from tests.training.test_publishing import RECIPE

ROOT = Path(__file__).parents[1]


def run_example(name: str, *arguments: str, folder: Path = ROOT, **environment: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    # A program in another folder finds the packages as a user's would: installed, or on PYTHONPATH.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@needs_dataset("fashion_mnist")
def test_finetune_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a catalogued model to a second version of a fine-tuned SavedModel that is better than chance."""
    catalogue, output = tmp_path / "catalogue", tmp_path / "output"
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(catalogue))
    # The weights of so small a network decide how much it learns in three passes.
    keras.utils.set_random_seed(0)
    network = create_model("ConvolutionalNetwork", {"maps": [8], "kernels": [5, 3], "strides": [2, 2]})
    publish(RECIPE, RECIPE.config(), Trained(network, {}, {}), seconds=1)
    (output / "saved_model" / "1").mkdir(parents=True)
    printed = run_example(
        "finetune_fashion_mnist.py",
        "--model=mnist/tiny",
        f"--output={output}",
        "--train_images=2000",
        "--epochs=3",
        "--learning_rate=0.01",
    )
    version = output / "saved_model" / "2"
    command = shlex.split(next(line for line in printed.splitlines() if "cortexzoo evaluate" in line))
    assert command[2:] == [f"--model={version}", "--data=fashion_mnist", "--suite=quick", "--samples=100"]

    test = load_split("fashion_mnist", "test").first(500)
    saved, kept = tf.saved_model.load(version), keras.models.load_model(output / "model.keras")
    served = saved.signatures["serving_default"](image=tf.constant(test.images))
    np.testing.assert_allclose(served["logits"], kept(test.images), rtol=1e-4, atol=1e-4)
    # Chance is 10 %.
    assert (served["label"].numpy() == test.labels).mean() > 0.4
    assert kept.optimizer.iterations == 3 * 16


def test_notebook_is_its_script() -> None:
    """Both have the same cells: `jupytext --update --to ipynb examples/own_data.py` makes them so."""
    cells = json.loads((ROOT / "examples/own_data.ipynb").read_text(encoding="utf-8"))["cells"]
    _, *parts = re.split(r"^# %%", (ROOT / "examples/own_data.py").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [part.startswith(" [markdown]") for part in parts] == [cell["cell_type"] == "markdown" for cell in cells]
    for part, cell in zip(parts, cells, strict=True):
        text = part.partition("\n")[2].strip()
        if cell["cell_type"] == "markdown":
            text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        assert text == "".join(cell["source"])


def test_own_data(tmp_path: Path) -> None:
    """The model is accurate, not robust, and does not pass the gate; what is printed says so."""
    printed = run_example("own_data.py", folder=tmp_path, MPLBACKEND="Agg")
    robust = float(printed.split("Accuracy against any attack within 0.03: ")[1].split("%")[0])
    assert 10 < robust < 80
    assert printed.splitlines()[-2].endswith("80.0 % is required.")
    assert printed.splitlines()[-1] == "Exit code: 1"
    assert (tmp_path / "runs/own_data/shapes.keras").is_file()


def test_similarity_regularizer(tmp_path: Path) -> None:
    """Plain `fit` with a backbone of one's own: it learns, weighs its layers, and is exported without the regulariser."""
    version = tmp_path / "regularised" / "1"
    printed = run_example("similarity_regularizer.py", "--train_images=2000", "--epochs=2", f"--output={version}")
    layers = [text.split() for text in printed.split("in the similarity: ")[1].splitlines()[0].split(", ")]
    names, weights = [name for name, _ in layers], [float(weight) for _, weight in layers]
    assert names == ["early", "late"]
    assert sum(weights) == pytest.approx(1.0, abs=2e-3)
    assert weights[0] != pytest.approx(0.5, abs=1e-3)
    test = load_split("mnist", "test").first(500)
    served = tf.saved_model.load(version).signatures["serving_default"](image=tf.constant(test.images))
    assert (served["label"].numpy() == test.labels).mean() > 0.7
