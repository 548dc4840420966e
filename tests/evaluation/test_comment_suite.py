"""The suite brendel_bethge_comment from end to end: on any SavedModel, and the page that it fills."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from cortexzoo import catalog
from cortexzoo.datasets import Split
from cortexzoo.evaluation import models
from cortexzoo.evaluation.attacks import Transfer
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import Model, plain_twin, remembered
from cortexzoo.evaluation.preparation import Preparation
from cortexzoo.evaluation.report.page import update_page
from cortexzoo.evaluation.report.sections.saturating import COMMENT as STABILIZED
from cortexzoo.evaluation.report.sections.saturating import WORST, saturating_section, scores
from cortexzoo.evaluation.results.keys import endpoints
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites import brendel_bethge_comment as comment
from cortexzoo.evaluation.suites import find
from cortexzoo.evaluation.suites.attack_suite import AttackSuite
from cortexzoo.evaluation.suites.brendel_bethge_comment import COMMENT
from tests.evaluation import fake_results
from tests.evaluation.evaluations import changed, evaluation_of
from tests.evaluation.small_models import TINY, random_network, save_classifier

MEMBERS = COMMENT.build(TINY)
EPSILONS = comment.epsilons(TINY.thresholds["linf"])
SAMPLES = 24
SOURCE = {"sources": ("tiny/source",), "digests": ("0" * 64,)}


@dataclasses.dataclass(frozen=True)
class Card:
    """What is read of a card."""

    dataset: str = "mnist"
    recipe: dict = dataclasses.field(default_factory=dict)
    id: str = ""
    group: str = ""
    family: str = ""
    variant: str = ""


def test_members_take_the_best_endpoint_that_a_model_has() -> None:
    wanted = {member.label: member.endpoints for member in MEMBERS}
    assert all(names[-1] == "logits" for names in wanted.values() if names)
    every = ("logits", "attack_logits", "logits_float64", "logits_stable", "logits_softened")
    attacked = {m.label: endpoints(every, m.attack, m.endpoints) for m in MEMBERS}
    assert attacked[comment.PROBABILITIES] == attacked["Margin"] == attacked[comment.DECISIONS] == ("logits",)
    assert attacked[comment.FLOAT64] == ("logits_float64",)
    assert attacked["Margin, stable sigmoid"] == attacked["Temperature"] == ("logits_stable",)
    assert attacked["Margin, softened sigmoid"] == ("logits_softened",)
    for member in MEMBERS:
        assert endpoints(("logits",), member.attack, member.endpoints) == ("logits",)


def test_other_suites_do_not_attack_stabilised_endpoints() -> None:
    attack = find("quick").build(TINY)[0].attack
    assert endpoints(("logits", "logits_float64"), attack) == ("logits",)
    assert endpoints(("logits", "attack_logits", "logits_stable"), attack) == ("logits", "attack_logits")
    hardened = find("paper42_hardened")
    assert fake_results.members_on(hardened, "logits", "logits_float64") == hardened.build(fake_results.INFO)


def test_sources_are_the_twin_and_those_that_are_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {
        "mnist/mlp": Card(recipe={"config": {"seed": 0}}),
        "mnist/saturating_mlp": Card(recipe={"config": {"twin": "mnist/mlp"}}),
        "mnist/cnn": Card(),
        "fashion_mnist/mlp": Card("fashion_mnist"),
    }
    cards = {model_id: dataclasses.replace(card, id=model_id) for model_id, card in cards.items()}
    monkeypatch.setattr(catalog, "model_card", cards.__getitem__)
    monkeypatch.setattr(catalog, "verified_saved_model", Path)
    monkeypatch.setattr(models, "saved_model_digest", str)
    own = Model("mnist/mlp", Path("mnist/mlp"), "mnist", "mnist/mlp")
    saturating = Model("x", Path("mnist/saturating_mlp"), "mnist", "mnist/saturating_mlp")
    assert plain_twin(saturating) == COMMENT.sources_of(saturating) == ("mnist/mlp",)
    assert plain_twin(own) == plain_twin(dataclasses.replace(saturating, model_id=None)) == ()
    # Once each, of the data set, in an order of their own; no network is its own source, by whatever name.
    named = ("mnist/cnn", "mnist/mlp", "fashion_mnist/mlp")
    preparation = Preparation(suite=COMMENT, models=(), sources=named)
    assert [source.name for source in preparation._sources_for(saturating, store)] == ["mnist/cnn", "mnist/mlp"]
    for one in (own, dataclasses.replace(own, model_id=None)):
        assert [source.name for source in preparation._sources_for(one, store)] == ["mnist/cnn"]
    assert Preparation(suite=find("quick"), models=(), sources=named)._sources_for(saturating, store) == ()


def test_without_sources_nothing_is_transferred() -> None:
    assert COMMENT.sources is plain_twin
    members = fake_results.members_on(COMMENT, "logits")
    assert not any(isinstance(member.attack, Transfer) for member in members)
    assert len(members) == len(MEMBERS) - 1


@pytest.fixture(scope="module")
def small() -> AttackSuite:
    """The suite with fewer steps, and its last member on fewer images."""
    margin = comment.stabilized(TINY.thresholds["linf"], TINY.num_classes)[0][1]
    short = {"Temperature": margin, "Targeted margin": margin}
    members = [dataclasses.replace(m, attack=short.get(m.label, m.attack)) for m in MEMBERS]
    members[-1] = dataclasses.replace(members[-1], samples=8)
    return dataclasses.replace(COMMENT, build=lambda info: tuple(members), samples=SAMPLES)


@pytest.fixture
def tiny_evaluation(
    tiny_path: Path, tiny: Split, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Evaluation:
    """The tiny network, and twice its logits as the catalogue's only model and as a source."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    twice = save_classifier(tmp_path / "1", lambda images: 2 * network(images), TINY.image_shape, network.variables)
    monkeypatch.setattr(catalog, "verified_saved_model", lambda name: twice)
    model, source = Model("tiny/relu_mlp", tiny_path, "tiny", group="tiny/relu_mlp"), Model("tiny/source", twice, "tiny")
    return evaluation_of(store, model, TINY, tiny, sources=(source,))


