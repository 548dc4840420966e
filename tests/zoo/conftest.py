"""A catalogue of one small, untrained model, for tests that break or change it."""

import shutil
from pathlib import Path

import pytest

from cortexzoo import catalog
from cortexzoo.card import ModelCard, write_card
from cortexzoo.card_page import render_card
from cortexzoo.export import export_model
from cortexzoo.loading import create_model

SMALL_CONFIG = {"denoiser_widths": [16, 8], "internal_widths": [8, 4], "binarize": True, "name": "small"}
SMALL_ID = "mnist/small"


def make_card(**changes: object) -> ModelCard:
    """Returns a complete card without files."""
    values = {
        "id": SMALL_ID,
        "title": "A small model",
        "description": "For tests.",
        "class_name": "DenoisedInternalModels",
        "config": SMALL_CONFIG,
        "dataset": "mnist",
        "parameters": 1,
        "paper": {"title": "On small models", "authors": "A. Nobody, B. Noone", "year": 2021, "url": ""},
        "from_paper": ["Its idea."],
        "our_choice": ["Its size."],
        "recipe": {"name": SMALL_ID, "config": {}},
        "seed": 0,
        "versions": {"python": "3.11.0"},
        "training": {"seconds": 1.0, "hardware": "none", "epochs": {}, "validation": {"accuracy": 0.1}},
        "licence": "Apache-2.0",
        "files": {},
    }
    return ModelCard(**{**values, **changes})


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue on disk that no test changes."""
    root = tmp_path_factory.mktemp("catalogue")
    model = create_model("DenoisedInternalModels", SMALL_CONFIG)
    export_model(model, root / SMALL_ID / "1")
    card = make_card(parameters=model.count_params(), files=catalog.artefact_digests(root / SMALL_ID))
    write_card(card, root / SMALL_ID / "card.json")
    (root / SMALL_ID / "README.md").write_text(render_card(card), encoding="utf-8")
    return root


@pytest.fixture
def catalogue(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that $CORTEXZOO_SAVED_MODELS names; the test may do to it what it likes."""
    root = tmp_path / "catalogue"
    shutil.copytree(published, root)
    monkeypatch.setenv("CORTEXZOO_SAVED_MODELS", str(root))
    return root
