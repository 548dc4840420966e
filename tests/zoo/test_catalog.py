"""The catalogue: finding models, and refusing files that are not what their card says."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cortexzoo as cz
from cortexzoo import catalog
from cortexzoo.card import write_card
from cortexzoo.card_page import render_card
from tests.zoo.conftest import SMALL_CONFIG, SMALL_ID, make_card

FILES = [
    "1/saved_model.pb",
    "1/variables/variables.data-00000-of-00001",
    "1/variables/variables.index",
    "1/assets.extra/tf_serving_warmup_requests",
]


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a model is built from an artefact that should have been refused."""
    monkeypatch.setattr("cortexzoo.loading.create_model", lambda *_: pytest.fail("a model was built from unverified files"))


def test_list_is_sorted_and_filtered(catalogue: Path) -> None:
    for name, dataset, class_name in [("a/z", "a", "X"), ("b/a", "b", "Y"), ("a/b", "a", "Y")]:
        write_card(make_card(id=name, dataset=dataset, class_name=class_name), catalogue / name / "card.json")
    assert [card.id for card in cz.list_models()] == ["a/b", "a/z", "b/a", SMALL_ID]
    assert [card.id for card in cz.list_models(dataset="a")] == ["a/b", "a/z"]
    assert [card.id for card in cz.list_models(class_name="Y")] == ["a/b", "b/a"]
    assert cz.list_models(dataset="a", class_name="X")[0].id == "a/z"


def scored(linf: float | None = None, clean: float | None = None) -> dict:
    """Fields of a card with these accuracies."""
    worst = {"accuracy": linf, "interval": [0.0, 1.0], "samples": 10, "epsilon": 0.3, "decided_by": "PGD", "votes": {}}
    return {
        "clean": {} if clean is None else {"accuracy": clean},
        "robustness": {} if linf is None else dict.fromkeys(("linf", "l2", "l1", "l0"), worst),
    }


def test_list_in_other_orders(tmp_path: Path) -> None:
    cards = [
        make_card(id="a/a", parameters=3, **scored(0.2, 0.9)),
        make_card(id="a/b", parameters=2, **scored(0.5, 0.8)),
        make_card(id="a/c", parameters=2, **scored()),
    ]
    for card in cards:
        write_card(card, tmp_path / card.id / "card.json")
    accuracies = [("clean_accuracy", "abc"), ("robust_accuracy", "bac"), ("minimal_accuracy", "bac")]
    for order, expected in [*accuracies, ("parameters", "bca"), ("id", "abc")]:
        assert "".join(card.id[-1] for card in cz.list_models(sort_by=order, catalogue=tmp_path)) == expected
    with pytest.raises(ValueError, match=r"`sort_by` must be one of id, clean_accuracy, .*Received: 'robustness'"):
        cz.list_models(sort_by="robustness", catalogue=tmp_path)


@pytest.mark.usefixtures("catalogue")
def test_list_of_an_unknown_data_set_is_refused() -> None:
    assert cz.list_models(dataset="cifar10") == []
    with pytest.raises(ValueError, match=r"`dataset` must be one of cifar10, .*mnist\. Received: 'mnits'"):
        cz.list_models(dataset="mnits")