def test_any_model_runs_and_equal_attacks_run_once(tiny_evaluation: Evaluation, small: AttackSuite, tmp_path: Path) -> None:
    """A model without the endpoints is attacked on `logits`; what the store has is not attacked again."""

    def count(table: str) -> int:
        return tiny_evaluation.store._connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]

    members = small.build(TINY)
    small.run(tiny_evaluation)
    summary = small.summarize(tiny_evaluation)
    assert [score.label for score in summary.attacks] == [member.label for member in members]
    assert all(score.endpoints == ("logits",) for score in summary.attacks)
    # The six stabilised members are one attack on `logits` here.
    runs, chunks = count("runs"), count("chunks")
    assert chunks == runs == len(members) - 5
    again = dataclasses.replace(tiny_evaluation)
    small.run(again)
    assert count("chunks") == chunks
    assert [score.accuracy for score in small.summarize(again).attacks] == [score.accuracy for score in summary.attacks]
    # Of the store alone.
    reported = small.summarize(dataclasses.replace(tiny_evaluation))
    assert len(reported.attacks) == len(members)
    # Its source's gradient has the signs of its own.
    found = {score.label: score for score in summary.attacks}
    assert found[comment.TRANSFER].accuracy == 0.0
    assert [score.samples for score in summary.attacks] == [SAMPLES] * (len(members) - 1) + [8]
    for name, score in scores(summary).items():
        assert score.accuracy >= scores(summary)[WORST].accuracy or "RayS" in name
    _check_section(summary, tmp_path)


