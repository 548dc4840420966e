"""The sweep: its table, its resumption, what may be taken from it, and the saturation that it measures."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from cortexzoo import datasets
from cortexzoo.models import MaxPoolingNetwork, MultilayerPerceptron
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.limits import Range
from cortexzoo.training.recipes import Recipe, Trained
from cortexzoo.training.studies.sweep.run import saturation_statistics, sweep
from cortexzoo.training.studies.sweep.table import Point, largest_within, read_points, table_path, write_points
from tests.training.interrupted_fit import few_images

POINT = Point(0.0, 0.98, 0.1, 0.2, epochs=3, seed=0, settings="abc")


@pytest.fixture(autouse=True)
def small_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load", few_images)


def make_recipe(runs: list[float]) -> Recipe:
    """A recipe without training, which notes what it was asked for; accuracy falls with the strength."""

    def fit(config: ConfigDict, directory: Path) -> Trained:
        runs.append(config.strength)
        model = MultilayerPerceptron((5,), saturation_penalty=config.strength)
        model.build()
        return Trained(model, {"accuracy": 0.98 - 0.004 * config.strength}, {})

    config = ConfigDict({"dataset": "mnist", "seed": 0, "epochs": 3, "strength": 1.0})
    paper = {"title": "", "authors": "", "year": 2017, "url": ""}
    return Recipe(
        "mnist/tiny", "A tiny network", "", paper, [], [], lambda: config.copy_and_resolve_references(), fit, "tiny"
    )


def test_sweep_trains_what_the_table_lacks(tmp_path: Path) -> None:
    runs: list[float] = []
    recipe = make_recipe(runs)
    path = sweep(recipe, recipe.config(), [0.0, 2.0], tmp_path / "runs", tmp_path)
    assert path == table_path(tmp_path, "mnist/tiny")
    figure = path.with_suffix(".png").read_bytes()
    assert sweep(recipe, recipe.config(), [2.0, 0.0], tmp_path / "runs", tmp_path) == path
    assert runs == [0.0, 2.0]
    assert path.with_suffix(".png").read_bytes() == figure
    sweep(recipe, recipe.config(), [3.0, 1.0], tmp_path / "runs", tmp_path)
    assert runs == [0.0, 2.0, 3.0, 1.0]
    points = read_points(path)
    assert [point.strength for point in points] == [0.0, 1.0, 2.0, 3.0]
    assert [point.accuracy for point in points] == pytest.approx([0.98, 0.976, 0.972, 0.968])
    assert largest_within(path) == 2.0


def test_lines_of_other_settings_leave_the_table(tmp_path: Path) -> None:
    runs: list[float] = []
    recipe = make_recipe(runs)
    path = sweep(recipe, recipe.config(), [0.0, 2.0], tmp_path / "runs", tmp_path)
    longer = recipe.config()
    longer.epochs = 5
    sweep(recipe, longer, [0.0], tmp_path / "runs", tmp_path)
    assert [(point.strength, point.epochs) for point in read_points(path)] == [(0.0, 5)]
    assert runs == [0.0, 2.0, 0.0]


def test_sweep_needs_a_strength(tmp_path: Path) -> None:
    recipe = make_recipe([])
    with pytest.raises(ValueError, match=r"with a `strength`. Received: mnist/tiny, which has dataset, seed"):
        sweep(recipe, ConfigDict({"dataset": "mnist", "seed": 0}), [0.0], tmp_path, tmp_path)


def test_strengths_are_refused_before_the_first_training(tmp_path: Path) -> None:
    runs: list[float] = []
    recipe = dataclasses.replace(make_recipe(runs), limits={"strength": Range(0.0, 10.0)})
    with pytest.raises(ConfigError, match=r"Expected strength to be from 0.0 to 10.0. Received: strength=-1.0"):
        sweep(recipe, recipe.config(), [0.0, -1.0], tmp_path / "runs", tmp_path)
    assert runs == []


def test_table_round_trip(tmp_path: Path) -> None:
    points = [dataclasses.replace(POINT, strength=1e-6, accuracy=1 / 3), POINT]
    write_points(points, tmp_path / "table.csv")
    assert read_points(tmp_path / "table.csv") == points[::-1]
    assert read_points(tmp_path / "none.csv") == []


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({0.0: 0.98, 1.0: 0.97, 2.0: 0.9698}, 1.0),
        ({0.0: 0.98, 1.0: 0.9}, 0.0),
        ({0.0: 0.9, 0.1: 0.95, 5.0: 0.9}, 5.0),
    ],
    ids=["exactly one point counts", "none", "better than vanilla"],
)
def test_largest_strength_within_a_point(accuracies: dict[float, float], expected: float, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_points([dataclasses.replace(POINT, strength=s, accuracy=a) for s, a in accuracies.items()], path)
    assert largest_within(path) == expected


def test_largest_strength_needs_the_plain_network(tmp_path: Path) -> None:
    write_points([dataclasses.replace(POINT, strength=1.0)], tmp_path / "table.csv")
    assert largest_within(tmp_path / "table.csv") is None


def test_saturation_statistics() -> None:
    """Over all units and images alike; with biases so high that the first layer is saturated, and the second not."""
    model = MultilayerPerceptron((6, 2), "sigmoid")
    model.build()
    weights = model.get_weights()
    weights[1] += 50.0
    model.set_weights(weights)
    statistics = saturation_statistics(model, few_images("mnist", "validation").images)
    assert statistics["saturated_share"] == pytest.approx(6 / 8)
    assert 0.0 < statistics["mean_saturation"] <= 0.25 * 2 / 8


def test_saturation_statistics_count_every_pixel_of_a_map() -> None:
    model = MaxPoolingNetwork((2,), 3, (4,), "relu")
    model.build()
    images = few_images("mnist", "validation").images
    values = np.concatenate([np.ravel(v) for name, v in model.features(images).items() if name.startswith("pre_")])
    statistics = saturation_statistics(model, images)
    assert statistics["mean_saturation"] == pytest.approx(np.maximum(values, 0).mean(), rel=1e-5)
    assert statistics["saturated_share"] == pytest.approx((values < 0.0025).mean())
