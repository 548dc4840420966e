"""What each layer contributes to the regularised similarity: softmax(g), from the cards of the models."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from cortexzoo.card import ModelCard
from cortexzoo.figures import figure_style, save_figure
from cortexzoo.files import csv_text, write_text

_COLUMNS = ("model", "target", "seed", "layer", "weight")


def write_layer_weights(cards: list[ModelCard], directory: Path) -> list[Path]:
    """Writes layer-weights.csv, with a row for each model and layer, and layer-weights.png.

    Args:
        cards: of models that were trained with the similarity regulariser.
        directory: where the files go; created where missing.

    Returns:
        The two files.

    Raises:
        ValueError: there is no card, or a card has no layer weights.
    """
    if lacking := [card.id for card in cards if "layer_weights" not in card.training] or not cards:
        raise ValueError(f"Expected models that were trained with the similarity regulariser. Received: {lacking or 'none'}")
    table, figure = directory / "layer-weights.csv", directory / "layer-weights.png"
    rows = [
        (card.id, card.recipe["config"]["target"], card.seed, layer, f"{weight:.6f}")
        for card in cards
        for layer, weight in card.training["layer_weights"].items()
    ]
    write_text(table, csv_text(_COLUMNS, [dict(zip(_COLUMNS, row, strict=True)) for row in rows]))
    _write_figure(cards, figure)
    return [table, figure]


def _write_figure(cards: list[ModelCard], path: Path) -> None:
    with figure_style({"axes.spines.right": True}):
        figure = Figure(figsize=(7.0, 1.0 + 0.3 * len(cards)), dpi=110, layout="constrained")
        axes = figure.subplots()
        for row, card in enumerate(cards):
            left = 0.0
            weights = card.training["layer_weights"]
            # From early to late, dark to bright.
            colours = colormaps["viridis"](np.linspace(0.0, 1.0, len(weights)))
            for (layer, weight), colour in zip(weights.items(), colours, strict=True):
                axes.barh(row, weight, left=left, color=colour, label=layer if not row else None)
                left += weight
        axes.set_yticks(range(len(cards)), [card.id for card in cards])
        axes.invert_yaxis()
        axes.set(xlim=(0.0, 1.0), xlabel="softmax(g): share of the layer in the similarity")
        figure.legend(loc="outside upper center", ncols=5, frameon=False)
        save_figure(figure, path)
