"""An evaluation in many small chunks, slow enough to be killed in the middle: `python -m` it, as a test does."""

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np

from cortexzoo.evaluation.attacks import Batch, ProjectedGradientDescent
from cortexzoo.evaluation.classifier import Classifier
from cortexzoo.evaluation.results.store import Store
from tests.evaluation.evaluations import evaluation_of, suite_of
from tests.evaluation.small_models import TINY, tiny_split

SAMPLES, CHUNK = 40, 4
# Seconds spent in each chunk besides; in the environment, which workers inherit.
DELAY = "SLOW_EVALUATION_DELAY"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slow(ProjectedGradientDescent):
    """PGD in small chunks, with a pause in each."""

    chunk_size: ClassVar[int] = CHUNK

    def run(self, classifier: Classifier, endpoint: str, batch: Batch) -> np.ndarray:
        """See `Attack.run`."""
        time.sleep(float(os.environ.get(DELAY, "0")))
        return super().run(classifier, endpoint, batch)


def evaluate(model: str | Path, store: str | Path, workers: int = 1) -> None:
    """Attacks all tiny images."""
    classifier = Classifier(model, TINY, np.full((2, *TINY.image_shape), 0.5, np.float32))
    split = tiny_split(classifier.serving_logits, SAMPLES)
    suite = suite_of(Slow(norm="l2", epsilon=0.16, rounds=4), samples=len(split))
    with Store(store) as opened:
        suite.run(evaluation_of(opened, classifier, TINY, split, seed=3, workers=workers))


if __name__ == "__main__":
    evaluate(sys.argv[1], sys.argv[2], int(sys.argv[3]))
