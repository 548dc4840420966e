"""The grids of short trainings: their cells, their table, how they resume, and their page."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.training.recipes import Trained, find
from cortexzoo.training.studies.similarity_settings import grids
from cortexzoo.training.studies.similarity_settings.grids import GRIDS, grid_cells, run_grid
from cortexzoo.training.studies.similarity_settings.page import grid_section, update_page
from cortexzoo.training.studies.similarity_settings.table import COLUMNS, NOISE, read_rows, write_rows
from tests.training.interrupted_fit import few_images
from tests.training.tiny_classifier import TinyClassifier


@pytest.mark.parametrize("grid", GRIDS)
def test_cells_change_what_the_grid_is_about_and_nothing_else(grid: str) -> None:
    cells = grid_cells(grid, "fashion_mnist")
    names = {
        "threshold": {"strength", "threshold"},
        "pairs": {"pairs"},
        "images": {"regularization_images"},
        "sets": {"regularization_dataset", "strength", "threshold"},
    }[grid]
    plain = [recipe for recipe, changes in cells if not changes]
    assert plain == (["fashion_mnist/resnet", "mnist/resnet"] if grid == "sets" else ["fashion_mnist/resnet"])
    configs = []
    for recipe, changes in cells[len(plain) :]:
        assert set(changes) == names
        config = find(recipe).config()
        config.update(changes)
        configs.append(config.to_json(sort_keys=True))
    assert len(set(configs)) == len(configs)
    # The published setting is one of the cells, so that the grid can be held against the trained models.
    assert find("fashion_mnist/resnet_thresholded").config().to_json(sort_keys=True) in configs


def test_section_has_the_settings_that_vary() -> None:
    common = {**dict.fromkeys(COLUMNS, ""), "dataset": "mnist", "epochs": "1", "train_images": "0", "seed": "0"}
    common |= {"accuracy": "0.9876", "noise_0.1": "0.95", "noise_0.2": "0.9", "noise_0.3": "0.8125"}
    regularised = {"regularization_dataset": "mnist", "strength": "4.0", "threshold": "0.2", "regularization_images": "5000"}
    rows = [{**common, "grid": "pairs"}, *({**common, **regularised, "grid": "pairs", "pairs": k} for k in ("4", "8"))]
    lines = grid_section(rows).splitlines()
    assert lines[0].startswith("Grid `pairs`: dataset mnist, regularization_dataset mnist, strength 4.0, threshold 0.2")
    assert lines[2:7] == [
        "| pairs | clean | noise 0.1 | noise 0.2 | noise 0.3 |",
        "| --: | --: | --: | --: | --: |",
        *(f"| {k} | 98.8 | 95.0 | 90.0 | 81.2 |" for k in ("none", "4", "8")),
    ]
    assert "`threshold`" not in grid_section(rows)
    assert "Grid `images`: dataset mnist" in grid_section([*rows, {**rows[1], "grid": "images"}])


def test_page_has_tables_and_figures(tmp_path: Path) -> None:
    common = {**dict.fromkeys(COLUMNS, ""), "dataset": "mnist", "epochs": "1", "train_images": "0", "seed": "0"}
    common |= {f"noise_{stddev}": "0.5" for stddev in NOISE} | {"accuracy": "0.9"}
    rows = []
    for grid in GRIDS:
        for recipe, changes in grid_cells(grid, "mnist"):
            rows.append({**common, "grid": grid, "dataset": recipe.split("/")[0], **{k: str(v) for k, v in changes.items()}})
    page = tmp_path / "page.md"
    page.write_text("<!-- similarity grids:begin -->\n<!-- similarity grids:end -->\n")
    update_page(rows, page, tmp_path / "figures")
    figures = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert figures == ["grid-images.png", "grid-pairs.png", "grid-threshold.png"]
    text = page.read_text()
    assert all(f"](figures/{name})" in text for name in figures)
    assert text.count("Grid `") == 4


def test_unknown_grid() -> None:
    with pytest.raises(ValueError, match=r"`grid` must be one of threshold, pairs, images, sets. Received: grid='alpha'"):
        grid_cells("alpha", "fashion_mnist")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ConfigDict]]:
    """Recipes that train nothing; returns what they were asked for."""
    calls: list[tuple[str, ConfigDict]] = []
    model = TinyClassifier()

    def untrained(recipe_id: str):
        def fit(config: ConfigDict, directory: Path) -> Trained:
            if len(calls) == 3:
                raise KeyboardInterrupt
            calls.append((recipe_id, config))
            return Trained(model, {}, {})

        return dataclasses.replace(find(recipe_id), fit=fit)

    monkeypatch.setattr(grids, "find", untrained)
    monkeypatch.setattr(grids, "noisy_accuracy", lambda model, split, stddev, seed: 0.9 - stddev)
    monkeypatch.setattr(datasets, "load", few_images)
    return calls


@pytest.mark.slow
def test_interrupted_grid_goes_on_where_it_was(trainings: list[tuple[str, ConfigDict]], tmp_path: Path) -> None:
    path = tmp_path / "results" / "grid.csv"
    with pytest.raises(KeyboardInterrupt):
        run_grid("pairs", "mnist", ["epochs=2"], tmp_path, path)
    before = read_rows(path)
    assert [row["pairs"] for row in before] == ["", "4", "8"]
    first = list(trainings)
    trainings.clear()
    run_grid("pairs", "mnist", ["epochs=2"], tmp_path, path)
    rows = read_rows(path)
    assert rows[:3] == before
    assert [config.pairs for _, config in trainings] == [16, 32]
    assert [row["target"] for row in rows] == ["none", *["thresholded"] * 4]
    assert {config.epochs for _, config in [*first, *trainings]} == {2}
    assert tuple(rows[0]) == COLUMNS
    assert [rows[4][name] for name in ("accuracy", "noise_0.1", "noise_0.3")] == ["0.9000", "0.8000", "0.6000"]
    trainings.clear()
    run_grid("pairs", "mnist", ["epochs=2"], tmp_path, path)
    assert not trainings, "a finished grid was trained again"
    with pytest.raises(KeyboardInterrupt):
        run_grid("pairs", "mnist", ["epochs=3"], tmp_path, path)
    rows = read_rows(path)
    assert [row["changes"] for row in rows] == [*["epochs=2"] * 5, *["epochs=3"] * 3], "other settings are other rows"
    # Tables tell them apart, and figures show the last ones.
    page = tmp_path / "page.md"
    page.write_text("<!-- similarity grids:begin -->\n<!-- similarity grids:end -->\n")
    width = [{**row, "changes": "width=8"} for row in rows[:5]]
    update_page([*rows[:5], *width], page, tmp_path / "figures")
    assert "| pairs | changes |" in page.read_text()
    assert (tmp_path / "figures" / "grid-pairs.png").exists()


def test_a_changed_recipe_takes_the_place_of_the_old_row(
    trainings: list[tuple[str, ConfigDict]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grid.csv"
    monkeypatch.setattr(grids, "PAIRS", (4, 8))
    run_grid("pairs", "mnist", ["epochs=2"], tmp_path, path)
    before = read_rows(path)
    trainings.clear()
    monkeypatch.setattr(grids, "config_digest", lambda config: "changed")
    run_grid("pairs", "mnist", ["epochs=2"], tmp_path, path)
    assert len(trainings) == 3
    assert read_rows(path) == [{**row, "settings": "changed"} for row in before]
    # Whatever another grid has written meanwhile stays.
    other = {**before[0], "grid": "images"}
    monkeypatch.setattr(grids, "config_digest", lambda config: "changed again")
    monkeypatch.setattr(grids, "_row", lambda *_: write_rows([other], path) or before[1])
    trainings.clear()
    run_grid("pairs", "mnist", ["epochs=2"], tmp_path, path)
    assert read_rows(path) == [other, before[1]]


def test_noise_is_added_to_the_images_and_clipped() -> None:
    seen = []

    class Recorder:
        def predict(self, images: np.ndarray, **_: object) -> np.ndarray:
            seen.append(images)
            return np.eye(10)[validation.labels]

    validation = few_images("mnist", "validation")
    assert grids.noisy_accuracy(Recorder(), validation, 0.0, 0) == 1.0
    assert grids.noisy_accuracy(Recorder(), validation, 0.3, 0) == 1.0
    np.testing.assert_array_equal(seen[0], validation.images)
    assert (seen[1].min(), seen[1].max(), seen[1].dtype) == (0.0, 1.0, np.float32)
    inside = (seen[1] > 0) & (seen[1] < 1) & (abs(validation.images - 0.5) < 0.05)
    # Clipping takes little from images near 0.5 at 0.3.
    assert (seen[1] - validation.images)[inside].std() == pytest.approx(0.25, abs=0.05)