def _check_section(summary: Summary, folder: Path) -> None:
    text, (figure,) = saturating_section([summary], folder)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(EPSILONS)
    assert rows[2].startswith("| relu_mlp | plain | 0.05 | 100.0<br>")
    assert "0.0 / 0.0 / 0.0 / 0.0" in rows[2]
    assert "No `logits_stable`: `logits` was attacked instead (relu_mlp)." in text
    assert "†: only the first 8 images." in text
    assert figure.read_bytes().startswith(b"\x89PNG")
    lines = figure.with_suffix(".csv").read_text().splitlines()
    # Nine columns at each epsilon and 0, and four shares.
    assert len(lines) == 1 + 9 * (1 + len(EPSILONS)) + 4


def add_distances(store: Store, name: str, distances: dict[str, np.ndarray]) -> Summary:
    """Writes distances by label of a member into the store; the other members have none."""
    digest, labels = fake_results.digest_of(name), fake_results.SPLIT.labels
    store.add_model(digest, name)
    store.set_clean(digest, "tiny", fake_results.SPLIT.ids, labels, labels)
    store.set_check(digest, "tiny", "endpoints", ["logits"])
    for member in MEMBERS:
        if member.label in distances:
            reached = distances[member.label]
            attack = member.attack if member.label != comment.TRANSFER else dataclasses.replace(member.attack, **SOURCE)
            key, ids = RunKey(digest, "tiny", "logits", 0, settings(attack)), np.arange(len(reached))
            store.add_results(store.run_id(key, {}), ids, reached, (labels[ids] + 1) % 3, 1.0)
    (model,) = remembered([name], store)
    source = Model("tiny/source", None, kept_digest="0" * 64)
    evaluation = evaluation_of(store, model, fake_results.INFO, fake_results.SPLIT, sources=(source,))
    return dataclasses.replace(COMMENT, samples=40).summarize(evaluation)


@pytest.fixture
def twins(store: Store) -> list[Summary]:
    """A saturating network that seems to keep 30 of 40 images at every epsilon and keeps 2, and its plain twin."""
    many, few = np.where(np.arange(40) < 30, np.inf, 0.1), np.where(np.arange(40) < 2, np.inf, 0.1)
    none = np.full(40, 0.1)
    own = {comment.PROBABILITIES: many, comment.FLOAT64: few, comment.TRANSFER: many}
    twin = {comment.PROBABILITIES: few, comment.FLOAT64: none, comment.TRANSFER: none}
    return [add_distances(store, "tiny/saturating_net", own), add_distances(store, "tiny/net", twin)]


def test_sentence_follows_the_numbers(twins: list[Summary], tmp_path: Path) -> None:
    text, _ = saturating_section(twins, tmp_path)
    (sentence,) = (line for line in text.splitlines() if line.startswith("- "))
    assert "Saturating net** at ε = 0.1" in sentence
    numbers = re.findall(r"[\d.]+(?= %)|[\d.]+(?= and)|(?<=and )[\d.]+(?= %)", sentence)
    # Seems to keep 75 % and keeps 5; the twin 5 and nothing.
    assert [float(value) for value in numbers] == [75.0, 5.0, 5.0, 0.0, 5.0, 0.0]
    assert "It gains most over its twin at ε = 0.1" in sentence
    # 2 of 40 images against none, p = 0.5, and five ε to choose from.
    assert "corrected for 5 ε: p = 1)." in sentence
    # A twin that is as good leaves nothing to gain.
    equal = changed(twins[0], name="tiny/net", group="tiny/net", variant="")
    text_of_equals, _ = saturating_section([twins[0], equal], tmp_path)
    assert "It gains nothing over its twin" in text_of_equals
    # The plain twin first, whatever the order given.
    assert [line.split(" | ")[1] for line in text.splitlines() if re.match(r"\| net", line)] == ["plain", "saturating"]


