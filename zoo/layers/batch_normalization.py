"""Batch normalisation that leaves some images of a batch out of its statistics."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="cortexzoo")
class PartialBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation with the statistics of the first images of a batch only.

    The last `trailing` images, such as the pairs of a similarity regulariser, are normalised with the mean and variance of
    the images before them. They change neither these statistics nor the moving averages. So they pass through the network
    that is trained and deployed, whatever data set they come from, and one forward pass is enough for all images.

    In float32 and with `trailing` 0 the layer does what Keras' layer does. In half precision it rounds scale and offset
    before it applies them, which is faster and less exact than Keras, which applies them in float32.

    Args: those of `keras.layers.BatchNormalization` for channels last, without synchronisation and renormalisation.

    Input and output shape: (batch, ..., channels); float dtype. Statistics are float32 or finer.
    """

    def call(self, inputs: Any, training: bool = False, trailing: int = 0) -> Any:
        """Normalises a batch.

        Args:
            inputs: (batch, ..., channels).
            training: bool. Normalise with the statistics of the batch, and update the moving averages.
            trailing: int. Number of images at the end that are left out of the statistics.
        """
        if training and self.trainable:
            mean, variance = self._moments(inputs, trailing)
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + ops.cast(value, moving.dtype) * (1.0 - self.momentum))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = ops.rsqrt(variance + self.epsilon)
        scale = scale * self.gamma if self.scale else scale
        offset = (self.beta if self.center else 0.0) - mean * scale
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(offset, inputs.dtype)

    def _moments(self, inputs: Any, trailing: int) -> tuple[Any, Any]:
        inputs = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        if not trailing:
            return ops.moments(inputs, axes=self._reduction_axes)
        # The moments of each image come first, and a slice of them costs nothing. The gradient of a slice of `inputs` is as
        # large as `inputs`, and costs a quarter of a training step.
        means, variances = (values[:-trailing] for values in ops.moments(inputs, axes=self._reduction_axes[1:]))
        mean = ops.mean(means, axis=0)
        return mean, ops.mean(variances + ops.square(means - mean), axis=0)
