"""Fine-tunes a pretrained model on Fashion-MNIST, saves it, exports it for TF Serving and shows how to attack it.

  python examples/finetune_fashion_mnist.py --output=runs/fashion
  python examples/finetune_fashion_mnist.py --output=runs/fashion --model=mnist/cnn --epochs=1 --evaluate

The steps:

1. `cz.load_model` returns a `keras.Model` after checking its files against their SHA-256.
2. `compile` and `fit` train it further. The model returns logits, so the loss needs `from_logits=True`. Noise layers, if the
   model has any, are active in `fit` and inactive in `evaluate` and `predict`.
3. `save` and `keras.models.load_model` keep the model and its optimizer in one .keras file, to continue training later.
4. `cz.export_model` writes what is deployed: a self-contained SavedModel in a folder named after its version. Running the
   example again writes the next version, which a running TF Serving picks up by itself.
5. `cortexzoo evaluate` attacks exactly that SavedModel: fine-tuning on clean images does not preserve robustness.

Fashion-MNIST comes from TensorFlow Datasets: it is read from $TFDS_DATA_DIR, or downloaded the first time.
"""

import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
from absl import app, flags, logging

import cortexzoo as cz
from cortexzoo import datasets

DATASET = "fashion_mnist"
_MODEL = flags.DEFINE_string("model", "mnist/dim", "The pretrained model, an id of `cortexzoo list`.")
_OUTPUT = flags.DEFINE_string("output", "runs/fashion_mnist", "Folder for the .keras file and the exported versions.")
_EPOCHS = flags.DEFINE_integer("epochs", 5, "Passes over the training images.", lower_bound=1)
_TRAIN_IMAGES = flags.DEFINE_integer("train_images", None, "Use the first N of the 55,000 training images.", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-4, "Adam's learning rate; a small one keeps what was learnt.")
_EVALUATE = flags.DEFINE_bool("evaluate", False, "Attack the exported model at the end instead of printing the command.")


def main(arguments: list[str]) -> None:
    """Runs the steps in the order of the docstring above."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only. Received: {' '.join(arguments[1:])}")
    # TensorFlow Datasets logs every file that it opens.
    logging.set_verbosity(logging.WARNING)
    keras.utils.set_random_seed(0)
    output = Path(_OUTPUT.value)

    model = fine_tune(cz.load_model(_MODEL.value))
    model = save_and_load(model, output / "model.keras")
    base_path = output / "saved_model"
    version = cz.export_model(model, base_path / str(next_version(base_path)))
    print(f"Exported {version}. To serve it:\n  {serving_command(base_path)}")
    evaluate(version)


def fine_tune(model: keras.Model) -> keras.Model:
    """Trains all weights on Fashion-MNIST with cross-entropy and prints the accuracy on its validation images."""
    train, validation = datasets.load(DATASET, "train"), datasets.load(DATASET, "validation")
    train = train.first(_TRAIN_IMAGES.value or len(train))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On a CPU plain TensorFlow is faster than XLA for models of this size.
    model.compile(keras.optimizers.Adam(_LEARNING_RATE.value), loss, metrics=["accuracy"], jit_compile=False)
    before = model.evaluate(validation.images, validation.labels, batch_size=500, verbose=0, return_dict=True)
    model.fit(train.images, train.labels, batch_size=128, epochs=_EPOCHS.value, verbose=2)
    after = model.evaluate(validation.images, validation.labels, batch_size=500, verbose=0, return_dict=True)
    print(f"Validation accuracy on {DATASET}: {before['accuracy']:.3f} before, {after['accuracy']:.3f} after.")
    return model


def save_and_load(model: keras.Model, path: Path) -> keras.Model:
    """Writes the model to a .keras file and returns what is read back: the same model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    # In a program of its own, `import cortexzoo` first, which registers the model's classes with Keras.
    loaded = keras.models.load_model(path)
    for saved, read in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, read)
    print(f"Saved {path}")
    return loaded


def next_version(base_path: Path) -> int:
    """Returns one more than the highest version in a TF Serving base path; 1 where there is none."""
    return max((int(path.name) for path in base_path.glob("*") if path.name.isdigit()), default=0) + 1


def serving_command(base_path: Path) -> str:
    """Returns the command that serves the newest version; docs/serving.md has the rest."""
    name = "--model_name=fashion_mnist"
    return shlex.join(["tensorflow_model_server", "--rest_api_port=8501", name, f"--model_base_path={base_path.resolve()}"])


def evaluate(version: Path) -> None:
    """Attacks the exported model, or prints the command that does."""
    words = ["evaluate", f"--model={version}", f"--data={DATASET}", "--suite=quick", "--samples=100"]
    if _EVALUATE.value:
        subprocess.run([sys.executable, "-m", "cortexzoo", *words], check=True)
    else:
        print(f"To attack it:\n  {shlex.join(['cortexzoo', *words])}")


if __name__ == "__main__":
    app.run(main)
