"""Short trainings around the published settings of the similarity regulariser, as one CSV table."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging
from cortexzoo import datasets
from cortexzoo.files import write_text
from cortexzoo.sections import replace_section
from cortexzoo.training.configuration import change_config, config_digest, run_directory
from cortexzoo.training.recipes import find
from cortexzoo.training.studies.similarity_grid.figure import write_grid_figures
from cortexzoo.training.targets import published_setting
from ml_collections import ConfigDict

STRENGTHS, THRESHOLDS = (1.0, 4.0, 10.0, 40.0), (0.2, 0.4, 0.6, 0.8)
PAIRS, IMAGES, SETS = (4, 8, 16, 32), (100, 1000, 5000), ("fashion_mnist", "mnist")
NOISE = (0.1, 0.2, 0.3)
_MEASURED = {"accuracy": "clean", **{f"noise_{stddev}": f"noise {stddev}" for stddev in NOISE}}
_SETTINGS = ("regularization_dataset", "strength", "threshold", "pairs", "regularization_images")
COLUMNS = (
    *("grid", "dataset", "target", *_SETTINGS, "epochs", "train_images", "seed", "changes"),
    *(*_MEASURED, "settings"),
)
GRIDS = ("threshold", "pairs", "images", "sets")


def grid_cells(grid: str, dataset: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns the cells of a grid: (recipe, changes of its config). The plain network comes first.

    Args:
        grid: "threshold" (strength times threshold), "pairs" (k), "images" (N) or "sets" (the data set and the
            regularisation set are each of Fashion-MNIST and MNIST, with the settings published for the two).
        dataset: the data set of all grids but "sets".

    Raises:
        ValueError: there is no such grid.
    """
    if grid not in GRIDS:
        raise ValueError(f"`grid` must be one of {', '.join(GRIDS)}. Received: grid={grid!r}")
    if grid == "sets":
        published = [published_setting(task, pairs) for task in SETS for pairs in SETS]
        cells = [
            (one.task, {"regularization_dataset": one.pairs, "strength": one.alpha, "threshold": one.threshold})
            for one in published
        ]
    elif grid == "threshold":
        cells = [(dataset, {"strength": alpha, "threshold": level}) for alpha in STRENGTHS for level in THRESHOLDS]
    else:
        name, values = ("pairs", PAIRS) if grid == "pairs" else ("regularization_images", IMAGES)
        cells = [(dataset, {name: value}) for value in values]
    plain = [(f"{task}/resnet", {}) for task in dict.fromkeys(task for task, _ in cells)]
    return [*plain, *((f"{task}/resnet_thresholded", changes) for task, changes in cells)]


def run_grid(grid: str, dataset: str, changes: list[str], workdir: Path, path: Path) -> Path:
    """Trains the cells that the table lacks, one after another, and adds each as it is done.

    Args:
        grid: name of the grid.
        dataset: data set of the trainings.
        changes: "name=value" changes of every config, such as "epochs=1".
        workdir: folder of checkpoints, from which a training that was killed resumes.
        path: the CSV file.

    Returns:
        `path`.

    Raises:
        ValueError: there is no such grid or recipe, or a change is not one of the config.
    """
    runs = []
    for recipe_id, cell in grid_cells(grid, dataset):
        recipe = find(recipe_id)
        config = change_config(recipe.config(), changes)
        config.update(cell)
        runs.append((recipe, config))
    done = {(row["grid"], row["dataset"], row["settings"]) for row in read_rows(path)}
    for recipe, config in runs:
        if (grid, config.dataset, config_digest(config)) in done:
            continue
        logging.info("%s: %s", recipe.id, {name: config[name] for name in _SETTINGS})
        keras.utils.clear_session()
        keras.utils.set_random_seed(config.seed)
        trained = recipe.fit(config, run_directory(workdir, recipe.id, config))
        row = _row(grid, config, trained.model, changes)
        # Read anew: another grid may have added to the table meanwhile.
        _write_rows(_with(read_rows(path), row), path)
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a table, all values as text; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def update_grid_page(rows: list[dict[str, str]], page: Path, figures: Path) -> None:
    """Makes the section `similarity grids` of a Markdown page anew, see `cortexzoo.sections.replace_section`.

    Args:
        rows: those of `read_rows`.
        page: a Markdown file.
        figures: folder that the figures (PNG) are written to.

    Raises:
        ValueError: there is no such section.
    """
    written = write_grid_figures(rows, _MEASURED, figures)
    links = [f"![Grid {path.stem[5:]}]({os.path.relpath(path, page.parent)})" for path in written]
    replace_section(page, "similarity grids", "\n\n".join([grid_section(rows), *links]) + "\n")


def grid_section(rows: list[dict[str, str]]) -> str:
    """Returns a Markdown table a grid: the settings that vary in it, and the validation accuracies in per cent.

    Args:
        rows: those of `read_rows`.
    """
    parts = []
    for grid in GRIDS:
        found = [row for row in rows if row["grid"] == grid]
        # The plain network has none of the settings.
        names = ("dataset", *_SETTINGS, "epochs", "train_images", "seed", "changes")
        varying = [name for name in names if len({row[name] for row in found} - {""}) > 1]
        if not found:
            continue
        lines = [[*varying, *_MEASURED.values()], ["--:"] * (len(varying) + len(_MEASURED))]
        for row in found:
            lines.append(
                [*(row[name] or "none" for name in varying), *(f"{100 * float(row[name]):.1f}" for name in _MEASURED)]
            )
        same = ", ".join(f"{name} {found[-1][name]}" for name in names if name not in varying and found[-1][name])
        parts += [f"Grid `{grid}`: {same}.", "\n".join(f"| {' | '.join(cells)} |" for cells in lines)]
    parts.append(
        "Accuracy on validation images in per cent, clean and under Gaussian noise. none: the plain network; "
        "train_images 0: all of them; changes: of the recipes' settings."
    )
    return "\n\n".join(parts)


def noisy_accuracy(model: keras.Model, split: datasets.Split, stddev: float, seed: int) -> float:
    """Returns the accuracy on images with Gaussian noise, clipped to [0, 1]."""
    noise = np.random.default_rng(seed).normal(0.0, stddev, split.images.shape).astype(np.float32)
    logits = model.predict(np.clip(split.images + noise, 0.0, 1.0), batch_size=500, verbose=0)
    return float(np.mean(logits.argmax(axis=1) == split.labels))


def _row(grid: str, config: ConfigDict, model: keras.Model, changes: list[str]) -> dict[str, str]:
    validation = datasets.load(config.dataset, "validation")
    accuracies = [noisy_accuracy(model, validation, stddev, config.seed) for stddev in (0.0, *NOISE)]
    # The plain network has none of the regulariser's settings, whatever its config says.
    settings = [config[name] if config.target != "none" else "" for name in _SETTINGS]
    values = [grid, config.dataset, config.target, *settings, config.epochs, config.train_images, config.seed]
    values.append(" ".join(sorted(changes)))
    values += [*(f"{accuracy:.4f}" for accuracy in accuracies), config_digest(config)]
    return {name: str(value) for name, value in zip(COLUMNS, values, strict=True)}


def _with(rows: list[dict[str, str]], row: dict[str, str]) -> list[dict[str, str]]:
    """Adds a row, in the place of the same cell's where there is one: a recipe was changed since."""
    cell = COLUMNS[: COLUMNS.index("changes") + 1]
    for i, old in enumerate(rows):
        if all(old[name] == row[name] for name in cell):
            return [*rows[:i], row, *rows[i + 1 :]]
    return [*rows, row]


def _write_rows(rows: list[dict[str, str]], path: Path) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
