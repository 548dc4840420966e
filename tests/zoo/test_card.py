"""The model card: JSON there and back, a checked schema, and the page made from it."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortexzoo.card import ModelCard, read_card, write_card
from cortexzoo.card_page import level_name, percent, render_card
from cortexzoo.files import write_text
from cortexzoo.norms import NORMS
from tests.zoo.conftest import make_card

UNION = {"epsilon": 0.3, "accuracy": 0.523, "interval": [0.49, 0.55], "median": 0.31, "samples": 1000}
SCORES = {
    "clean": {"correct": 9876, "samples": 10000, "accuracy": 0.9876, "interval": [0.985, 0.99]},
    "robust": {"cleverhans": {"seed": 0, "unions": {"linf": UNION}, "attacks": [{**UNION, "label": "PGD", "median": None}]}},
    "diagnostics": {"cleverhans": [{"name": "Zero gradients", "finding": "3 % of the images", "warning": True}]},
}
SHIFT = {
    "label": "Gaussian noise",
    "unit": "standard deviation",
    "levels": [0.05, 0.1],
    "accuracies": [0.913, 0.5],
    "area": 0.7512,
    "area_interval": [0.72, 0.78],
    "samples": 1000,
}
SCORES["robustness"] = {
    "linf": {
        **{"accuracy": 0.51, "interval": [0.48, 0.54], "samples": 1000, "epsilon": 8 / 255},
        **{"decided_by": "Square", "votes": {"APGD-CE": 480, "Square": 10}},
    }
}
SCORES["diagnosis"] = {
    **{"verdict": "The gradient misleads.", "causes": ["rounding"]},
    "checks": [{"name": "Rounded logits", "finding": "on 9 images", "value": 0.9, "warning": True}],
}
SCORES["shifts"] = {"noise": {"seed": 0, "shifts": [SHIFT]}}
TEXTS = st.text(max_size=20)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(title=TEXTS, config=st.dictionaries(TEXTS, st.integers() | TEXTS | st.lists(st.floats(0, 1))), seed=st.integers())
def test_written_card_reads_back(tmp_path: Path, title: str, config: dict, seed: int) -> None:
    card = make_card(title=title, config=config, seed=seed, **SCORES)
    write_card(card, tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == card


def write_values(path: Path, **changes: object) -> Path:
    values = dataclasses.asdict(make_card()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not ...}))
    return path


def test_text_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    for content in (b"", b"{", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"Expected a JSON model card in {path}. Received a file that does not parse"):
            read_card(path)


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"schema_version": 2}'])
def test_another_schema_version(tmp_path: Path, content: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="Expected a model card with schema_version 1"):
        read_card(path)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ModelCard)])
def test_every_field_is_checked(tmp_path: Path, field: str) -> None:
    """A missing field is an error unless it has a default, and a value of another type always is."""
    path = write_values(tmp_path / "card.json", **{field: ...})
    if field in (
        "family",
        "variant",
        "variant_of",
        "group",
        "clean",
        "robustness",
        "robust",
        "diagnosis",
        "diagnostics",
        "shifts",
    ):
        assert read_card(path) == make_card()
    else:
        with pytest.raises(ValueError, match=field):
            read_card(path)
    with pytest.raises(ValueError, match=field):
        read_card(write_values(path, **{field: None}))


def test_unknown_field(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has unknown fields: colour, weight."):
        read_card(write_values(tmp_path / "card.json", colour="red", weight=3))


def test_accuracies() -> None:
    assert make_card().clean_accuracy is None
    assert make_card().robust_accuracy("linf") is None
    card = make_card(**SCORES)
    assert card.clean_accuracy == 0.9876
    assert card.robust_accuracy("linf", "cleverhans") == 0.523
    # A suite's number is no verdict, and a higher one never stands for it.
    assert card.robust_accuracy("linf") == card.worst_case("linf")["accuracy"] == 0.51
    assert make_card(robust=SCORES["robust"]).robust_accuracy("linf") is None
    assert card.robust_accuracy("l2") is None
    assert card.robust_accuracy("linf", "quick") is None
    assert card.minimal_accuracy is None
    everywhere = {norm: SCORES["robustness"]["linf"] | {"accuracy": i / 10} for i, norm in enumerate(NORMS, start=3)}
    assert make_card(robustness=everywhere).minimal_accuracy == 0.3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"accuracy": 1.1}, r"robustness\.linf\.accuracy"),
        ({"interval": [0.2]}, r"robustness\.linf\.interval"),
        ({"samples": 0.5}, r"robustness\.linf\.samples"),
        ({"votes": ["PGD"]}, r"robustness\.linf\.votes"),
    ],
)
def test_a_wrong_worst_case_is_refused(tmp_path: Path, change: dict, field: str) -> None:
    values = {"linf": SCORES["robustness"]["linf"] | change}
    with pytest.raises(ValueError, match=f"Expected `{field}` of the model card"):
        read_card(write_values(tmp_path / "card.json", robustness=values))


def test_a_worst_case_in_an_unknown_norm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"norms linf, l2, l1, l0\. Received: 'l3'"):
        read_card(write_values(tmp_path / "card.json", robustness={"l3": SCORES["robustness"]["linf"]}))


def test_version_is_the_newest_folder() -> None:
    assert make_card(files={"2/saved_model.pb": "", "10/saved_model.pb": "", "9/saved_model.pb": ""}).version == 10


def test_page_of_an_unevaluated_model() -> None:
    page = render_card(make_card())
    assert page.startswith("# A small model\n")
    assert "Not evaluated yet." in page
    assert 'cz.load_model("mnist/small")' in page
    assert "- Its idea." in page
    assert "Validation accuracy: 0.1000." in page


def test_page_shows_every_score() -> None:
    page = render_card(make_card(**SCORES))
    assert "98.8 % (9,876 of 10,000 test images; 95 % interval 98.5 to 99.0 %)" in page
    assert "| L∞ | 0.3 | 52.3 % | 49.0 to 55.0 % | 0.31 | 1000 |" in page
    assert "| PGD | 0.3 | 52.3 % | 49.0 to 55.0 % | ∞ | 1000 |" in page
    assert "| Gaussian noise (standard deviation) | 0.05: 91.3, 0.1: 50.0 | 75.1 % | 72.0 to 78.0 % | 1000 |" in page
    assert "| L∞ | 8/255 | **51.0 %** | 48.0 to 54.0 % | 1,000 | Square | APGD-CE 480, Square 10 |" in page
    assert "| APGD-CE 480, Square 10 |\n\nThe gradient misleads.\n\nSuite `cleverhans`, seed 0;" in page
    start = "## Signs of gradient masking\n\nThe gradient misleads.\n\n- Rounded logits: on 9 images **(warning)**\n\n"
    assert f"{start}Suite `cleverhans`:\n\n- Zero gradients: 3 % of the images **(warning)**\n\n## Training" in page
    assert "Suite `cleverhans`:\n\n- Zero gradients: 3 % of the images **(warning)**" in page


def test_percent() -> None:
    assert (percent(None), percent(0.0), percent(0.98765), percent(1.0)) == ("—", "0.0 %", "98.8 %", "100.0 %")


@pytest.mark.parametrize(
    ("level", "name"),
    [(0.05, "0.05"), (3.0, "3"), (0.25 / 255, "0.25/255"), (4 / 255, "4/255"), (8 / 255, "8/255"), (0.012345, "0.01235")],
)
def test_level_name(level: float, name: str) -> None:
    assert level_name(level) == name


def test_interrupted_write_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "card.json"
    write_text(path, "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
