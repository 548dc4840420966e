"""Target providers of the similarity regularisers: how alike a network shall find two images.

>>> from training import targets
>>> target = targets.build("thresholded", images, seed=0, threshold=0.8)
>>> first, second = target.pairs(16, np.random.default_rng(0))
>>> wanted = target.similarity(first, second)         # float32, (16,), in [-1, 1]

`python -m cortexzoo.training.targets` measures and draws them. docs/similarity.md describes them.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from cortexzoo.training.targets import controls, model_features, pixel, recordings, simulated_v1, thresholded
from cortexzoo.training.targets.base import SimilarityTarget
from cortexzoo.training.targets.published import PUBLISHED, PUBLISHED_PAIRS, PublishedSetting, published_setting

__all__ = [
    "PUBLISHED",
    "PUBLISHED_PAIRS",
    "TARGETS",
    "PublishedSetting",
    "SimilarityTarget",
    "build",
    "published_setting",
]


def build(name: str, images: np.ndarray, *, seed: int, **options: Any) -> SimilarityTarget:
    """Returns the target called `name`.

    Args:
        name: one of `TARGETS`: "pixel"; "thresholded" (threshold=0.8, side="both", inner_threshold=0.0, signs=True);
            "simulated_v1" (units=1000, trials=10, complex_share=0.5); "recordings" (path=..., whose images replace `images`;
            responses="predicted"); "features" (model=..., layer=...); and the controls "shuffled" (of="pixel", with
            that one's options) and "constant" (value=0.0).
        images: the regularisation set, float, (n, height, width, channels), in [0, 1].
        seed: int. Seed of all that is random in the target.
        options: settings of the target.

    Raises:
        ValueError: `name` or an option is unknown, an option is missing or out of range, or the images have a wrong shape or
            range.

    Example:

    >>> target = build("shuffled", images, seed=0, of="thresholded", threshold=0.2)
    """
    if name not in TARGETS:
        raise ValueError(f"`name` must be one of {', '.join(TARGETS)}. Received: name={name!r}")
    parameters = [p for p in inspect.signature(TARGETS[name]).parameters.values() if p.name not in ("images", "seed")]
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = [] if any(p.kind is p.VAR_KEYWORD for p in parameters) else sorted(options.keys() - set(known))
    missing = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in options]
    if unknown or missing:
        raise ValueError(
            f"The target {name!r} takes the options: {', '.join(known) or 'none'}. "
            f"Received: {', '.join(sorted(options)) or 'none'}."
        )
    return TARGETS[name](images, seed, **options)


def _shuffled(images: np.ndarray, seed: int, *, of: str = "pixel", **options: Any) -> SimilarityTarget:
    return controls.ShuffledSimilarity(build(of, images, seed=seed, **options), seed)


TARGETS: dict[str, Callable[..., SimilarityTarget]] = {
    "pixel": pixel.build,
    "thresholded": thresholded.build,
    "simulated_v1": simulated_v1.build,
    "recordings": recordings.build,
    "features": model_features.build,
    "shuffled": _shuffled,
    "constant": controls.build_constant,
}
