"""Curves and adversarial images show what the per-sample distances in the store say."""

import math

import numpy as np
import pytest
from matplotlib.text import Text

from cortexzoo.evaluation.report.curves import accuracy_curves, line_styles
from cortexzoo.evaluation.report.gallery import adversarials, chosen_attacks, gallery
from cortexzoo.evaluation.report.layout import distance
from cortexzoo.evaluation.results.store import RunKey, Store
from tests.evaluation.fake_results import COMPLETE, FAILED, FEW, INFO, MISCLASSIFIED, SPLIT, THRESHOLDS, N, add_model


@pytest.mark.parametrize("models", [1, 2])
def test_curves_have_a_panel_a_norm_and_one_colour_a_model(store: Store, models: int) -> None:
    summaries = [add_model(store, f"tiny/model{i}") for i in range(models)]
    styles = line_styles(summaries)
    panels = [panel for panel in accuracy_curves(summaries, styles).axes if panel.get_title("left")]
    assert [panel.get_title("left").split(",")[0] for panel in panels] == ["L∞", "L1"]
    for norm, panel in zip(("linf", "l1"), panels, strict=True):
        left, right = panel.get_xlim()
        assert left <= THRESHOLDS[norm] <= right
        thick = [line for line in panel.get_lines() if line.get_linewidth() > 1.5]
        assert [line.get_color() for line in thick] == [styles[summary.digest]["color"] for summary in summaries]
        thin = [line for line in panel.get_lines() if line.get_linewidth() < 1.0]
        assert len(thin) == (sum(score.norm == norm for score in summaries[0].attacks) if models == 1 else 0)
        for line, summary in zip(thick, summaries, strict=True):
            (union,) = (score for score in summary.unions if score.norm == norm)
            at = np.searchsorted(line.get_xdata(), union.epsilon, side="right") - 1
            assert line.get_ydata()[at] == pytest.approx(100 * union.accuracy)


def test_gallery_shows_failed_and_misclassified_samples(store: Store) -> None:
    summary = add_model(store, "tiny/a")
    figure = gallery(summary)
    texts = [text.get_text() for text in figure.findobj(Text) if text.get_text()]
    assert texts.count("clean image\nis wrong") == len(summary.attacks)
    assert "dog\n→ owl" in texts
    assert texts.count("failed") >= len(summary.attacks)
    (axes,) = figure.axes
    assert len(axes.lines) == 2 * texts.count("failed")
    ids = list(range(FEW))
    shown = [a for score in summary.attacks for a in adversarials(summary, score, ids) if 0 < a.distance < math.inf]
    assert len(axes.images) == FEW + sum(adversarial.image is not None for adversarial in shown)
    for adversarial in shown:
        assert f"{INFO.class_names[adversarial.prediction]} · {distance(adversarial.distance)}" in texts


def test_gallery_takes_the_nearest_adversarial_over_endpoints(store: Store) -> None:
    summary = add_model(store, "tiny/a", endpoints=("logits", "attack_logits"))
    score = summary.attacks[0]
    runs = [store.find_run(RunKey(summary.digest, INFO.name, name, 0, score.settings)) for name in score.endpoints]
    found = adversarials(summary, score, [0, MISCLASSIFIED, FAILED, 3, N])
    least = [min(store.distances(run)[i] for run in runs) for i in (0, 3)]
    assert [found[0].distance, found[3].distance] == least
    assert (found[1].distance, found[1].prediction, found[1].image) == (0.0, -1, None)
    assert math.isinf(found[2].distance)
    assert found[4] is None
    np.testing.assert_allclose(found[0].image, 1.0 - SPLIT.images[0])


def test_gallery_of_many_attacks_shows_the_best_of_each_norm(store: Store) -> None:
    summary = add_model(store, "tiny/a", COMPLETE)
    assert len(summary.attacks) == 9
    chosen = chosen_attacks(summary.attacks)
    assert [score.norm for score in chosen] == ["linf", "l2", "l1", "l0"]
    for score in chosen:
        assert score.accuracy == min(other.accuracy for other in summary.attacks if other.norm == score.norm)
