"""A small config of each model family and its variants, for tests of them all. A new family counts with its defaults."""

from typing import Any

import numpy as np

from cortexzoo.loading import create_model
from cortexzoo.models import MODELS, ImageClassifier

SHAPE = {"image_shape": (12, 12, 1), "num_classes": 3}
_CNN = {**SHAPE, "maps": (4,), "kernels": (3, 3), "strides": (1, 2)}
_INTERNAL = {**SHAPE, "denoiser_widths": (8, 4), "internal_widths": (6, 4)}
_CODER = {"maps": (3,), "kernels": (4,), "strides": (2,)}
_SYNTHESIS = {
    **SHAPE,
    **{f"{kind}_{name}": value for kind in ("encoder", "decoder") for name, value in _CODER.items()},
    **{"latent_size": 3, "latents": 5, "descent_steps": 2},
}
_POOLING = {**SHAPE, "maps": (2,), "kernel_size": 3, "hidden_units": (4,), "activation": "hard_tanh"}
_SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "CNN": ("ConvolutionalNetwork", _CNN),
    "biCNN": ("ConvolutionalNetwork", {**_CNN, "binarize": True}),
    "DIM": ("DenoisedInternalModels", _INTERNAL),
    "singleIM": ("DenoisedInternalModels", {**_INTERNAL, "denoiser_widths": None, "shared_encoder": True, "binarize": True}),
    "ABS": ("AnalysisBySynthesis", _SYNTHESIS),
    "biABS": ("AnalysisBySynthesis", {**_SYNTHESIS, "binarize": True, "class_scales": (1.0, 0.9, 1.1)}),
    "MLP": ("MultilayerPerceptron", {**SHAPE, "hidden_units": (8,), "saturation_penalty": 0.1}),
    "MaxPooling": ("MaxPoolingNetwork", {**_POOLING, "saturation_penalty": 0.1}),
    "ResNet": ("ResidualNetwork", {**SHAPE, "width": 2, "blur": 0.6}),
}
_NAMED = {class_name for class_name, _ in _SMALL.values()}
FAMILIES = {**_SMALL, **{name: (name, {}) for name in MODELS if name not in _NAMED}}


def small_model(name: str, **options: Any) -> ImageClassifier:
    """Returns a built, untrained model."""
    class_name, config = FAMILIES[name]
    return create_model(class_name, {**config, **options})


def random_images(model: ImageClassifier, count: int = 6) -> np.ndarray:
    """Returns images for a model, the same in every call."""
    return np.random.default_rng(1).random((count, *model.image_shape), np.float32)
