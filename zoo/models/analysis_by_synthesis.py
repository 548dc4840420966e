"""Analysis by synthesis (ABS) and its binarised form (biABS) of Schott et al. (ICLR 2019)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from cortexzoo.layers import (
    Binarize,
    GaussianSampling,
    StackedBatchNormalization,
    StackedConv2D,
    StackedConv2DTranspose,
    StackedDense,
)
from cortexzoo.models.base import ImageClassifier
from cortexzoo.models.latent_search import descend, energies, likely_latents, nearest_latents, within_radius

# The confidence of the paper, (exp(440 l) + eta) / sum, never falls below that of this constant.
ETA = 3.9e-5


@keras.saving.register_keras_serializable(package="cortexzoo")
class AnalysisBySynthesis(ImageClassifier):
    """A variational autoencoder for each class; the class whose decoder comes nearest to the image wins.

    Source: Schott, Rauber, Bethge, Brendel, "Towards the first adversarially robust neural network model on MNIST",
    https://arxiv.org/abs/1805.09190. Inference searches for each class the latent z* of least energy
    E = ||x - G(z)||^2 + ||z||^2 / 2. The best candidate comes first, then Adam, and the best latent on the way counts. The
    logits are `logit_scale` times the log-likelihoods l = -E / pixels. The paper's confidences, which add a constant to
    exp(440 l), are `confidences`. The logits are without it: they would be bounded, and flat far from all classes.

    The gradient of the logits in the image is that at fixed z*: at a minimum the envelope theorem makes it the true one.

    The candidates are the mean of the class' encoder and draws from N(0, I) that all images share, the same for the same
    `latent_seed`. The paper's inference is `latents=8000, encoder_start=False, descent_steps=50`, see `with_inference`. The
    defaults answer much faster.

    In training (`training=True`) the logits come from one draw of each class' encoder, without a search, so that all
    weights have a gradient. `evidence_terms` is what the autoencoders are trained on.

    Args:
        latent_size: int. Defaults to 8.
        encoder_maps, encoder_kernels, encoder_strides: the unpadded convolutions of each encoder. One more, as large as the
            map that they leave, gives mean and log-variance. Defaults to (32, 32, 64), (5, 4, 3), (1, 2, 2).
        decoder_maps, decoder_kernels, decoder_strides: each decoder's transposed convolutions, and the maps that enter them.
            One more before them makes of the latent a map as large as they need. Defaults to (32, 16, 16), (5, 5, 4),
            (2, 2, 1), which need 4 x 4 for 28 x 28 images.
        latents: int. Shared draws from N(0, I); 0 for none. Defaults to 32.
        latent_seed: int. Seed of these draws. Defaults to 0.
        encoder_start: bool. Whether the encoder's mean is a candidate. Defaults to True.
        descent_steps: int. Steps of Adam. Defaults to 10.
        descent_rate: float. Its learning rate. Defaults to 0.05.
        logit_scale: float. Factor from log-likelihoods to logits. Defaults to 440, that of the paper's confidence.
        class_scales: factors on the energies of the classes; None for 1. Defaults to None.
        binarize: bool. Threshold the input at 0.5 (biABS). Defaults to False.
        image_shape: (height, width, channels). Defaults to (28, 28, 1).
        num_classes: int. Defaults to 10.

    Input: float images in [0, 1], (batch, height, width, channels). Output: float logits, (batch, num_classes), at least
    float32.

    Raises:
        ValueError: there is no candidate, lists differ in length, or no first map leads to images of this size.
    """

    def __init__(
        self,
        latent_size: int = 8,
        encoder_maps: Sequence[int] = (32, 32, 64),
        encoder_kernels: Sequence[int] = (5, 4, 3),
        encoder_strides: Sequence[int] = (1, 2, 2),
        decoder_maps: Sequence[int] = (32, 16, 16),
        decoder_kernels: Sequence[int] = (5, 5, 4),
        decoder_strides: Sequence[int] = (2, 2, 1),
        latents: int = 32,
        latent_seed: int = 0,
        encoder_start: bool = True,
        descent_steps: int = 10,
        descent_rate: float = 0.05,
        logit_scale: float = 440.0,
        class_scales: Sequence[float] | None = None,
        binarize: bool = False,
        image_shape: tuple[int, int, int] = (28, 28, 1),
        num_classes: int = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, num_classes, **kwargs)
        self.latent_size = latent_size
        self.encoder_maps, self.encoder_kernels = tuple(encoder_maps), tuple(encoder_kernels)
        self.encoder_strides, self.decoder_maps = tuple(encoder_strides), tuple(decoder_maps)
        self.decoder_kernels, self.decoder_strides = tuple(decoder_kernels), tuple(decoder_strides)
        self.latents, self.latent_seed, self.encoder_start = latents, latent_seed, encoder_start
        self.descent_steps, self.descent_rate = descent_steps, descent_rate
        self.logit_scale = logit_scale
        self.class_scales = None if class_scales is None else tuple(class_scales)
        self._check()
        dtype = self.dtype_policy
        self.binarize = Binarize(dtype=dtype) if binarize else None
        self.sampling = GaussianSampling(name="sampling", dtype=dtype)
        self.encoder = self._encoder_layers()
        self.decoder = self._decoder_layers()

    def _check(self) -> None:
        if self.latents < 1 and not self.encoder_start:
            raise ValueError(f"Expected `latents` >= 1 or `encoder_start`, to begin with. Received: latents={self.latents}.")
        for kind in ("encoder", "decoder"):
            lists = [getattr(self, f"{kind}_{name}") for name in ("maps", "kernels", "strides")]
            if len({len(values) for values in lists}) > 1:
                raise ValueError(f"Expected as many {kind} maps as kernels and strides. Received: {lists}.")
        if self.class_scales is not None and len(self.class_scales) != self.num_classes:
            raise ValueError(
                f"Expected `class_scales` of {self.num_classes} classes. Received: {len(self.class_scales)} values."
            )

    def _encoder_layers(self) -> list[keras.layers.Layer]:
        layers: list[keras.layers.Layer] = []
        for i, values in enumerate(zip(self.encoder_maps, self.encoder_kernels, self.encoder_strides, strict=True)):
            layers += self._block(StackedConv2D, f"encoder_{i}", *values)
        # A convolution with a kernel as large as its input is a dense layer.
        moments = StackedDense(2 * self.latent_size, self.num_classes, name="encoder_moments", dtype=self.dtype_policy)
        return [*layers, _StackedReshape(name="encoder_flatten", dtype=self.dtype_policy), moments]

    def _decoder_layers(self) -> list[keras.layers.Layer]:
        first, dtype = self.decoder_maps[0], self.dtype_policy
        height, width = (self._first_size(size) for size in self.image_shape[:2])
        layers: list[keras.layers.Layer] = [
            StackedDense(height * width * first, self.num_classes, name="decoder_dense", dtype=dtype),
            _StackedReshape((height, width, first), name="decoder_reshape", dtype=dtype),
            *self._activated("decoder_dense"),
        ]
        outputs = (*self.decoder_maps[1:], self.image_shape[2])
        last = len(outputs) - 1
        for i, values in enumerate(zip(outputs, self.decoder_kernels, self.decoder_strides, strict=True)):
            layers += self._block(StackedConv2DTranspose, f"decoder_{i}", *values, activated=i < last)
        return [
            *layers,
            keras.layers.Activation("sigmoid", name="decoder_output", dtype=dtype),
            _StackedReshape(name="decoder_flatten", dtype=dtype),
        ]

    def _block(
        self, layer_class: type, name: str, filters: int, kernel: int, strides: int, activated: bool = True
    ) -> list[keras.layers.Layer]:
        """A convolution, and where it is `activated` normalisation, which makes its bias useless, and ELU."""
        options = {"use_bias": not activated, "name": name, "dtype": self.dtype_policy}
        convolution = layer_class(filters, kernel, self.num_classes, strides, **options)
        return [convolution, *(self._activated(name) if activated else [])]

    def _activated(self, name: str) -> list[keras.layers.Layer]:
        options = {"momentum": 0.9, "epsilon": 1e-5, "name": f"{name}_normalization", "dtype": self.dtype_policy}
        activation = keras.layers.Activation("elu", name=f"{name}_activation", dtype=self.dtype_policy)
        return [StackedBatchNormalization(**options), activation]

    def _first_size(self, size: int) -> int:
        """Height or width of the decoder's first map, from which the transposed convolutions lead to `size`."""
        wanted = size
        for kernel, stride in zip(reversed(self.decoder_kernels), reversed(self.decoder_strides), strict=True):
            steps, rest = divmod(size - kernel, stride)
            if rest or steps < 0:
                raise ValueError(
                    f"Expected decoder kernels and strides that lead to images of size {wanted}. "
                    f"Received: kernels={self.decoder_kernels}, strides={self.decoder_strides}."
                )
            size = steps + 1
        return size

    def build(self, input_shape: tuple | None = None) -> None:
        """Creates the weights. Inference runs in a loop, in which no weight can be created."""
        if self.built:
            return
        images = ops.zeros((1, *self.image_shape))
        self.decode(self.encode(images)[0])
        if self.latents:
            draws = likely_latents(self.latents, self.latent_size, self.latent_seed)
            self.shared_latents = self.add_weight(
                draws.shape, lambda shape, dtype: ops.cast(draws, dtype), trainable=False, name="shared_latents"
            )
        self.built = True

    @property
    def class_layers(self) -> list[keras.layers.Layer]:
        """All layers with weights: each class has an autoencoder of its own."""
        return [layer for layer in (*self.encoder, *self.decoder) if layer.weights]

    def encode(self, images: Any, training: bool = False) -> tuple[Any, Any]:
        """Returns mean and log-variance of the latents of each class' encoder, each (num_classes, batch, latent_size).

        Args:
            images: (batch, height, width, channels), or (num_classes, batch, height, width, channels) for different images.
            training: bool. Normalise with the statistics of the batch.
        """
        return ops.split(_apply(self.encoder, images, training), 2, axis=-1)

    def decode(self, latents: Any, training: bool = False) -> Any:
        """Returns the reconstructions of each class' decoder, (num_classes, batch, pixels), in [0, 1]."""
        return _apply(self.decoder, latents, training)

    def evidence_terms(self, images: Any, training: bool = False) -> tuple[Any, Any]:
        """Returns ||x - G(z)||^2 for a draw z of the encoder, and the KL divergence from N(0, I), (num_classes, batch) each.

        Their sum is the negative evidence lower bound of a Gaussian with variance 1/2, up to a constant.

        Args:
            images: see `encode`.
            training: bool. Normalise with the statistics of the batch. A draw is made in either case.
        """
        mean, log_variance = self.encode(images, training)
        reconstructions = self.decode(self.sampling(mean, log_variance, training=True), training)
        flat = ops.reshape(images, (*ops.shape(images)[:-3], -1))
        mean, log_variance = (ops.cast(values, _wide(values)) for values in (mean, log_variance))
        divergence = ops.sum(ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance, axis=-1) / 2
        return energies(flat, reconstructions, ops.zeros_like(mean)), divergence

    def call(self, images: Any, training: bool = False) -> Any:
        seen = self.binarize(images) if self.binarize else images
        return self._sampled_logits(seen) if training else self._logits(seen)

    def features(self, images: Any) -> dict[str, Any]:
        """Returns `logits` and `log_likelihoods`, (batch, classes), `latents` and `reconstructions`, (batch, classes, size).

        The search has no gradient; that of `latents` and `reconstructions` is that of the encoder's mean.
        """
        seen = self.binarize(images) if self.binarize else images
        found, mean = ops.stop_gradient(self._search(seen)), self.encode(seen)[0]
        mean = ops.cast(mean, found.dtype)
        latents = found + (mean - ops.stop_gradient(mean))
        reconstructions = self.decode(latents)
        likelihoods = self._log_likelihoods(seen, ops.stop_gradient(reconstructions), found)
        return {
            "logits": self.logit_scale * likelihoods,
            "log_likelihoods": likelihoods,
            "latents": ops.transpose(latents, (1, 0, 2)),
            "reconstructions": ops.transpose(reconstructions, (1, 0, 2)),
        }

    def endpoints(self) -> dict[str, Callable[[Any], Any]]:
        functions = super().endpoints()
        if self.binarize:
            functions["attack_logits"] = lambda images: self._logits(self.binarize.soft(images))
        return functions

    def confidences(self, images: Any) -> Any:
        """Returns the paper's confidences, (exp(s l) + eta) / sum over classes, s = `logit_scale`, (batch, num_classes)."""
        weights = ops.exp(self(images)) + ETA
        return weights / ops.sum(weights, axis=-1, keepdims=True)

    def with_inference(
        self, latents: int = 8000, descent_steps: int = 50, encoder_start: bool = False
    ) -> "AnalysisBySynthesis":
        """Returns a model of the same autoencoders with another search, by default the paper's.

        Args:
            latents, descent_steps, encoder_start: see the class.
        """
        search = {"latents": latents, "descent_steps": descent_steps, "encoder_start": encoder_start}
        model = type(self).from_config({**self.get_config(), **search})
        self.build()
        model.build()
        for new, old in zip(model.class_layers, self.class_layers, strict=True):
            new.set_weights(old.get_weights())
        return model

    def _logits(self, images: Any) -> Any:
        latents = ops.stop_gradient(self._search(images))
        return self.logit_scale * self._log_likelihoods(images, self.decode(latents), latents)

    def _sampled_logits(self, images: Any) -> Any:
        latents = self.sampling(*self.encode(images, training=True), training=True)
        return self.logit_scale * self._log_likelihoods(images, self.decode(latents, training=True), latents)

    def _log_likelihoods(self, images: Any, reconstructions: Any, latents: Any) -> Any:
        found = energies(self._flat(images), reconstructions, latents)
        if self.class_scales is not None:
            found = found * ops.convert_to_tensor(self.class_scales, found.dtype)[:, None]
        return -ops.transpose(found) / reconstructions.shape[-1]

    def _search(self, images: Any) -> Any:
        """Returns z* of each class and image, (num_classes, batch, latent_size)."""
        images = ops.stop_gradient(images)
        flat = self._flat(images)

        def energy(latents: Any) -> Any:
            return energies(flat, self.decode(latents), latents)

        start = self._start(images, flat, energy)
        return descend(energy, start, self.descent_steps, self.descent_rate)[0] if self.descent_steps else start

    def _start(self, images: Any, flat: Any, energy: Callable[[Any], Any]) -> Any:
        """Returns the best candidate."""
        if not self.latents:
            return within_radius(self.encode(images)[0])
        shared, least = nearest_latents(self.decode, self.shared_latents, flat, self.num_classes)
        if not self.encoder_start:
            return shared
        encoded = within_radius(ops.cast(self.encode(images)[0], shared.dtype))
        return ops.where((energy(encoded) < least)[..., None], encoded, shared)

    def _flat(self, images: Any) -> Any:
        return ops.reshape(images, (-1, self.image_shape[0] * self.image_shape[1] * self.image_shape[2]))

    def hyperparameters(self) -> dict[str, Any]:
        lists = [f"{kind}_{name}" for kind in ("encoder", "decoder") for name in ("maps", "kernels", "strides")]
        names = ("latent_size", "latents", "latent_seed", "encoder_start", "descent_steps", "descent_rate", "logit_scale")
        return {
            **{name: list(getattr(self, name)) for name in lists},
            **{name: getattr(self, name) for name in names},
            "class_scales": None if self.class_scales is None else list(self.class_scales),
            "binarize": self.binarize is not None,
        }


class _StackedReshape(keras.layers.Layer):
    """Reshapes (models, batch, ...) to (models, batch, *shape); without a shape it flattens."""

    def __init__(self, shape: tuple[int, ...] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = shape

    def call(self, inputs: Any) -> Any:
        # Written out, as the layers after it need it in a graph of any batch.
        shape = self.shape or (math.prod(inputs.shape[2:]),)
        return ops.reshape(inputs, (inputs.shape[0], ops.shape(inputs)[1], *shape))


def _wide(values: Any) -> str:
    return keras.backend.result_type(values.dtype, "float32")


def _apply(layers: Sequence[keras.layers.Layer], values: Any, training: bool) -> Any:
    for layer in layers:
        options = {"training": training} if isinstance(layer, StackedBatchNormalization) else {}
        values = layer(values, **options)
    return values
