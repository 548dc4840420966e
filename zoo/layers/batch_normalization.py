"""Batch normalisation for batches in which some images only ride along."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="brainzoo")
class PartialBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation whose statistics come from the first images of a batch alone.

    The last `trailing` images, such as the pairs of a similarity regulariser, are normalised with the mean and variance of
    the images before them, and feed neither these nor the moving averages. So the network that they pass through is the one
    that is trained and deployed, whatever data set they come from, and one pass serves all images. With `trailing` 0 the
    layer is Keras' own.

    Args: those of `keras.layers.BatchNormalization` for channels last, without synchronisation and renormalisation.

    Input and output shape: (batch, ..., channels); float dtype. Statistics are float32 or finer.
    """

    def call(self, inputs: Any, training: bool = False, trailing: int = 0) -> Any:
        """Normalises a batch.

        Args:
            inputs: (batch, ..., channels).
            training: bool. Normalise by the statistics of the batch and update the moving averages.
            trailing: int. How many of the last images do not feed the statistics.
        """
        if training and self.trainable:
            feeding = inputs[:-trailing] if trailing else inputs
            feeding = ops.cast(feeding, keras.backend.result_type(inputs.dtype, "float32"))
            mean, variance = ops.moments(feeding, axes=self._reduction_axes)
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + ops.cast(value, moving.dtype) * (1.0 - self.momentum))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = ops.rsqrt(variance + self.epsilon)
        scale = scale * self.gamma if self.scale else scale
        offset = (self.beta if self.center else 0.0) - mean * scale
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(offset, inputs.dtype)
