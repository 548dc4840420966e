"""The shipped results are those of the attacks as they are now, so that the README's command makes its tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cortexzoo import catalog
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.preparation import Preparation
from cortexzoo.evaluation.results.keys import run_keys
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.suites import find
from cortexzoo.evaluation.suites.brendel_bethge_comment import TRANSFER

RESULTS = Path(__file__).parents[2] / "results"
PUBLISHED = ("cleverhans", "paper42", "paper42_l1", "paper42_l1_hardened")
MODELS = [card.id for card in catalog.list_models() if card.class_name in ("ConvolutionalNetwork", "DenoisedInternalModels")]


def kept(store: Store, suite: str, *models: str, **options: object) -> Iterator[Evaluation]:
    """The evaluations of these models, of which the results are in the store."""
    return Preparation(suite=find(suite), models=models, report_only=True, **options)(store)


@pytest.mark.skipif(not (RESULTS / "mnist.sqlite").exists(), reason="the results are part of the repository alone")
@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_attack_of_the_published_tables_has_results(name: str, model_id: str) -> None:
    suite = find(name)
    with Store(RESULTS / "mnist.sqlite") as store:
        (evaluation,) = kept(store, name, model_id)
        for member in suite.members(evaluation):
            for key in run_keys(evaluation, member):
                run = store.find_run(key)
                assert run is not None, f"{member.label}: raise its version together with the results"
                assert len(store.distances(run)) >= (member.samples or suite.samples)


@pytest.mark.skipif(not (RESULTS / "mnist.sqlite").exists(), reason="the results are part of the repository alone")
def test_the_store_tells_which_suites_attacked_a_model() -> None:
    def has_results(suite: str, **options: object) -> bool:
        (evaluation,) = kept(store, suite, "mnist/dim", **options)
        return find(suite).has_results(evaluation)

    with Store(RESULTS / "mnist.sqlite") as store:
        assert has_results("paper42")
        assert not has_results("paper42", seed=1)
        assert not has_results("brendel_bethge_comment")
        assert not has_results("paper42", data="fashion_mnist")


TRAININGS = ("", "saturating_", "fgsm_", "pgd_")
VARIANTS = ("wide", "narrow", "deep", "shallow", "slow")
COMPARED = [
    *(f"mnist/{kind}{network}" for network in ("sigmoid_mlp", "relu_mlp", "relu_cnn") for kind in TRAININGS),
    *(f"mnist/{kind}{mlp}_mlp-seed{i}" for mlp in ("sigmoid", "relu") for kind in TRAININGS for i in (1, 2)),
    *(f"fashion_mnist/{kind}sigmoid_mlp" for kind in TRAININGS[:2]),
    *(f"mnist/{kind}{variant}_sigmoid_mlp" for variant in VARIANTS for kind in TRAININGS[:2]),
    *(f"mnist/saturating_sigmoid_mlp-lambda{strength}" for strength in ("0.3", "1", "3")),
]


@pytest.mark.skipif(not (RESULTS / "saturating.sqlite").exists(), reason="the results are part of the repository alone")
def test_every_attack_on_the_saturating_networks_has_results() -> None:
    sources, suite = ("mnist/sigmoid_mlp", "mnist/relu_mlp", "mnist/relu_cnn"), find("brendel_bethge_comment")
    with Store(RESULTS / "saturating.sqlite") as store:
        for evaluation in kept(store, suite.name, *COMPARED, sources=sources):
            found = {score.label: score.samples for score in suite.summarize(evaluation).attacks}
            wanted = {member.label: member.samples or suite.samples for member in suite.build(evaluation.info)}
            if evaluation.model.name == "fashion_mnist/sigmoid_mlp":
                # Its only possible source is itself.
                del wanted[TRANSFER]
            assert found == wanted, f"{evaluation.model.name}: raise an attack's version together with the results"


TARGETS, CONTROLS = ("", "_pixel", "_thresholded", "_v1", "_shuffled"), ("_constant", "_gaussian", "_blurred")
SIMILAR = [
    *(f"fashion_mnist/resnet{classifier}{seed}" for classifier in TARGETS for seed in ("", "-seed1", "-seed2")),
    *(f"{name}/resnet{control}" for name in ("fashion_mnist", "cifar10_gray") for control in CONTROLS),
    *(f"cifar10_gray/resnet{classifier}" for classifier in TARGETS),
    *(f"{name}/resnet{classifier}" for name in ("mnist", "cifar10") for classifier in ("", "_thresholded")),
]
SOURCES = (
    *(f"{name}/resnet_source" for name in ("fashion_mnist", "cifar10_gray", "mnist", "cifar10")),
    "fashion_mnist/resnet_source2",
)
IMAGES = {"noise": 10_000, "transfer": 10_000, "corruptions": 10_000, "white_box": 500}


@pytest.mark.skipif(not (RESULTS / "similarity.sqlite").exists(), reason="the results are part of the repository alone")
def test_every_shift_of_the_similarity_regularisers_has_results() -> None:
    with Store(RESULTS / "similarity.sqlite") as store:
        for name, samples in IMAGES.items():
            for evaluation in kept(store, name, *SIMILAR, sources=SOURCES, samples=samples):
                model = evaluation.model
                of_test = len(store.clean(model.digest, model.dataset)[0])
                # Two sources of Fashion-MNIST.
                wanted = {
                    "noise": 3,
                    "transfer": 1 + (model.dataset == "fashion_mnist"),
                    "corruptions": 15,
                    "white_box": 2,
                }
                found = [curve.samples for curve in find(name).summarize(evaluation).curves]
                assert found == [min(samples, of_test)] * wanted[name], f"{model.name}, {name}"
        for evaluation in kept(store, "boundary", *SIMILAR, samples=50):
            walked = find("boundary").summarize(evaluation)
            found = {score.label: score.samples for score in walked.attacks}
            assert found == {"Boundary L2": 50, "DDN L2": 50}, evaluation.model.name
