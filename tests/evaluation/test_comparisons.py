"""Our numbers beside the paper's, which attack was nearest, and the heat map."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from cortexzoo import datasets
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.report import report_of
from cortexzoo.evaluation.report.heatmap import accuracy_heatmap
from cortexzoo.evaluation.report.page import update_page
from cortexzoo.evaluation.report.sections.comparison import comparison_table
from cortexzoo.evaluation.report.sections.nearest import nearest, nearest_rows, nearest_table
from cortexzoo.evaluation.report.sections.pairs import pairs_table
from cortexzoo.evaluation.results.score import Score, union_of
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites import find
from cortexzoo.evaluation.suites import paper42_published as published
from cortexzoo.norms import NORM_NAMES, NORMS
from tests.conftest import load_split
from tests.evaluation.evaluations import changed, evaluation_of

IDS = np.arange(4)
MNIST = datasets.info("mnist")
# Of the clean predictions; the scores below are in none.
STORE = Store(":memory:")


def score(label: str, norm: str, *distances: float) -> Score:
    return Score(label, norm, MNIST.thresholds[norm], np.array(distances), IDS)


def make_summary(name: str, *attacks: Score) -> Summary:
    unions = [union_of(f"all {norm}", members) for norm in NORMS if (members := [a for a in attacks if a.norm == norm])]
    model = Model(name, None, "mnist", kept_digest=name * 8, group=name)
    evaluation = evaluation_of(STORE, model, MNIST, load_split("mnist", "test").first(len(IDS)))
    STORE.set_clean(model.digest, "mnist", IDS, IDS, IDS)
    return Summary(evaluation, "paper42", 99, 100, list(attacks), unions, [])


@pytest.fixture
def summary() -> Summary:
    """Three attacks in Linf: one is best for two samples, another ties once, the third never wins; sample 0 is wrong."""
    return make_summary(
        "mnist/dim",
        score("PGD L∞", "linf", 0.0, 0.2, 0.5, np.inf),
        score("FGM L∞", "linf", 0.0, 0.2, 0.6, np.inf),
        score("Noise L∞", "linf", 0.0, 0.9, 0.9, np.inf),
        score("PGD L2", "l2", 0.0, 1.0, 2.0, 3.0),
    )


def test_nearest_names_the_attacks_that_reached_the_smallest_distance(summary: Summary) -> None:
    assert nearest(summary, summary.unions[0]) == [[], ["PGD L∞", "FGM L∞"], ["PGD L∞"], []]
    rows = [row for row in nearest_rows([summary]) if row["norm"] == "linf"]
    assert [row["attacks"] for row in rows] == ["", "PGD L∞;FGM L∞", "PGD L∞", ""]
    assert [row["distance"] for row in rows] == [0.0, 0.2, 0.5, np.inf]
    # Within 0.3 there are the wrong one and the second.
    assert [row["broken"] for row in rows] == [True, True, False, False]


def test_table_of_the_nearest_counts_ties_for_each(summary: Summary) -> None:
    line = next(line for line in nearest_table([summary]).splitlines() if line.startswith("| L∞"))
    assert line == "| L∞ | PGD 100 %<br>FGM 50 % |"


def test_report_has_a_row_a_sample(summary: Summary, tmp_path: Path) -> None:
    report_of([summary]).write([summary], tmp_path)
    with open(tmp_path / "nearest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["norm"], row["sample"]) for row in rows] == [(norm, str(i)) for norm in ("linf", "l2") for i in IDS]
    assert rows[3]["distance"] == "inf"


def test_comparison_subtracts_the_papers_figure(summary: Summary) -> None:
    text = comparison_table([summary])
    rows = {line.split("|")[1].strip(" *"): line.split("|")[2].strip() for line in text.splitlines() if line.startswith("|")}
    # PGD's 0.5 and its failure are beyond 0.3: two of four survive.
    assert rows["PGD L∞"] == "50.0<br><sub>85 (-35) ↓</sub>"
    assert rows["all L∞"] == "0.35 / 50.0<br><sub>0.2 / 8 (+42) ↑</sub>"
    assert rows["PGD L2"] == "50.0<br><sub>94 (-44) ↓</sub>"
    assert rows["clean"] == "99.0<br><sub>96 (+3)</sub>"
    # The paper has no such row.
    assert "Noise L∞" not in rows
    assert "↓: at least 5 points below" in text


def test_pairs_are_compared_on_the_images_that_both_were_attacked_on() -> None:
    def model(name: str, distances: np.ndarray, ids: np.ndarray) -> Summary:
        return make_summary(name, dataclasses.replace(score("PGD L∞", "linf"), distances=distances, ids=ids))

    ids = np.arange(40)
    # On the 30 images that all were attacked on, 15 more survive; the other ten do not count.
    strong = model("mnist/strong", np.full(30, 0.4), ids[:30])
    weak = model("mnist/weak", np.where(ids < 15, 0.2, 0.4), ids)
    near = model("mnist/near", np.where(ids < 3, 0.2, 0.4), ids)
    two_norms = dataclasses.replace(near, unions=[*near.unions, dataclasses.replace(near.unions[0], norm="l2")])
    lines = pairs_table([strong, weak, two_norms]).splitlines()
    assert [line for line in lines if line.startswith("| ") and ":--" not in line] == [
        "| models | L∞ | L2 |",
        "| strong - weak | **+50.0** | — |",
        # p is 0.25 with 3 of 3.
        "| strong - near | +10.0 | — |",
        "| weak - near | **-30.0** | — |",
    ]
    assert "the table's 3 comparisons" in lines[-1]
    assert "| strong - other | — |" in pairs_table([strong, model("mnist/other", np.full(10, 0.4), ids[30:])])


def test_comparison_is_in_the_papers_order_and_wants_its_models(summary: Summary) -> None:
    names = ("mnist/im", "mnist/dim", "mnist/cnn", "mnist/of_someone")
    models = [changed(summary, name=name, kept_digest=name) for name in names]
    assert comparison_table(models).splitlines()[0] == "| attack | cnn | dim | im |"
    with pytest.raises(ValueError, match="Received: mnist/of_someone"):
        comparison_table(models[3:])


def test_published_rows_are_rows_of_the_suite() -> None:
    labels = {member.label for member in find("paper42").build(MNIST)}
    unions = {f"all {name}" for name in NORM_NAMES.values()}
    assert set(published.ACCURACY) <= labels | unions | {"clean", "minimal"}
    assert set(published.MEDIAN) <= set(published.ACCURACY)
    assert all(len(row) == len(published.MODELS) for row in [*published.ACCURACY.values(), *published.MEDIAN.values()])
    # A union is no farther than its members, up to the rounding of both.
    for norm in NORM_NAMES.values():
        members = [row for label, row in published.ACCURACY.items() if label.endswith(norm) and not label.startswith("all")]
        for union, *others in zip(published.ACCURACY[f"all {norm}"], *members, strict=True):
            assert union <= min(others) + 1


def test_heat_map_has_a_cell_a_number(summary: Summary) -> None:
    other = make_summary("mnist/cnn", score("PGD L∞", "linf", 0.0, 0.0, 0.0, 0.0))
    figure = accuracy_heatmap([summary, other])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["PGD L∞", "FGM L∞", "Noise L∞", "PGD L2"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["dim", "cnn"]
    np.testing.assert_array_equal(axes.images[0].get_array().filled(np.nan)[:, 1], [0, np.nan, np.nan, np.nan])
    cells = [text for text in axes.findobj(Text) if text.get_text() in ("25", "50", "75", "0")]
    assert {tuple(map(round, text.get_position())) for text in cells} >= {(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)}


def test_page_gets_the_sections_it_asks_for(summary: Summary, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    names = ("results paper42", "results other", "comparison", "nearest paper42")
    page.write_text("\n".join(f"<!-- {name}:begin -->\nold\n<!-- {name}:end -->" for name in names), encoding="utf-8")
    update_page([summary], page, tmp_path / "figures")
    parts = dict(zip(names, page.read_text(encoding="utf-8").split(":begin -->\n")[1:], strict=True))
    assert parts["results other"].startswith("old\n")
    assert "(figures/heatmap-mnist.png)" in parts["results paper42"]
    assert comparison_table([summary]) in parts["comparison"]
    assert nearest_table([summary]) in parts["nearest paper42"]
