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
    return batch_value_and_gradient(function, values)[1]


def batch_value_and_gradient(function: Callable[[Any], Any], values: Any) -> tuple[Any, Any]:
    """Returns what `function` gives, and `batch_gradient` of it, by one evaluation."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        # Imported late: models train where TensorFlow is not installed.
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            results = function(values)
            total = ops.sum(results)
        return results, tape.gradient(total, values)
    if backend == "jax":
        import jax

        def summed(inner: Any) -> tuple[Any, Any]:
            results = function(inner)
            return ops.sum(results), results

        (_, results), gradient = jax.value_and_grad(summed, has_aux=True)(values)
        return results, gradient
    raise NotImplementedError(f"Expected Keras to run on TensorFlow or JAX. Received: KERAS_BACKEND={backend}")
