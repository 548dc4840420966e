"""The shipped results are those of the attacks as they are now, so that the README's command makes its tables."""

import dataclasses
from pathlib import Path

import pytest

from evaluation.attacks.base import settings
from evaluation.runner import endpoints
from evaluation.store import RunKey, Store
from evaluation.subjects import catalogued, is_attacked, transfer_sources
from evaluation.suites import SUITES, Suite
from evaluation.target import saved_model_digest
from zoo import catalog

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
        assert is_attacked(dim, SUITES["paper42"], store, seed=0)
        assert not is_attacked(dim, SUITES["paper42"], store, seed=1)
        assert not is_attacked(dim, SUITES["brendel_bethge_comment"], store, seed=0)
        assert not is_attacked(elsewhere, SUITES["paper42"], store, seed=0)


def saturating_models() -> list[str]:
    """The catalogued models of the comment suite's table."""
    trainings, networks = ("", "saturating_", "fgsm_", "pgd_"), ("sigmoid_mlp", "relu_mlp")
    wanted = {f"mnist/{training}{network}" for training in trainings for network in networks}
    return [card.id for card in catalog.list_models(dataset="mnist") if card.id in wanted]


@pytest.mark.skipif(not (RESULTS / "saturating.sqlite").exists(), reason="the results are part of the repository alone")
@pytest.mark.parametrize("model_id", saturating_models())
def test_every_attack_of_the_saturating_table_has_results(model_id: str) -> None:
    (subject,) = catalogued([model_id])
    card = catalog.model_card(model_id)
    twin = card.recipe["config"].get("twin")
    named = (*([twin] if twin else []), "mnist/sigmoid_mlp", "mnist/relu_mlp", "mnist/relu_cnn")
    suite = SUITES["brendel_bethge_comment"].transferred_from(transfer_sources(subject, named))
    digest = saved_model_digest(subject.path)
    with Store(RESULTS / "saturating.sqlite") as store:
        has = tuple(store.check(digest, "mnist", "endpoints"))
        for member in suite.members_on(has):
            for endpoint in endpoints(has, member.attack, member.endpoints):
                run = store.find_run(RunKey(digest, "mnist", endpoint, 0, settings(member.attack)))
                assert run is not None, f"{member.label}: raise its version together with the results"
                assert len(store.distances(run)) >= (member.samples or suite.samples)
