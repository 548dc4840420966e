"""The gradient of a function of a batch, on whichever backend Keras runs; Keras has no operation for it."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def batch_gradient(function: Callable[[Any], Any], values: Any) -> Any:
    """Returns the gradient of each sample's value with respect to that sample.

    Args:
        function: from a batch, (n, ...), to one value per sample, (n,). No sample may depend on another one.
        values: float tensor, (n, ...).

    Returns:
        A tensor of the shape and dtype of `values`.

    Raises:
        NotImplementedError: Keras runs on neither TensorFlow nor JAX.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        # Imported late: models train where TensorFlow is not installed.
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            total = ops.sum(function(values))
        return tape.gradient(total, values)
    if backend == "jax":
        import jax

        return jax.grad(lambda inner: ops.sum(function(inner)))(values)
    raise NotImplementedError(f"Expected Keras to run on TensorFlow or JAX. Received: KERAS_BACKEND={backend}")
