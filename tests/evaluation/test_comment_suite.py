"""The suite brendel_bethge_comment from end to end: on any SavedModel, and the page that it fills."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from cortexzoo import catalog, datasets
from cortexzoo.datasets import Split
from cortexzoo.evaluation import subjects
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.report.page import update_page
from cortexzoo.evaluation.report.sections.saturating import COMMENT as STABILIZED
from cortexzoo.evaluation.report.sections.saturating import WORST, architecture, saturating_section, scores
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary, summarize
from cortexzoo.evaluation.running.runner import endpoints
from cortexzoo.evaluation.subjects import Subject, evaluate, transfer_sources
from cortexzoo.evaluation.suites import COMMENT, SUITES, Suite
from cortexzoo.evaluation.suites import brendel_bethge_comment as comment

from tests.evaluation import fake_results
from tests.evaluation.small_models import TINY, random_network, save_classifier

SAMPLES = 24


@dataclasses.dataclass(frozen=True)
class Card:
    """What is read of a card."""

    dataset: str = "mnist"
    recipe: dict = dataclasses.field(default_factory=dict)


def test_members_take_the_best_endpoint_that_a_model_has() -> None:
    wanted = {member.label: member.endpoints for member in COMMENT.members}
    assert all(names[-1] == "logits" for names in wanted.values() if names)
    every = ("logits", "attack_logits", "logits_float64", "logits_stable", "logits_softened")
    attacked = {m.label: endpoints(every, m.attack, m.endpoints) for m in COMMENT.members}
    assert attacked[comment.PROBABILITIES] == attacked["Margin"] == attacked[comment.DECISIONS] == ("logits",)
    assert attacked[comment.FLOAT64] == ("logits_float64",)
    assert attacked["Margin, stable sigmoid"] == attacked["Temperature"] == ("logits_stable",)
    assert attacked["Margin, softened sigmoid"] == ("logits_softened",)
    for member in COMMENT.members:
        assert endpoints(("logits",), member.attack, member.endpoints) == ("logits",)


def test_other_suites_do_not_attack_stabilised_endpoints() -> None:
    attack = SUITES["quick"].members[0].attack
    assert endpoints(("logits", "logits_float64"), attack) == ("logits",)
    assert endpoints(("logits", "attack_logits", "logits_stable"), attack) == ("logits", "attack_logits")
    hardened = SUITES["paper42_hardened"]
    assert hardened.members_on(("logits", "logits_float64")) == hardened.members


def test_sources_are_the_twin_and_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {
        "mnist/mlp": Card(recipe={"config": {"seed": 0}}),
        "mnist/saturating_mlp": Card(recipe={"config": {"twin": "mnist/mlp"}}),
        "mnist/cnn": Card(),
        "fashion_mnist/mlp": Card("fashion_mnist"),
    }
    monkeypatch.setattr(catalog, "model_card", cards.__getitem__)
    monkeypatch.setattr(catalog, "verified_saved_model", Path)
    monkeypatch.setattr(subjects, "saved_model_digest", str)
    own = Subject("mnist/mlp", Path("mnist/mlp"), "mnist", "mnist/mlp")
    saturating = Subject("x", Path("mnist/saturating_mlp"), "mnist", "mnist/saturating_mlp")
    assert subjects._twin(saturating) == ("mnist/mlp",)
    assert subjects._twin(own) == subjects._twin(dataclasses.replace(saturating, model_id=None)) == ()
    # Once each, of the data set, in an order of their own; no network is its own source, by whatever name.
    named = ("mnist/mlp", "mnist/cnn", "mnist/mlp", "fashion_mnist/mlp")
    assert [source.name for source in transfer_sources(saturating, named)] == ["mnist/cnn", "mnist/mlp"]
    for one in (own, dataclasses.replace(own, model_id=None)):
        assert [source.name for source in transfer_sources(one, named)] == ["mnist/cnn"]


def test_without_sources_nothing_is_transferred() -> None:
    assert COMMENT.transfers
    assert not COMMENT.transferred_from(()).transfers
    assert len(COMMENT.transferred_from(()).members) == len(COMMENT.members) - 1


@pytest.fixture(scope="module")
def small() -> Suite:
    """The suite with fewer steps, and its last member on fewer images."""
    short = {"Temperature": comment.stabilized()[0][1], "Targeted margin": comment.stabilized()[0][1]}
    members = [dataclasses.replace(m, attack=short.get(m.label, m.attack)) for m in COMMENT.members]
    members[-1] = dataclasses.replace(members[-1], samples=8)
    return dataclasses.replace(COMMENT, members=tuple(members))


@pytest.fixture
def tiny_world(tiny_path: Path, tiny: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Subject:
    """The tiny network as a subject, and twice its logits as the catalogue's only model."""
    network = random_network(np.random.default_rng(1), 16, 12, TINY.num_classes)
    twice = save_classifier(tmp_path / "1", lambda images: 2 * network(images), TINY.image_shape, network.variables)
    monkeypatch.setattr(catalog, "verified_saved_model", lambda name: twice)
    monkeypatch.setattr(catalog, "model_card", lambda name: Card("tiny"))
    monkeypatch.setattr(datasets, "info", lambda name: TINY)
    monkeypatch.setattr(datasets, "load", lambda name, split: tiny)
    return Subject("tiny/relu_mlp", tiny_path, "tiny")


