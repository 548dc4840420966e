"""The table and the figure of learned layer weights."""

import csv
from pathlib import Path

import pytest

from cortexzoo.training.studies.layer_weights import write_layer_weights
from tests.zoo.conftest import make_card


def test_layer_weights_of_two_cards(tmp_path: Path) -> None:
    weights = {"stem": 0.5, "stage_1": 0.3, "stage_2": 0.2}
    cards = [
        make_card(
            id=f"mnist/{name}",
            recipe={"name": f"mnist/{name}", "config": {"target": name}},
            training={"layer_weights": weights},
        )
        for name in ("pixel", "shuffled")
    ]
    table, figure = write_layer_weights(cards, tmp_path / "figures")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["target"], row["layer"], float(row["weight"])) for row in rows] == [
        (card.id, card.id.split("/")[1], layer, weight) for card in cards for layer, weight in weights.items()
    ]
    first = figure.read_bytes()
    write_layer_weights(cards, tmp_path / "figures")
    assert figure.read_bytes() == first


def test_layer_weights_of_a_plain_network(tmp_path: Path) -> None:
    for cards in ([], [make_card()]):
        with pytest.raises(ValueError, match=r"Expected models that were trained with the similarity"):
            write_layer_weights(cards, tmp_path)