BROKEN = {
    "no-json": "{",
    "another-schema": '{"schema_version": 1}',
    "deep": "[" * 10_000 + "]" * 10_000,
    "huge": '{"seed": ' + "9" * 5000 + "}",
    "no-year": {"paper": {"title": "A", "authors": "B", "url": ""}},
    "list-of-authors": {"paper": {"title": "A", "authors": ["B"], "year": 2021, "url": ""}},
    "no-paper": {"paper": {}},
    "odd-accuracy": scored(clean=float("nan")),
    "odd-robustness": scored(linf=98.0),
    "odd-suite": {"robust": {"suite": []}},
    "odd-file": {"files": {"saved_model.pb": "0"}},
    "another-id": {"id": "mnist/other"},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_card_leaves_the_others(catalogue: Path, name: str) -> None:
    content, directory = BROKEN[name], catalogue / "broken" / name
    if isinstance(content, dict):
        content = json.dumps(dataclasses.asdict(make_card(id=f"broken/{name}")) | content)
    directory.mkdir(parents=True)
    (directory / "card.json").write_text(content)
    with pytest.warns(UserWarning, match=f"{directory / 'card.json'}"):
        assert [card.id for card in cz.list_models()] == [SMALL_ID]
    with pytest.raises(ValueError, match="card"):
        cz.model_card(f"broken/{name}")


def test_a_card_that_is_a_folder_leaves_the_others(catalogue: Path) -> None:
    (catalogue / "a" / "b" / "card.json").mkdir(parents=True)
    with pytest.warns(UserWarning, match="cannot be read"):
        assert [card.id for card in cz.list_models()] == [SMALL_ID]


@pytest.mark.parametrize("relative", [True, False])
def test_a_catalogue_is_named(published: Path, monkeypatch: pytest.MonkeyPatch, relative: bool) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", "/nowhere")
    monkeypatch.chdir(published.parent)
    named = Path(published.name) if relative else published
    assert [card.id for card in cz.list_models(catalogue=named)] == [SMALL_ID] == catalog.model_ids(named)
    assert cz.verify(SMALL_ID, named) == cz.model_card(SMALL_ID, named)
    assert catalog.verified_saved_model(SMALL_ID, named) == named / SMALL_ID / "1"
    assert cz.list_models() == []


def test_an_entry_is_named_by_its_path(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", "/nowhere")
    monkeypatch.chdir(catalogue / "mnist")
    for path in (catalogue / SMALL_ID, str(catalogue / SMALL_ID), "small"):
        assert cz.verify(path).id == cz.model_card(path).id == SMALL_ID
        assert catalog.verified_saved_model(path).samefile(catalogue / SMALL_ID / "1")
    assert catalog.update_card("small", title="Other").title == "Other" == cz.model_card(catalogue / SMALL_ID).title
    catalog.save_card(make_card(id="mnist/new"), catalogue)
    assert cz.model_card("mnist/new", catalogue).id == "mnist/new"


@pytest.mark.parametrize("model_id", ["x" * 5000, "\0", "a/\n"])
@pytest.mark.usefixtures("catalogue")
def test_odd_ids_are_refused(model_id: str) -> None:
    with pytest.raises(ValueError, match="`model_id` must name a model"):
        cz.model_card(model_id)


def test_environment_names_the_catalogue(catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalog.root() == catalogue
    assert cz.model_card(SMALL_ID).config == SMALL_CONFIG
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path / "nowhere"))
    assert cz.list_models() == []
    with pytest.raises(ValueError, match=r"Received: 'mnist/small'. Known: none."):
        cz.load_model(SMALL_ID)
    monkeypatch.delenv("CORTEXZOO_SAVED_MODELS")
    assert catalog.root().name == "saved_models"


@pytest.mark.parametrize("model_id", ["mnist/smal", "small", "mnist/smalls", "mnist/Small"])
@pytest.mark.usefixtures("catalogue", "no_model")
def test_unknown_id_lists_close_matches(model_id: str) -> None:
    with pytest.raises(ValueError, match=rf"Received: '{model_id}'. Close matches: mnist/small."):
        cz.load_model(model_id)


@pytest.mark.usefixtures("catalogue")
def test_unknown_id_without_a_match_lists_all() -> None:
    with pytest.raises(ValueError, match=r"Known: mnist/small."):
        cz.model_card("xyzzy")


@pytest.mark.parametrize(
    "model_id", ["", "mnist", "mnist/", "mnist/small/", "mnist/small/1", "../catalogue/mnist", "../mnist"]
)
def test_ids_name_nothing_outside_the_catalogue(catalogue: Path, model_id: str) -> None:
    shutil.copy(catalogue / SMALL_ID / "card.json", catalogue.parent / "card.json")
    shutil.copy(catalogue / SMALL_ID / "card.json", catalogue / "mnist" / "card.json")
    with pytest.raises(ValueError, match="`model_id` must name a model"):
        cz.model_card(model_id)


def test_intact_model_loads(catalogue: Path) -> None:
    assert cz.verify(SMALL_ID) == cz.model_card(SMALL_ID)
    assert sorted(cz.model_card(SMALL_ID).files) == sorted(FILES)
    assert catalog.verified_saved_model(SMALL_ID) == catalogue / SMALL_ID / "1"
    first, second = cz.load_model(SMALL_ID), cz.load_model(SMALL_ID)
    assert first.count_params() == cz.model_card(SMALL_ID).parameters
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_refused(path: Path) -> None:
    """The error names the file and both digests, and there is neither model nor path."""
    expected = cz.model_card(SMALL_ID).files[path.relative_to(catalog.root() / SMALL_ID).as_posix()]
    received = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no such file"
    for function in (cz.verify, cz.load_model, catalog.verified_saved_model):
        with pytest.raises(cz.IntegrityError) as caught:
            function(SMALL_ID)
        for part in (str(path), expected, received):
            assert part in str(caught.value)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.sampled_from(FILES), position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@pytest.mark.usefixtures("no_model")
def test_one_flipped_bit(catalogue: Path, name: str, position: float, bit: int) -> None:
    path = catalogue / SMALL_ID / name
    content = path.read_bytes()
    corrupted = bytearray(content)
    corrupted[int(position * len(content))] ^= 1 << bit
    path.write_bytes(corrupted)
    assert_refused(path)
    path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("no_model")
def test_truncated_file(catalogue: Path, name: str) -> None:
    path = catalogue / SMALL_ID / name
    path.write_bytes(path.read_bytes()[:-1])
    assert_refused(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.usefixtures("no_model")
def test_missing_file(catalogue: Path, name: str) -> None:
    path = catalogue / SMALL_ID / name
    path.unlink()
    assert_refused(path)


@pytest.mark.parametrize("name", ["2/saved_model.pb", "1/variables/more"])
@pytest.mark.usefixtures("no_model")
def test_file_that_is_not_on_the_card(catalogue: Path, name: str) -> None:
    """TF Serving would take the higher version."""
    path = catalogue / SMALL_ID / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"planted")
    for function in (cz.verify, cz.load_model, catalog.verified_saved_model):
        with pytest.raises(cz.IntegrityError, match=rf"{name}\n  expected SHA-256 none: not on the card"):
            function(SMALL_ID)


@pytest.mark.usefixtures("no_model")
def test_card_without_files(catalogue: Path) -> None:
    catalog.update_card(SMALL_ID, files={})
    shutil.rmtree(catalogue / SMALL_ID / "1")
    with pytest.raises(cz.IntegrityError, match=r"card.json names no file"):
        cz.load_model(SMALL_ID)


def test_card_of_another_model(catalogue: Path) -> None:
    shutil.copytree(catalogue / SMALL_ID, catalogue / "mnist" / "mine")
    for function in (cz.load_model, cz.verify, cz.model_card, catalog.update_card):
        with pytest.raises(ValueError, match=r"Expected the card of mnist/mine in .*Received: that of mnist/small."):
            function("mnist/mine")


def test_all_broken_files_are_named(catalogue: Path) -> None:
    for name in FILES:
        (catalogue / SMALL_ID / name).write_bytes(b"")
    with pytest.raises(cz.IntegrityError) as caught:
        cz.verify(SMALL_ID)
    assert all(name in str(caught.value) for name in FILES)


@pytest.mark.usefixtures("no_model")
def test_malformed_card(catalogue: Path) -> None:
    (catalogue / SMALL_ID / "card.json").write_text('{"schema_version": 1}')
    for function in (cz.load_model, cz.verify, cz.model_card):
        with pytest.raises(ValueError, match="misses the fields class_name, config"):
            function(SMALL_ID)


def test_class_of_another_version(catalogue: Path) -> None:
    catalog.update_card(SMALL_ID, class_name="CapsuleNetwork")
    with pytest.raises(ValueError, match="Received: 'CapsuleNetwork'"):
        cz.load_model(SMALL_ID)


def test_weights_of_another_architecture(catalogue: Path) -> None:
    catalog.update_card(SMALL_ID, config={**SMALL_CONFIG, "internal_widths": [9, 4]})
    with pytest.raises(ValueError, match=r"Expected shape \(10, 784, 9\) .* Received: \(10, 784, 8\)"):
        cz.load_model(SMALL_ID)
    catalog.update_card(SMALL_ID, config={**SMALL_CONFIG, "internal_widths": [8, 4, 2]})
    with pytest.raises(ValueError, match=r"Expected 20 weights in .* for DenoisedInternalModels. Received: 16"):
        cz.load_model(SMALL_ID)


def test_update_card_rewrites_card_and_page(catalogue: Path) -> None:
    clean = {"correct": 5, "samples": 10, "accuracy": 0.5, "interval": [0.24, 0.76]}
    before = cz.model_card(SMALL_ID)
    updated = catalog.update_card(SMALL_ID, clean=clean)
    assert updated == dataclasses.replace(before, clean=clean) == cz.model_card(SMALL_ID)
    page = (catalogue / SMALL_ID / "README.md").read_text(encoding="utf-8")
    assert page == render_card(updated)
    assert "50.0 % (5 of 10 test images" in page
    assert cz.verify(SMALL_ID) == updated
    # Nothing is left of the temporary files that make the writes atomic.
    assert {path.name for path in (catalogue / SMALL_ID).iterdir()} == {"card.json", "README.md", "1"}


def test_card_is_never_half_written(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (catalogue / SMALL_ID / "card.json").read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", die)
    with pytest.raises(KeyboardInterrupt):
        catalog.update_card(SMALL_ID, title="Other")
    assert (catalogue / SMALL_ID / "card.json").read_bytes() == before
    assert cz.model_card(SMALL_ID).title == "A small model"


@pytest.mark.usefixtures("catalogue")
def test_update_of_an_unknown_field_changes_nothing() -> None:
    before = cz.model_card(SMALL_ID)
    with pytest.raises(TypeError, match="colour"):
        catalog.update_card(SMALL_ID, colour="red")
    assert cz.model_card(SMALL_ID) == before


def test_a_model_is_called_by_its_id_or_by_its_path(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert catalog.address(catalogue / "mnist/mine") == "mnist/mine"
    other = tmp_path / "runs/catalogue/mnist/mine"
    assert catalog.address(other) == str(other)
    monkeypatch.chdir(tmp_path)
    assert catalog.address(other) == catalog.address("runs/catalogue/mnist/mine") == "runs/catalogue/mnist/mine"
