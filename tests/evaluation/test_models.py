"""From a model's name or path to what is evaluated."""

import gc
from pathlib import Path

import keras
import pytest

from cortexzoo import catalog
from cortexzoo.evaluation.classifier import ClassifierError, saved_model_digest
from cortexzoo.evaluation.models import Model, catalogued, from_path, remembered
from cortexzoo.evaluation.opening import open_model
from cortexzoo.evaluation.preparation import Preparation
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.suites import find
from tests.evaluation import fake_results
from tests.zoo.conftest import SMALL_ID, make_card

CATALOGUE = [card.id for card in catalog.list_models()]


def test_saved_models_by_path(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_path)
    # The newest version of a folder of versions.
    for path in (tiny_path, tiny_path.parent, Path()):
        model = from_path(path)
        assert (model.name, model.group) == (tiny_path.parent.name,) * 2
        assert model.saved_model().resolve() == tiny_path.resolve()
        assert (model.dataset, model.model_id, model.digest) == ("", None, saved_model_digest(tiny_path))
    with pytest.raises(ClassifierError, match=r"one that holds saved_model\.pb\. Received: /somewhere/my_model/3"):
        from_path(Path("/somewhere/my_model/3"))


def sources(store: Store, model: Model, *, report_only: bool) -> list[Model]:
    """The sources of a model under the suite `transfer`, of which one is named."""
    prepare = Preparation(suite=find("transfer"), models=(), sources=("tiny/net-seed1",), report_only=report_only)
    return list(prepare._sources_for(model, store))


def test_models_that_the_store_alone_knows(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their results are reported without the model; a name of two models is nobody's."""
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    fake_results.add_model(store, "tiny/net-seed1")
    (model,) = remembered(["tiny/net-seed1"], store)
    assert (model.path, model.dataset, model.group) == (None, "tiny", "tiny/net")
    assert store.models()[model.digest] == "tiny/net-seed1"
    with pytest.raises(ValueError, match=r"Received: tiny/net-seed1, which has only stored results\."):
        model.saved_model()
    # Nor is it missed as a source of what is reported.
    other = Model("tiny/net", None, "tiny", kept_digest="1" * 64)
    assert sources(store, other, report_only=True) == [model]
    assert sources(store, model, report_only=True) == []
    with pytest.raises(ValueError, match="must name a model of the catalogue"):
        sources(store, other, report_only=False)
    with pytest.raises(ValueError, match="none in the catalogue, 0 in the store"):
        remembered(["tiny/other"], store)
    # In the order in which they are named, each once.
    monkeypatch.undo()
    names = ["tiny/net-seed1", *CATALOGUE[:1], "tiny/net-seed1"]
    assert [model.name for model in remembered(names, store)] == names[:-1]
    store.add_model("0" * 64, "tiny/net-seed1")
    with pytest.raises(ValueError, match="2 in the store"):
        remembered(["tiny/net-seed1"], store)


@pytest.mark.parametrize(
    ("name", "group"), [("tiny/a", "tiny/a"), ("tiny/a-seed12", "tiny/a"), ("tiny/a-seedling", "tiny/a-seedling")]
)
def test_names_tell_the_seed(name: str, group: str, store: Store) -> None:
    (model,) = remembered([fake_results.add_model(store, name).name], store)
    assert (model.group, model.seed_label) == (group, name.removeprefix(group))


@pytest.mark.skipif(not CATALOGUE, reason="the catalogue is empty")
def test_catalogued_models() -> None:
    # A training may publish another one while tests run.
    assert {model.model_id for model in catalogued(["all"])} >= set(CATALOGUE)
    (model,) = catalogued(2 * CATALOGUE[:1])
    assert (model.path / "saved_model.pb").is_file()


def test_changed_artefact_is_not_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(tmp_path))
    catalog.save_card(make_card(files={"1/saved_model.pb": "0" * 64}))
    (tmp_path / SMALL_ID / "1").mkdir()
    (tmp_path / SMALL_ID / "1" / "saved_model.pb").write_bytes(b"not what the card says")
    with pytest.raises(catalog.IntegrityError, match=r"saved_model\.pb"):
        catalogued([SMALL_ID])


def test_a_keras_file_is_a_model_as_long_as_anything_needs_it(tmp_path: Path) -> None:
    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(tmp_path / "mine.keras")
    model = open_model(str(tmp_path / "mine.keras"))
    # The Keras model itself is gone by then.
    gc.collect()
    assert model.name == "mine"
    assert (model.saved_model() / "saved_model.pb").is_file()
    folder = model.saved_model()
    del model
    gc.collect()
    assert not folder.exists()
