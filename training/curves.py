"""A picture of a training: its losses and accuracies over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cortexzoo.figures import figure_style, save_figure


def plot_history(history: Mapping[str, Sequence[float]], path: Path) -> Path:
    """Draws what Keras logged, losses beside accuracies, and returns the path.

    Args:
        history: values of each epoch, by name. Those whose name contains "loss" or "accuracy" are drawn.
        path: of the PNG or SVG that is written.
    """
    with figure_style():
        figure = Figure(figsize=(7.0, 2.8), layout="constrained")
        for axes, kind in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for name in sorted(name for name in history if kind in name):
                axes.plot(range(1, len(history[name]) + 1), history[name], marker=".", label=_label(name))
            axes.set(xlabel="epoch", ylabel=kind)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(frameon=False)
        return save_figure(figure, path)


def _label(name: str) -> str:
    """`accuracy` is that of the images as they are trained on, `val_accuracy` that of clean ones."""
    if not name.startswith("val_"):
        return f"{name}, as trained"
    return f"{name.removeprefix('val_').replace('_', ' ')}, validation"