def test_seeds_of_a_network_share_its_lines(twins: list[Summary], store: Store, tmp_path: Path) -> None:
    """A second seed of the saturating network that keeps 6 of 40 images and seems to keep all."""
    kept = {comment.PROBABILITIES: np.full(40, np.inf), comment.FLOAT64: np.where(np.arange(40) < 6, np.inf, 0.1)}
    second = add_distances(store, "tiny/saturating_net-seed1", kept | {comment.TRANSFER: np.full(40, np.inf)})
    text, _ = saturating_section([*twins, second], tmp_path)
    (line,) = (line for line in text.splitlines() if line.startswith("| net | saturating, 2 seeds | 0.05"))
    # FGSM on logits, PGD and RayS have no results.
    assert line.split(" | ")[5:].count("—") == 3
    (last,) = [line for line in text.splitlines() if line.startswith("|  |  | 0.3 |")][1:]
    # 75 and 100 %, 5 and 15 %: the means, with Student's t over two seeds, cut at 0 and 100 %.
    assert last.split(" | ")[5:7] == ["87.5<br><sub>[0.0, 100.0]</sub>", "—"]
    assert "10.0<br><sub>[0.0, 73.5]</sub>" in last
    assert "It gains most over its twin at ε = 0.1: worst case 10.0 % [0.0, 73.5] against 0.0 %" in text
    assert "the seeds disagree" not in text
    broken = kept | {comment.FLOAT64: np.full(40, 0.1), comment.TRANSFER: np.full(40, 0.1)}
    one = broken | {comment.FLOAT64: np.where(np.arange(40) < 1, np.inf, 0.1)}
    others = [("tiny/saturating_net-seed2", broken), ("tiny/net-seed2", one | {comment.TRANSFER: np.full(40, np.inf)})]
    text, _ = saturating_section([*twins, *(add_distances(store, *other) for other in others)], tmp_path)
    assert "the seeds disagree" in text
    assert "Student's t over the seeds" in text


def test_union_of_the_stabilised_attacks_leaves_the_plain_ones_out(twins: list[Summary]) -> None:
    found = scores(twins[0])
    np.testing.assert_array_equal(found[STABILIZED].distances, found[comment.FLOAT64].distances)
    np.testing.assert_array_equal(found[WORST].distances, found[comment.FLOAT64].distances)


def test_page_is_filled_and_is_the_same_twice(twins: list[Summary], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n<!-- saturating:begin -->\nold\n<!-- saturating:end -->\nend\n")
    update_page(twins, page, tmp_path / "figures")
    text = page.read_text()
    assert "![Apparent robustness and worst case: tiny](figures/saturating-tiny.png)" in text
    assert "old" not in text
    before = (tmp_path / "figures" / "saturating-tiny.png").read_bytes()
    update_page(twins, page, tmp_path / "figures")
    assert page.read_text() == text
    assert (tmp_path / "figures" / "saturating-tiny.png").read_bytes() == before


def test_other_suites_have_no_such_table(store: Store) -> None:
    with pytest.raises(ValueError, match="of the suite brendel_bethge_comment"):
        scores(fake_results.add_model(store, "tiny/net"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist/relu_mlp", ("relu_mlp", "plain")),
        ("mnist/saturating_relu_mlp", ("relu_mlp", "saturating")),
        ("pgd_relu_cnn", ("relu_cnn", "pgd")),
        ("mnist/fgsm", ("fgsm", "plain")),
    ],
)
def test_names_tell_architecture_and_training(name: str, expected: tuple[str, str], store: Store) -> None:
    store.add_model("0" * 64, f"{name}-seed1")
    (model,) = remembered([f"{name}-seed1"], store)
    assert (model.family, model.variant or "plain") == expected
    assert (model.group, model.seed_label) == (name, "-seed1")


def test_what_decisions_alone_break_is_not_gained(store: Store, tmp_path: Path) -> None:
    """Gradients break no image of the saturating network, and all of its twin; decisions break all of both."""
    kept, broken = np.full(40, np.inf), np.full(40, 0.04)
    own = {comment.PROBABILITIES: kept, comment.FLOAT64: kept, comment.DECISIONS: broken}
    twin = dict.fromkeys(own, broken)
    models = [add_distances(store, "tiny/saturating_net", own), add_distances(store, "tiny/net", twin)]
    text, _ = saturating_section(models, tmp_path)
    assert "It gains nothing over its twin at any ε and comes closest at ε = 0.05: worst case with RayS †" in text
    assert "0.0 % [0.0, 8.8] against 0.0 %" in text
