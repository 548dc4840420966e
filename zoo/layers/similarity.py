"""Regularisation by representational similarity: a network learns how similar pairs of images should be to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

# Cosines that were computed in float32 may be this far above 1.
_ROUNDING = 1e-5


@keras.saving.register_keras_serializable(package="cortexzoo")
class RepresentationalSimilarityRegularizer(keras.layers.Layer):
    """Adds the loss  strength * mean_pairs (A(S_cnn) - A(S_target))^2  and returns S_cnn.

    S_cnn(i, j) = sum_l softmax(g)_l cos(f_l(i) - mu_l, f_l(j) - mu_l) over the given feature maps f_l of images i and j,
    with trainable g that starts at 0, and A(x) = log(1 + x + epsilon) - log(1 - x + epsilon), which is 2 artanh(x) apart
    from epsilon. mu_l is the moving mean of each channel, over both images of all pairs and over space; no gradient passes
    through it. Source: Attias, Pehlevan, Obeid, "A Brain-Inspired Regularizer for Adversarial Robustness",
    https://arxiv.org/abs/2410.03952, after Li et al., "Learning from brains how to regularize machines",
    https://arxiv.org/abs/1911.05072.

    The layer takes feature maps, not a network, so that it regularises any backbone in plain `fit`:

    >>> taps = keras.Model(image, {"early": early, "late": late})       # layers of the backbone, by any names
    >>> similarity = RepresentationalSimilarityRegularizer(strength=10.0)(taps(first), taps(second), target)
    >>> model = keras.Model([image, first, second, target], [logits, similarity])

    `examples/similarity_regularizer.py` is a complete program. Everything is computed in float32, whatever dtype the network
    has.

    Args:
        strength: float. The paper's alpha. Defaults to 10.
        momentum: float in [0, 1]. Momentum of the moving mean. The mean starts at 0, and each batch updates it before it
            is used: 0 centres each batch on its own mean, 1 never centres. Defaults to 0.9.
        epsilon: float. Keeps A finite at similarities of -1 and 1. Defaults to 1e-5.
        transform: bool. Compare A(S). False compares the similarities themselves, an option of the paper's code. Defaults to
            True.

    Call arguments:
        first: L feature maps of the images i, each (k, ..., channels), float: a list, or a dict with the taps' names.
        second: those of the images j, of the same shapes and names.
        similarity: float, (k,), in [-1, 1]. The target similarity of each pair: one number a pair, not a matrix of all
            images, and a similarity, not a distance.
        training: bool. Update the moving means. The loss is added in any case.

    Returns: S_cnn, float32, (k,), in [-1, 1].

    Raises:
        ValueError: `similarity` has another shape, or a value outside [-1, 1] or NaN. In a traced call, such as `fit`, a
            value out of range raises `tf.errors.InvalidArgumentError` on TensorFlow. Compiled code (JAX or XLA) cannot
            raise: there the loss is NaN.
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
        """Creates g and a moving mean for each tap, from shapes in lists or dicts like the feature maps.

        Raises:
            ValueError: the taps of first and second images have other names or shapes, or the target has.
        """
        _check_shape(similarity_shape, _in_order(first_shape)[0])
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
        """Adds the penalty on the pairs to the losses and returns their S_cnn; inputs and shapes are those of the class."""
        _check_shape(similarity.shape, _in_order(first)[0].shape)
        wanted = ops.cast(similarity, "float32")
        within = _all_within_range(wanted)
        cosines = []
        for mean, one, other in zip(self.means, _in_order(first), _in_order(second), strict=True):
            one, other = ops.cast(one, "float32"), ops.cast(other, "float32")
            centre = self._update(mean, one, other) if training else mean
            cosines.append(_cosine(one - centre, other - centre))
        received = ops.clip(ops.matmul(ops.stack(cosines, axis=-1), self.layer_weights), -1.0, 1.0)
        wanted = ops.clip(wanted, -1.0, 1.0)
        difference = self.spread(received) - self.spread(wanted) if self.transform else received - wanted
        loss = ops.where(within, self.strength * ops.mean(ops.square(difference)), float("nan"))
        # Keras adds it to losses of this dtype.
        self.add_loss(ops.cast(loss, keras.backend.floatx()))
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


def _check_shape(similarity_shape: tuple, features_shape: tuple) -> None:
    received, pairs = tuple(similarity_shape), features_shape[0]
    if len(received) != 1 or (None not in (pairs, received[0]) and pairs != received[0]):
        raise ValueError(
            f"`similarity` needs one value for each pair of images, shape ({'k' if pairs is None else pairs},). "
            f"Received: shape {received}. For (k, 1) pass keras.ops.squeeze(similarity, -1); of a matrix of all images pass "
            "the entries of the pairs."
        )


def _all_within_range(similarity: Any) -> Any:
    """Whether all values are in [-1, 1], as a boolean tensor; raises where the backend lets it."""
    within = ops.all(ops.abs(similarity) <= 1.0 + _ROUNDING)
    message = (
        "`similarity` needs values in [-1, 1], such as cosines or correlations. Received: values outside or NaN. "
        "Pass 1 - d for distances d between 0 and 2."
    )
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            tf.debugging.Assert(within, [message, similarity])
            return within
    elif backend == "jax":
        import jax

        if isinstance(within, jax.core.Tracer):
            return within
    if not bool(within):
        raise ValueError(message)
    return within


def _names(taps: Any) -> tuple[str, ...]:
    """The names of the taps in order; for a list, their positions."""
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
