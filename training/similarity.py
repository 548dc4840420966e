"""Training with a similarity regulariser: pairs of images beside each class batch."""

from typing import Any

import keras
import numpy as np
from keras import ops

from cortexzoo.layers import RepresentationalSimilarityRegularizer
from cortexzoo.models import ImageClassifier
from cortexzoo.training.batches import EpochBatches
from cortexzoo.training.targets import SimilarityTarget

STATISTICS = ("class", "all")


class PairedBatches(EpochBatches):
    """Class batches with `pairs` pairs of regularisation images beside each.

    In every step the target draws pairs, uniformly over those that it includes, from (seed, epoch, step) alone, so that a
    resumed run sees the same ones. Pairs are not augmented: the target knows the images as they are.

    Args: those of `EpochBatches`, and
        similarity: a target of `cortexzoo.training.targets`.
        pairs: int. Pairs in a step, the paper's k. Defaults to 16.

    A batch is `(inputs, labels)`, where `inputs` has, all float32, "images" (batch, height, width, channels); "pairs"
    (2 pairs, height, width, channels), the first images of all pairs before the second ones; and "similarity" (pairs,).

    Raises:
        ValueError: the images of `similarity` differ in shape from the class images, or `pairs` is less than 1.
    """

    def __init__(self, *args: Any, similarity: SimilarityTarget, pairs: int = 16, **options: Any) -> None:
        super().__init__(*args, **options)
        if pairs < 1:
            raise ValueError(f"Expected at least 1 pair a step. Received: pairs={pairs}")
        if similarity.images.shape[1:] != self.images.shape[1:]:
            raise ValueError(
                f"Expected regularisation images of shape {self.images.shape[1:]}, that of the class images. "
                f"Received: {similarity.images.shape[1:]}"
            )
        self.similarity, self.pairs = similarity, pairs

    def draw_pairs(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the indices of the first and of the second images in step `index` of this epoch."""
        # The 1 separates the pairs from the class batches: for NumPy (seed, epoch, 0) is the same as their (seed, epoch).
        return self.similarity.pairs(self.pairs, np.random.default_rng((self.seed, self.epoch, index, 1)))

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], Any]:
        images, labels = super().__getitem__(index)
        first, second = self.draw_pairs(index)
        pairs = self.similarity.images[np.concatenate([first, second])]
        return {"images": images, "pairs": pairs, "similarity": self.similarity.similarity(first, second)}, labels


class SimilarityTraining(keras.Model):
    """Fits a classifier with  cross-entropy + RepresentationalSimilarityRegularizer  on the batches of `PairedBatches`.

    On images alone, as in validation, it returns the logits of the classifier.

    Args:
        classifier: a model like `ResidualNetwork`: `activations(images, training, trailing)` returns taps and logits, and
            `taps` has the names of the taps.
        regularizer: takes the taps of both images of the pairs.
        pairs: int. Pairs beside each class batch.
        statistics: which images feed the batch normalisation. "class": all images go through the network as one batch; the
            pairs are normalised like the class images and change no statistics. "all": class images, first images and
            second images go through it one after another, each group is normalised by itself, and all feed the moving
            averages, as in the paper's code. Defaults to "class".
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        regularizer: RepresentationalSimilarityRegularizer,
        pairs: int,
        statistics: str = "class",
    ) -> None:
        super().__init__(autocast=False)
        if statistics not in STATISTICS:
            raise ValueError(f"`statistics` must be one of {', '.join(STATISTICS)}. Received: statistics={statistics!r}")
        self.classifier, self.regularizer, self.pairs, self.statistics = classifier, regularizer, pairs, statistics

    def build(self, input_shape: Any = None) -> None:
        """Creates all weights."""
        if not self.built:
            self.classifier.build()
            taps, _ = self.classifier.activations(ops.zeros((1, *self.classifier.image_shape)))
            shapes = [tuple(tap.shape) for tap in taps]
            self.regularizer.build(shapes, shapes, (1,))
            self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the logits of the class images, and adds the loss of the pairs where there are pairs."""
        if not isinstance(inputs, dict):
            return self.classifier(inputs, training=training)
        pass_through = self._in_one_batch if self.statistics == "class" else self._one_after_another
        logits, first, second = pass_through(inputs["images"], inputs["pairs"], training)
        self.regularizer(first, second, inputs["similarity"], training=training)
        return logits

    def _in_one_batch(self, images: Any, pairs: Any, training: bool) -> tuple[Any, list[Any], list[Any]]:
        """Returns the logits of the class images, and the taps of the pairs' first and second images."""
        trailing = 2 * self.pairs
        taps, logits = self.classifier.activations(ops.concatenate([images, pairs]), training, trailing)
        return logits[:-trailing], [tap[-trailing : -self.pairs] for tap in taps], [tap[-self.pairs :] for tap in taps]

    def _one_after_another(self, images: Any, pairs: Any, training: bool) -> tuple[Any, list[Any], list[Any]]:
        _, logits = self.classifier.activations(images, training)
        first, second = (
            self.classifier.activations(part, training)[0] for part in (pairs[: self.pairs], pairs[self.pairs :])
        )
        return logits, first, second

    def layer_weights(self) -> dict[str, float]:
        """Returns softmax(g) by tap."""
        weights = ops.convert_to_numpy(self.regularizer.layer_weights)
        return dict(zip(self.classifier.taps, map(float, weights), strict=True))


class LayerWeightLog(keras.callbacks.Callback):
    """Logs the weights of the layers in S_cnn after each epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs.update({f"weight_{tap}": weight for tap, weight in self.model.layer_weights().items()})
