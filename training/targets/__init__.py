"""Similarity targets: how alike a network shall find two images. One file a target, which declares it as TARGET.

>>> from cortexzoo.training import targets
>>> target = targets.build("thresholded", images, seed=0, threshold=0.8)
>>> first, second = target.pairs(16, np.random.default_rng(0))
>>> wanted = target.similarity(first, second)         # float32, (16,), in [-1, 1]

`cortexzoo study targets` measures and draws them. docs/similarity.md describes them.
"""

from cortexzoo.training.targets.base import SimilarityTarget
from cortexzoo.training.targets.published import PUBLISHED, PUBLISHED_PAIRS, PublishedSetting, published_setting
from cortexzoo.training.targets.registry import build, find, specifications
from cortexzoo.training.targets.specification import Setting, TargetSpecification

__all__ = [
    "PUBLISHED",
    "PUBLISHED_PAIRS",
    "PublishedSetting",
    "Setting",
    "SimilarityTarget",
    "TargetSpecification",
    "build",
    "find",
    "published_setting",
    "specifications",
]
