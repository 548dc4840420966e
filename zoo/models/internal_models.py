"""Denoised internal models (DIM), their binarised form (biDIM) and the ablations of Liu et al. (2021)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from cortexzoo.layers import Binarize, RandomGaussianNoise, StackedDense
from cortexzoo.models.base import ImageClassifier


@keras.saving.register_keras_serializable(package="cortexzoo")
class DenoisedInternalModels(ImageClassifier):
    """A denoising autoencoder D, then one small autoencoder F_i for each class; the largest reconstruction wins.

    Source: Liu et al., "A brain-inspired autoencoder against adversarial attacks". The prediction is
    argmax_i ||F_i(D(x))||_1 / ||D(x)||_1. The logits are these ratios times `logit_scale`, which changes no decision and
    only makes their softmax meaningful.

    | denoiser | shared_encoder | the paper's name |
    |----------|----------------|------------------|
    | True     | False          | DIM (biDIM with binarize=True) |
    | False    | False          | IM |
    | False    | True           | singleIM (one encoder, ten decoders) |
    | True     | True           | Dn-singleIM |

    Args:
        denoiser_widths: widths of the denoiser's encoder, mirrored by its decoder; None for no denoiser.
            Defaults to (512, 256, 64).
        internal_widths: widths of each internal model's encoder, the last one the latent's. Defaults to (128, 32, 10).
        shared_encoder: bool. One encoder for all classes. Defaults to False.
        binarize: bool. Threshold the input and the denoiser's output at 0.5. Defaults to False.
        denoiser_noise: float. Training noise on the input: standard deviation ~ U(0, denoiser_noise). Defaults to 0.5.
        internal_noise: float. Training noise on the denoised image: its standard deviation. Defaults to 0.3.
        logit_scale: float. Factor from ratios to logits. Defaults to 10.
        image_shape: (height, width, channels). Defaults to (28, 28, 1).
        num_classes: int. Defaults to 10.

    Input: float images in [0, 1], (batch, height, width, channels). Output: float logits, (batch, num_classes).
    """

    def __init__(
        self,
        denoiser_widths: Sequence[int] | None = (512, 256, 64),
        internal_widths: Sequence[int] = (128, 32, 10),
        shared_encoder: bool = False,
        binarize: bool = False,
        denoiser_noise: float = 0.5,
        internal_noise: float = 0.3,
        logit_scale: float = 10.0,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, **kwargs)
        self.denoiser_widths = tuple(denoiser_widths) if denoiser_widths else None
        self.internal_widths = tuple(internal_widths)
        self.shared_encoder = shared_encoder
        self.denoiser_noise = denoiser_noise
        self.internal_noise = internal_noise
        self.logit_scale = logit_scale
        self.binarize = Binarize(dtype=self.dtype_policy) if binarize else None

        pixels = image_shape[0] * image_shape[1] * image_shape[2]
        dtype = self.dtype_policy
        self.flatten = keras.layers.Flatten(data_format="channels_last", dtype=dtype)
        self.input_noise = RandomGaussianNoise(0.0, denoiser_noise, clip=True, name="input_noise", dtype=dtype)
        self.denoised_noise = RandomGaussianNoise(internal_noise, internal_noise, name="denoised_noise", dtype=dtype)
        self.denoiser = _dense_autoencoder(self.denoiser_widths, pixels, dtype) if denoiser_widths else None
        self.encoder = _encoder_layers(self.internal_widths, None if shared_encoder else num_classes, dtype)
        self.decoder = _decoder_layers(self.internal_widths, pixels, num_classes, dtype)

    def denoise(self, images: Any, training: bool = False) -> Any:
        """Returns D(x), (batch, pixels), in [0, 1]; without a denoiser the flattened (noisy) image itself."""
        values = self.flatten(images)
        if self.denoiser is None:
            return values
        return self.denoiser(self.input_noise(values, training=training), training=training)

    def reconstruct(self, denoised: Any, training: bool = False) -> Any:
        """Returns F_i(y) of every class i, (num_classes, batch, pixels), in [0, 1], for y of shape (batch, pixels)."""
        return _apply(self.decoder, _apply(self.encoder, self.denoised_noise(denoised, training=training)))

    def ratios(self, denoised: Any, reconstructions: Any) -> Any:
        """Returns ||F_i(y)||_1 / ||y||_1, (batch, num_classes), in float32 or finer."""
        # The ratios of classes differ by less than half precision resolves.
        dtype = keras.backend.result_type(denoised.dtype, "float32")
        # Every value is in [0, 1], so that the sum is the L1 norm; the floor only guards against all-black input.
        energy = ops.maximum(ops.sum(ops.cast(denoised, dtype), axis=-1), 1e-3)
        return ops.transpose(ops.sum(ops.cast(reconstructions, dtype), axis=-1) / energy)

    @property
    def class_layers(self) -> list[keras.layers.Layer]:
        """The internal models of the classes; a denoiser and a shared encoder know of no class."""
        return self.decoder if self.shared_encoder else [*self.encoder, *self.decoder]

    def call(self, images: Any, training: bool = False) -> Any:
        return self._classify(images, training=training)[0]

    def features(self, images: Any) -> dict[str, Any]:
        """Returns `logits`, `denoised` (batch, pixels), `latents` and `reconstructions` (batch, num_classes, size).

        The `latents` of a shared encoder are (batch, size).
        """
        logits, denoised, reconstructions = self._classify(images)
        latents = _apply(self.encoder, denoised)
        if not self.shared_encoder:
            latents = ops.transpose(latents, (1, 0, 2))
        return {
            "logits": logits,
            "denoised": denoised,
            "latents": latents,
            "reconstructions": ops.transpose(reconstructions, (1, 0, 2)),
        }

    def endpoints(self) -> dict[str, Any]:
        functions = super().endpoints()
        if self.binarize:
            functions["attack_logits"] = lambda images: self._classify(images, threshold=self.binarize.soft)[0]
        return functions

    def _classify(self, images: Any, training: bool = False, threshold: Any = None) -> tuple[Any, Any, Any]:
        """Returns logits, D(x) and the reconstructions; `threshold` replaces the hard binarisation in attacks."""
        threshold = threshold or self.binarize or (lambda values: values)
        denoised = self.denoise(threshold(images), training)
        if self.denoiser is not None:
            denoised = threshold(denoised)
        reconstructions = self.reconstruct(denoised, training)
        return self.logit_scale * self.ratios(denoised, reconstructions), denoised, reconstructions

    def hyperparameters(self) -> dict[str, Any]:
        return {
            "denoiser_widths": list(self.denoiser_widths) if self.denoiser_widths else None,
            "internal_widths": list(self.internal_widths),
            "shared_encoder": self.shared_encoder,
            "binarize": self.binarize is not None,
            "denoiser_noise": self.denoiser_noise,
            "internal_noise": self.internal_noise,
            "logit_scale": self.logit_scale,
        }


def _apply(layers: Sequence[keras.layers.Layer], values: Any) -> Any:
    for layer in layers:
        values = layer(values)
    return values


def _dense_autoencoder(widths: Sequence[int], pixels: int, dtype: Any) -> keras.Sequential:
    hidden = [*widths, *reversed(widths[:-1])]
    layers = [keras.layers.Dense(width, "relu", name=f"dense_{i}", dtype=dtype) for i, width in enumerate(hidden)]
    return keras.Sequential([*layers, keras.layers.Dense(pixels, "sigmoid", name="output", dtype=dtype)], name="denoiser")


def _encoder_layers(widths: Sequence[int], models: int | None, dtype: Any) -> list[keras.layers.Layer]:
    """Dense layers for a shared encoder (`models` None), stacked ones otherwise; ReLU but for the linear latent."""
    layers = []
    for i, width in enumerate(widths):
        activation = "relu" if i < len(widths) - 1 else None
        options = {"activation": activation, "name": f"encoder_{i}", "dtype": dtype}
        layers.append(StackedDense(width, models, **options) if models else keras.layers.Dense(width, **options))
    return layers


def _decoder_layers(widths: Sequence[int], pixels: int, models: int, dtype: Any) -> list[keras.layers.Layer]:
    hidden = [
        StackedDense(width, models, activation="relu", name=f"decoder_{i}", dtype=dtype)
        for i, width in enumerate(reversed(widths[:-1]))
    ]
    return [*hidden, StackedDense(pixels, models, activation="sigmoid", name="decoder_output", dtype=dtype)]
