"""The suite `standard` breaks what the authors' AutoAttack breaks, on the same weights and images.

The authors' code needs PyTorch: `pip install torch pyautoattack`. Without it, the tests are skipped.
"""

from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest

import cortexzoo as cz
from cortexzoo import catalog, datasets
from tests.programs import alone

torch = pytest.importorskip("torch")
pytest.importorskip("pyautoattack")

MODELS = ("mnist/cnn", "mnist/pgd_relu_cnn", "cifar10/resnet")
SAMPLES = 500
# Robust accuracy, by which ours may be higher: the luck of random starts.
ALLOWED = 0.005


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    with alone("benchmarks.auto_attack") as module:
        yield module


@pytest.mark.parametrize("model_id", MODELS)
def test_the_twin_in_pytorch_has_the_same_logits(model_id: str) -> None:
    from benchmarks.torch_twin import torch_twin

    model, images = cz.load_model(model_id), _split(model_id, 20).images
    twin = torch_twin(model)(torch.from_numpy(images).permute(0, 3, 1, 2))
    expected = np.asarray(model(images))
    np.testing.assert_allclose(twin.numpy(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("model_id", MODELS)
def test_never_above_the_authors_own(benchmark: ModuleType, model_id: str, norm: str) -> None:
    split, classifier = _split(model_id, SAMPLES), benchmark.classifier_of(model_id)
    epsilon = classifier.dataset.thresholds[norm]
    own, theirs = (
        benchmark.robust_accuracy(classifier, split, make(model_id, split, norm, epsilon)(), norm, epsilon)
        for make in (benchmark.ours, benchmark.authors)
    )
    assert own <= theirs + ALLOWED, f"{model_id} {norm} {epsilon:.3g}: ours {own:.1%}, the authors' {theirs:.1%}"


def _split(model_id: str, count: int) -> datasets.Split:
    return datasets.load(catalog.model_card(model_id).dataset, "test").first(count)
