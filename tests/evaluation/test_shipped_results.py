"""The shipped results are those of the attacks as they are now, so that the README's command makes its tables."""

import dataclasses
from pathlib import Path

import pytest
from cortexzoo import catalog
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.classifier import saved_model_digest
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.running.runner import endpoints
from cortexzoo.evaluation.subjects import catalogued, evaluate, evaluate_shifts, has_results, remembered
from cortexzoo.evaluation.suites import SUITES, Suite
from cortexzoo.evaluation.suites.brendel_bethge_comment import TRANSFER
from cortexzoo.evaluation.suites.shifts import SHIFT_SUITES

RESULTS = Path(__file__).parents[2] / "results"
PUBLISHED = ("cleverhans", "paper42", "paper42_l1", "paper42_l1_hardened")
MODELS = [card.id for card in catalog.list_models() if card.class_name in ("ConvolutionalNetwork", "DenoisedInternalModels")]


@pytest.mark.skipif(not (RESULTS / "mnist.sqlite").exists(), reason="the results are part of the repository alone")
@pytest.mark.parametrize("model_id", MODELS)
@pytest.mark.parametrize("suite", [SUITES[name] for name in PUBLISHED], ids=PUBLISHED)
def test_every_attack_of_the_published_tables_has_results(suite: Suite, model_id: str) -> None:
    digest = saved_model_digest(catalog.verified_saved_model(model_id))
    with Store(RESULTS / "mnist.sqlite") as store:
        has = tuple(store.check(digest, "mnist", "endpoints"))
        for member in suite.members_on(has):
            for endpoint in endpoints(has, member.attack, member.endpoints):
                run = store.find_run(RunKey(digest, "mnist", endpoint, 0, settings(member.attack)))
                assert run is not None, f"{member.label}: raise its version together with the results"
                assert len(store.distances(run)) >= (member.samples or suite.samples)


@pytest.mark.skipif(not (RESULTS / "mnist.sqlite").exists(), reason="the results are part of the repository alone")
def test_the_store_tells_which_suites_attacked_a_model() -> None:
    (dim,) = catalogued(["mnist/dim"])
    elsewhere = dataclasses.replace(dim, dataset="fashion_mnist")
    with Store(RESULTS / "mnist.sqlite") as store:
        assert has_results(dim, SUITES["paper42"], store, seed=0)
        assert not has_results(dim, SUITES["paper42"], store, seed=1)
        assert not has_results(dim, SUITES["brendel_bethge_comment"], store, seed=0)
        assert not has_results(elsewhere, SUITES["paper42"], store, seed=0)


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
    sources, suite = ("mnist/sigmoid_mlp", "mnist/relu_mlp", "mnist/relu_cnn"), SUITES["brendel_bethge_comment"]
    with Store(RESULTS / "saturating.sqlite") as store:
        for subject in remembered(COMPARED, store):
            summary = evaluate(subject, suite, store, samples=suite.samples, seed=0, report_only=True, sources=sources)
            found = {score.label: score.samples for score in summary.attacks}
            wanted = {member.label: member.samples or suite.samples for member in suite.members}
            if subject.name == "fashion_mnist/sigmoid_mlp":
                # Its only possible source is itself.
                del wanted[TRANSFER]
            assert found == wanted, f"{subject.name}: raise an attack's version together with the results"


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
        for subject in remembered(SIMILAR, store):
            of_test = len(store.clean(subject.digest, subject.dataset)[0])
            for name, samples in IMAGES.items():
                suite, options = SHIFT_SUITES[name], {"samples": samples, "seed": 0, "report_only": True}
                summary = evaluate_shifts(subject, suite, store, sources=SOURCES, **options)
                # Two sources of Fashion-MNIST.
                wanted = {
                    "noise": 3,
                    "transfer": 1 + (subject.dataset == "fashion_mnist"),
                    "corruptions": 15,
                    "white_box": 2,
                }
                found = [curve.samples for curve in summary.curves]
                assert found == [min(samples, of_test)] * wanted[name], f"{subject.name}, {name}"
            walked = evaluate(subject, SUITES["boundary"], store, samples=50, seed=0, report_only=True)
            found = {score.label: score.samples for score in walked.attacks}
            assert found == {"Boundary L2": 50, "DDN L2": 50}, subject.name