def test_any_model_runs_and_equal_attacks_run_once(tiny_world: Subject, small: Suite, tmp_path: Path) -> None:
    """A model without the endpoints is attacked on `logits`; what the store has is not attacked again."""
    with Store(tmp_path / "results.sqlite") as store:
        summary = evaluate(tiny_world, small, store, samples=SAMPLES, seed=0, sources=("tiny/source",))
        assert [score.label for score in summary.attacks] == [member.label for member in small.members]
        assert all(score.endpoints == ("logits",) for score in summary.attacks)
        runs = store._connection.execute("SELECT COUNT(*) FROM runs").fetchone()[0]
        # The six stabilised members are one attack on `logits` here.
        assert runs == len(small.members) - 5
        chunks = store._connection.execute("SELECT COUNT(*) FROM chunks").fetchone()[0]
        again = evaluate(tiny_world, small, store, samples=SAMPLES, seed=0, sources=("tiny/source",))
        assert store._connection.execute("SELECT COUNT(*) FROM chunks").fetchone()[0] == chunks == runs
        assert [score.accuracy for score in again.attacks] == [score.accuracy for score in summary.attacks]
        reported = evaluate(tiny_world, small, store, samples=SAMPLES, seed=0, report_only=True, sources=("tiny/source",))
        assert len(reported.attacks) == len(small.members)
        # Its source's gradient has the signs of its own.
        found = {score.label: score for score in summary.attacks}
        assert found[comment.TRANSFER].accuracy == 0.0
        assert [score.samples for score in summary.attacks] == [SAMPLES] * (len(small.members) - 1) + [8]
        for name, score in scores(summary).items():
            assert score.accuracy >= scores(summary)[WORST].accuracy or "RayS" in name
        _check_section(summary, store, tmp_path)


def _check_section(summary: Summary, store: Store, folder: Path) -> None:
    text, (figure,) = saturating_section([summary], store, folder)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(comment.EPSILONS)
    assert rows[2].startswith("| relu_mlp | plain | 0.05 | 100.0<br>")
    assert "0.0 / 0.0 / 0.0 / 0.0" in rows[2]
    assert "No `logits_stable`, `logits` attacked instead: relu_mlp." in text
    assert "†: the first 8 images alone." in text
    assert figure.read_bytes().startswith(b"\x89PNG")
    lines = figure.with_suffix(".csv").read_text().splitlines()
    # Nine columns at each epsilon and 0, and four shares.
    assert len(lines) == 1 + 9 * (1 + len(comment.EPSILONS)) + 4


def add_distances(store: Store, name: str, distances: dict[str, np.ndarray]) -> Summary:
    """Writes distances by label of a member into the store; the other members have none."""
    digest = name.encode().hex().ljust(64, "0")
    store.add_model(digest, name)
    labels = fake_results.SPLIT.labels
    store.set_clean(digest, "tiny", fake_results.SPLIT.ids, labels, labels)
    for member in COMMENT.members:
        if member.label in distances:
            key = RunKey(digest, "tiny", "logits", 0, settings(member.attack))
            reached = distances[member.label]
            ids = np.arange(len(reached))
            store.add_results(store.run_id(key, {}), ids, reached, (labels[ids] + 1) % 3, 1.0)
    return summarize(store, digest, fake_results.INFO, COMMENT, seed=0, endpoints_of_classifier=("logits",), samples=40)


@pytest.fixture
def twins(store: Store) -> list[Summary]:
    """A saturating network that seems to keep 30 of 40 images at every epsilon and keeps 2, and its plain twin."""
    many, few = np.where(np.arange(40) < 30, np.inf, 0.1), np.where(np.arange(40) < 2, np.inf, 0.1)
    none = np.full(40, 0.1)
    own = {comment.PROBABILITIES: many, comment.FLOAT64: few, comment.TRANSFER: many}
    twin = {comment.PROBABILITIES: few, comment.FLOAT64: none, comment.TRANSFER: none}
    return [add_distances(store, "tiny/saturating_net", own), add_distances(store, "tiny/net", twin)]


