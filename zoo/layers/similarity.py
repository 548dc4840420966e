"""Regularisation by representational similarity: pairs of images shall be as similar to a network as a target says."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class RepresentationalSimilarityRegularizer(keras.layers.Layer):
    """Adds the loss  strength * mean_pairs (A(S_cnn) - A(S_target))^2  and returns S_cnn.

    S_cnn(i, j) = sum_l softmax(g)_l cos(f_l(i) - mu_l, f_l(j) - mu_l) over the given feature maps f_l of images i and j,
    with trainable g that starts at 0, and A(x) = log(1 + x + epsilon) - log(1 - x + epsilon), which is 2 artanh(x) but for
    epsilon. mu_l is the moving mean of the features of each channel over both images of all pairs and over space; no
    gradient passes through it. Source: Attias, Pehlevan, Obeid, "A Brain-Inspired Regularizer for Adversarial Robustness",
    https://arxiv.org/abs/2410.03952, after Li et al., "Learning from brains how to regularize machines",
    https://arxiv.org/abs/1911.05072.

    The layer takes feature maps, not a network, so that it regularises any backbone in plain `fit`:

    >>> taps = keras.Model(image, {"early": early, "late": late})       # layers of the backbone, by any names
    >>> similarity = RepresentationalSimilarityRegularizer(strength=10.0)(taps(first), taps(second), target)
    >>> model = keras.Model([image, first, second, target], [logits, similarity])

    `examples/similarity_regularizer.py` is a whole program. All is computed in float32, whatever the network's.

    Args:
        strength: float. The paper's alpha. Defaults to 10.
        momentum: float in [0, 1]. Of the moving mean, which starts at 0 and takes in a batch before it is used; 0 centres by
            the batch's own mean, 1 never. Defaults to 0.9.
        epsilon: float. Keeps A finite at similarities of -1 and 1. Defaults to 1e-5.
        transform: bool. Compare A(S); else the similarities themselves, an option of the paper's code. Defaults to True.

    Call arguments:
        first: L feature maps of the images i, each (k, ..., channels), float: a list, or a dict with the taps' names.
        second: those of the images j, of the same shapes and names.
        similarity: float, (k,), in [-1, 1]. The target similarity of each pair.
        training: bool. Update the moving means. The loss is added in any case.

    Returns: S_cnn, float32, (k,), in [-1, 1].
    """

    def __init__(
        self,
        strength: float = 10.0,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        transform: bool = True,
        **kwargs: Any,
    ) -> None:
        # Half precision would round similarities near 1, where A is steep: inputs are cast to float32 here.
        super().__init__(**{"autocast": False, **kwargs})
        if strength < 0.0 or not 0.0 <= momentum <= 1.0 or epsilon <= 0.0:
            raise ValueError(
                "Expected `strength` >= 0, `momentum` in [0, 1] and `epsilon` > 0. "
                f"Received: strength={strength}, momentum={momentum}, epsilon={epsilon}"
            )
        self.strength, self.momentum, self.epsilon, self.transform = strength, momentum, epsilon, transform

    def build(self, first_shape: Any, second_shape: Any, similarity_shape: tuple) -> None:
        """Creates g and a moving mean a tap, of these shapes: lists or dicts like the feature maps.

        Raises:
            ValueError: the taps of first and second images have other names or shapes.
        """
        self.taps = _names(first_shape)
        same_names = self.taps == _names(second_shape)
        first_shape, second_shape = _in_order(first_shape), _in_order(second_shape)
        if not same_names or [tuple(s)[1:] for s in first_shape] != [tuple(s)[1:] for s in second_shape]:
            raise ValueError(
                "`first` and `second` need feature maps of the same shapes, layer by layer. "
                f"Received: first={first_shape}, second={second_shape}"
            )
        self.layer_logits = self.add_weight((len(first_shape),), "zeros", dtype="float32", name="layer_logits")
        self.means = [
            self.add_weight((shape[-1],), "zeros", dtype="float32", trainable=False, name=f"mean_{i}")
            for i, shape in enumerate(first_shape)
        ]

    @property
    def layer_weights(self) -> Any:
        """softmax(g), float32, (L,): what each layer contributes to S_cnn; `taps` has the names in this order."""
        # Keras warns of a softmax over a single layer.
        return ops.exp(self.layer_logits - ops.logsumexp(self.layer_logits))

    def call(self, first: Any, second: Any, similarity: Any, training: bool = False) -> Any:
        cosines = []
        for mean, one, other in zip(self.means, _in_order(first), _in_order(second), strict=True):
            one, other = ops.cast(one, "float32"), ops.cast(other, "float32")
            centre = self._update(mean, one, other) if training else mean
            cosines.append(_cosine(one - centre, other - centre))
        received = ops.clip(ops.matmul(ops.stack(cosines, axis=-1), self.layer_weights), -1.0, 1.0)
        wanted = ops.cast(similarity, "float32")
        difference = self.spread(received) - self.spread(wanted) if self.transform else received - wanted
        self.add_loss(self.strength * ops.mean(ops.square(difference)))
        return received

    def spread(self, similarity: Any) -> Any:
        """Returns A(x) = log(1 + x + epsilon) - log(1 - x + epsilon)."""
        return ops.log1p(similarity + self.epsilon) - ops.log1p(self.epsilon - similarity)

    def _update(self, mean: Any, one: Any, other: Any) -> Any:
        """Takes both batches into the moving mean and returns it, as a constant."""
        axes = tuple(range(len(one.shape) - 1))
        batch_mean = ops.stop_gradient(0.5 * (ops.mean(one, axes) + ops.mean(other, axes)))
        updated = self.momentum * mean + (1.0 - self.momentum) * batch_mean
        mean.assign(updated)
        return ops.stop_gradient(updated)

    def compute_output_shape(self, first_shape: Any, second_shape: Any, similarity_shape: tuple) -> tuple:
        return (_in_order(first_shape)[0][0],)

    def get_config(self) -> dict[str, Any]:
        names = ("strength", "momentum", "epsilon", "transform")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _names(taps: Any) -> tuple[str, ...]:
    """The names of the taps, in their order; of a list their places."""
    return tuple(sorted(taps)) if isinstance(taps, Mapping) else tuple(str(i) for i in range(len(taps)))


def _in_order(taps: Any) -> Sequence[Any]:
    # Keras sorts dicts by name.
    return [taps[name] for name in sorted(taps)] if isinstance(taps, Mapping) else taps


def _cosine(one: Any, other: Any) -> Any:
    """Returns the cosine of each row; 0, with zero gradient, where a row is zero."""
    axes = tuple(range(1, len(one.shape)))
    product = ops.sum(one * other, axes)
    for values in (one, other):
        square = ops.sum(ops.square(values), axes)
        product = ops.where(square > 1e-12, product * ops.rsqrt(ops.maximum(square, 1e-12)), 0.0)
    return product
