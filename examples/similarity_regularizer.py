"""Regularise your own network by pixel similarity, in plain Keras `fit`.

  python examples/similarity_regularizer.py
  python examples/similarity_regularizer.py --epochs=5 --strength=4 --output=runs/similarity/1

What it shows, step by step:

1. A backbone is any Keras model whose outputs are the logits and, by name, the feature maps to regularise.
2. The backbone is called on the class images and on both images of each pair. `RepresentationalSimilarityRegularizer` takes
   the feature maps of the pairs and adds its loss, which `fit` adds to the cross-entropy.
3. The batches bring the pairs. Here their images are drawn from the whole training set, and there can be any number of them.
4. The backbone alone is served. The weights of the layers in the similarity are printed and left behind.

Batch normalisation in the backbone would take statistics from each of the three calls. In `backbone(first, training=False)`
it normalises the pairs by its moving averages, and they do not change these. `cortexzoo.training.similarity` passes all
images through at once, normalises them by the class images, and lets only these change the averages. It takes networks like
`cortexzoo.models.ResidualNetwork`, with `cortexzoo.layers.PartialBatchNormalization`.
"""

from typing import Any

import keras
import numpy as np
from absl import app, flags, logging
from keras import layers

import cortexzoo as cz
from cortexzoo import datasets
from cortexzoo.layers import RepresentationalSimilarityRegularizer

_STRENGTH = flags.DEFINE_float("strength", 4.0, "Weight of the regulariser; 0 for none.")
_PAIRS = flags.DEFINE_integer("pairs", 16, "Pairs in each step.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the training images.", lower_bound=1)
_TRAIN_IMAGES = flags.DEFINE_integer("train_images", None, "Use the first N of the 55,000 training images.", lower_bound=100)
_OUTPUT = flags.DEFINE_string("output", None, "Export the network as a SavedModel, such as runs/similarity/1.")


def main(arguments: list[str]) -> None:
    """Runs the steps in the order of the docstring above."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only. Received: {' '.join(arguments[1:])}")
    # TensorFlow Datasets logs every file that it opens.
    logging.set_verbosity(logging.WARNING)
    keras.utils.set_random_seed(0)
    train, validation = datasets.load("mnist", "train"), datasets.load("mnist", "validation")
    train = train.first(_TRAIN_IMAGES.value or len(train))

    backbone = build_backbone()
    regularizer = RepresentationalSimilarityRegularizer(_STRENGTH.value)
    model = regularised(backbone, regularizer)
    # `similarity` is an output to look at; the regulariser has added its loss already.
    loss = {"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "similarity": None}
    model.compile("adam", loss, jit_compile=False)
    model.fit(ImagesAndPairs(train, pairs=_PAIRS.value), epochs=_EPOCHS.value, verbose=2)

    classifier = keras.Model(backbone.input, backbone.output["logits"])
    logits = classifier.predict(validation.images, batch_size=500, verbose=0)
    print(f"Validation accuracy: {np.mean(logits.argmax(axis=1) == validation.labels):.3f}")
    weights = zip(regularizer.taps, keras.ops.convert_to_numpy(regularizer.layer_weights), strict=True)
    print(f"Weights of the layers in the similarity: {', '.join(f'{name} {weight:.3f}' for name, weight in weights)}")
    if _OUTPUT.value:
        print(f"Exported {cz.export_model(classifier, _OUTPUT.value)}")


def build_backbone() -> keras.Model:
    """Returns a small network whose outputs are its logits and two feature maps, by name."""
    image = keras.Input((28, 28, 1))
    early = layers.Conv2D(16, 5, 2, activation="elu")(image)
    late = layers.Conv2D(32, 3, 2, activation="elu")(early)
    logits = layers.Dense(10)(layers.Flatten()(late))
    return keras.Model(image, {"logits": logits, "early": early, "late": late})


def regularised(backbone: keras.Model, regularizer: RepresentationalSimilarityRegularizer) -> keras.Model:
    """Returns the model for training: the backbone on three batches of images, and the regulariser on the pairs."""
    image, first, second = (keras.Input((28, 28, 1), name=name) for name in ("image", "first", "second"))
    target = keras.Input((), name="target")
    taps = [{name: one for name, one in backbone(images).items() if name != "logits"} for images in (first, second)]
    similarity = regularizer(*taps, target)
    inputs = {"image": image, "first": first, "second": second, "target": target}
    return keras.Model(inputs, {"logits": backbone(image)["logits"], "similarity": similarity})


class ImagesAndPairs(keras.utils.PyDataset):
    """Class batches, each with random pairs of training images and the cosines of their centred pixels."""

    def __init__(self, train: datasets.Split, pairs: int, batch_size: int = 64) -> None:
        super().__init__()
        self.train, self.pairs, self.batch_size = train, pairs, batch_size
        centred = (train.images - train.images.mean(axis=0)).reshape(len(train), -1)
        self.unit_pixels = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        self.generator = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.train) // self.batch_size

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        chosen = slice(index * self.batch_size, (index + 1) * self.batch_size)
        first, second = self.generator.integers(0, len(self.train), (2, self.pairs))
        images = {"image": self.train.images[chosen], "first": self.train.images[first], "second": self.train.images[second]}
        target = np.sum(self.unit_pixels[first] * self.unit_pixels[second], axis=1)
        return {**images, "target": target}, {"logits": self.train.labels[chosen]}


if __name__ == "__main__":
    app.run(main)