def test_sentence_follows_the_numbers(twins: list[Summary], store: Store, tmp_path: Path) -> None:
    text, _ = saturating_section(twins, store, tmp_path)
    (sentence,) = (line for line in text.splitlines() if line.startswith("- "))
    assert "Saturating net** at ε = 0.1" in sentence
    numbers = re.findall(r"[\d.]+(?= %)|[\d.]+(?= and)|(?<=and )[\d.]+(?= %)", sentence)
    # Seems to keep 75 % and keeps 5; the twin 5 and nothing.
    assert [float(value) for value in numbers] == [75.0, 5.0, 5.0, 0.0, 5.0, 0.0]
    assert "It gains most over its twin at ε = 0.1" in sentence
    # 2 of 40 images against none, p = 0.5, and five ε to choose from.
    assert "corrected for 5 ε: p = 1." in sentence
    # A twin that is as good leaves nothing to gain.
    text_of_equals, _ = saturating_section([twins[0], dataclasses.replace(twins[0], name="tiny/net")], store, tmp_path)
    assert "It gains nothing over its twin" in text_of_equals
    # The plain twin first, whatever the order given.
    assert [line.split(" | ")[1] for line in text.splitlines() if re.match(r"\| net", line)] == ["plain", "saturating"]


def test_seeds_of_a_network_share_its_lines(twins: list[Summary], store: Store, tmp_path: Path) -> None:
    """A second seed of the saturating network that keeps 6 of 40 images and seems to keep all."""
    kept = {comment.PROBABILITIES: np.full(40, np.inf), comment.FLOAT64: np.where(np.arange(40) < 6, np.inf, 0.1)}
    second = add_distances(store, "tiny/saturating_net-seed1", kept | {comment.TRANSFER: np.full(40, np.inf)})
    text, _ = saturating_section([*twins, second], store, tmp_path)
    (line,) = (line for line in text.splitlines() if line.startswith("| net | saturating, 2 seeds | 0.05"))
    # FGSM on logits, PGD and RayS have no results.
    assert line.split(" | ")[5:].count("—") == 3
    (last,) = [line for line in text.splitlines() if line.startswith("|  |  | 0.3 |")][1:]
    # 75 and 100 %, 5 and 15 %: the means, with Student's t over two seeds, cut at 0 and 100 %.
    assert last.split(" | ")[5:7] == ["87.5<br><sub>[0.0, 100.0]</sub>", "—"]
    assert "10.0<br><sub>[0.0, 73.5]</sub>" in last
    assert "It gains most over its twin at ε = 0.1: worst case 10.0 % [0.0, 73.5] against 0.0 %" in text
    assert "the seeds do not agree" not in text
    broken = kept | {comment.FLOAT64: np.full(40, 0.1), comment.TRANSFER: np.full(40, 0.1)}
    one = broken | {comment.FLOAT64: np.where(np.arange(40) < 1, np.inf, 0.1)}
    others = [("tiny/saturating_net-seed2", broken), ("tiny/net-seed2", one | {comment.TRANSFER: np.full(40, np.inf)})]
    text, _ = saturating_section([*twins, *(add_distances(store, *other) for other in others)], store, tmp_path)
    assert "the seeds do not agree" in text
    assert "Student's t over the seeds" in text


def test_union_of_the_stabilised_attacks_leaves_the_plain_ones_out(twins: list[Summary]) -> None:
    found = scores(twins[0])
    np.testing.assert_array_equal(found[STABILIZED].distances, found[comment.FLOAT64].distances)
    np.testing.assert_array_equal(found[WORST].distances, found[comment.FLOAT64].distances)


def test_page_is_filled_and_is_the_same_twice(twins: list[Summary], store: Store, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n<!-- saturating:begin -->\nold\n<!-- saturating:end -->\nend\n")
    update_page(twins, store, page, tmp_path / "figures")
    text = page.read_text()
    assert "![Apparent robustness and worst case: tiny](figures/saturating-tiny.png)" in text
    assert "old" not in text
    before = (tmp_path / "figures" / "saturating-tiny.png").read_bytes()
    update_page(twins, store, page, tmp_path / "figures")
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
def test_names_tell_architecture_and_training(name: str, expected: tuple[str, str]) -> None:
    assert architecture(name) == expected


def test_what_decisions_alone_break_is_not_gained(store: Store, tmp_path: Path) -> None:
    """Gradients break no image of the saturating network, and all of its twin; decisions break all of both."""
    kept, broken = np.full(40, np.inf), np.full(40, 0.04)
    own = {comment.PROBABILITIES: kept, comment.FLOAT64: kept, comment.DECISIONS: broken}
    twin = dict.fromkeys(own, broken)
    models = [add_distances(store, "tiny/saturating_net", own), add_distances(store, "tiny/net", twin)]
    text, _ = saturating_section(models, store, tmp_path)
    assert "It gains nothing over its twin, at ε = 0.05: worst case with RayS † 0.0 % [0.0, 8.8] against 0.0 %" in text
