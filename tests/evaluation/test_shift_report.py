"""Reports of shifts: seeds are averaged, intervals are of the right kind, and what is drawn is what is in the tables."""

import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as matplotlib_image
from matplotlib.colors import to_rgba
from rich.console import Console

from cortexzoo import datasets
from cortexzoo.evaluation.attacks import Attack, BoundaryAttack, DecoupledDirectionNorm, DeepFool, NearestStart
from cortexzoo.evaluation.attacks.base import settings
from cortexzoo.evaluation.models import Model
from cortexzoo.evaluation.report import report_of
from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.evaluation.report.page import update_page
from cortexzoo.evaluation.report.sections.boundary import boundary_table
from cortexzoo.evaluation.report.seeds import estimate, group_of
from cortexzoo.evaluation.report.shifts.figures import corruption_bars, level_curves
from cortexzoo.evaluation.report.shifts.layout import corruption_spectra, labels_of, seed_groups
from cortexzoo.evaluation.report.shifts.tables import area_table, gain_table, terminal_table
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.shifts import Curve, ShiftSummary
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.evaluation.suites import find
from tests.conftest import load_split
from tests.evaluation import fake_results
from tests.evaluation.evaluations import changed, evaluation_of

N = 40
MNIST = datasets.info("mnist")
# Empty: the curves and scores below are in none.
STORE = Store(":memory:")


def summary(name: str, suite: str, chance: float, seed: int = 0) -> ShiftSummary:
    """A model that is right with this chance, and more seldom at greater levels."""
    generator, curves = np.random.default_rng([seed, int(100 * chance)]), []
    for member in find(suite).build(MNIST, ()):
        levels = np.array(member.shift.levels)
        falling = chance * (1 - 0.5 * np.arange(len(levels)) / len(levels))
        correct = generator.random((len(levels), N)) < falling[:, None]
        clean = generator.random(N) < chance
        curves.append(Curve(member.label, member.unit, member.shift.ordinal, levels, np.arange(N), clean, correct, 1.0, {}))
    # Few images for the spectra of corruptions.
    images = load_split("mnist", "test").first(6)
    return ShiftSummary(evaluation_of(STORE, model_of(name), MNIST, images), suite, curves)


def model_of(name: str) -> Model:
    """A model whose seed the name tells."""
    return Model(name, None, kept_digest=fake_results.digest_of(name), group=name.partition("-seed")[0])


def trio(suite: str) -> list[ShiftSummary]:
    """Two seeds of one model, and another model."""
    names = ("mnist/good", "mnist/good-seed1", "mnist/bad")
    return [summary(name, suite, chance, i) for i, (name, chance) in enumerate(zip(names, (0.95, 0.9, 0.5), strict=True))]


def test_names_without_seeds() -> None:
    one = summary("mnist/a", "noise", 0.5)
    names = {"mnist/a": "mnist/a", "mnist/a-seed12": "mnist/a", "mnist/a-seedling": "", "else/a-seed1": "else/a"}
    models = [changed(one, name=name, group=group) for name, group in names.items()]
    assert [group_of(model) for model in models] == ["a", "a", "a-seedling", "else/a"]


def test_seeds_are_averaged_with_students_interval() -> None:
    good, bad = seed_groups(trio("noise"))
    assert (good.title, bad.title) == ("good (2 seeds)", "bad")
    areas = [one.curve("Uniform noise").area for one in good.summaries]
    found = good.area(["Uniform noise"])
    assert found.value == pytest.approx(np.mean(areas))
    low, high = metrics.t_interval(areas)
    assert (found.low, found.high) == (max(0.0, low), min(1.0, high))
    # Seeds that agree by chance say nothing of other images.
    same = estimate([0.0, 0.0, 0.0], N)
    assert (same.value, same.low, same.high) == (0.0, *metrics.wilson_interval(0, N))
    one = bad.summaries[0].curve("Uniform noise")
    alone = bad.area(["Uniform noise"])
    assert (alone.value, alone.low, alone.high) == pytest.approx((one.area, *one.area_interval))


def test_accuracy_begins_with_unchanged_images_except_of_ranks() -> None:
    _, bad = seed_groups(trio("noise"))
    values = [value.value for value in bad.accuracy("Gaussian noise")]
    one = bad.summaries[0].curve("Gaussian noise")
    assert values == pytest.approx([one.clean.mean(), *one.correct.mean(axis=1)])
    _, bad = seed_groups(trio("corruptions"))
    assert len(bad.accuracy("Fog")) == 5


def test_terminal_table_has_every_number() -> None:
    console = Console(width=120, file=io.StringIO())
    console.print(terminal_table(trio("noise")))
    printed = console.file.getvalue()
    for model in seed_groups(trio("noise")):
        for value in [*model.accuracy("Gaussian noise"), model.area(["Salt and pepper"])]:
            assert f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]" in printed
    assert "good (2 seeds)" in printed


def test_corruptions_are_sorted_by_frequency_with_means_of_the_groups() -> None:
    models = trio("corruptions")
    table, spectra = area_table(models), corruption_spectra(models)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows[:15]] == list(spectra)
    assert np.all(np.diff([spectrum.centroid for spectrum in spectra.values()]) >= 0)
    bad, groups = seed_groups(models)[1], {}
    for label, spectrum in spectra.items():
        groups.setdefault(spectrum.group, []).append(label)
    found = {row[0]: row for row in rows[15:]}
    assert list(found) == [*(f"**{group} frequencies**" for group in groups), "**all**"]
    for group, labels in groups.items():
        row, expected = found[f"**{group} frequencies**"], np.mean([bad.area([label]).value for label in labels])
        assert row[1] == f"mean of {len(labels)}"
        assert row[3].startswith(f"{100 * expected:.1f}<br>")
    assert set(groups) >= {"low", "high"}


def test_gain_compares_seed_with_seed_and_image_with_image() -> None:
    models = [*trio("noise"), *(summary(f"mnist/other{s}", "noise", 0.9, 7 + i) for i, s in enumerate(("", "-seed1")))]
    good, bad, other = seed_groups(models)
    areas = [[one.curve("Uniform noise").area for one in model.summaries] for model in (good, other)]
    differences = np.subtract(*reversed(areas))
    found = other.gain(good, ["Uniform noise"])
    over_seeds = metrics.t_interval(differences)
    assert (found.value, found.low, found.high) == pytest.approx((differences.mean(), *over_seeds))
    images = np.mean(
        [
            a.curve("Uniform noise").image_areas - b.curve("Uniform noise").image_areas
            for a, b in zip(other.summaries, good.summaries, strict=True)
        ],
        axis=0,
    )
    over_images = metrics.t_interval(images)
    assert over_seeds[0] < over_images[0]
    assert over_images[1] < over_seeds[1]
    # One seed in common: the images of that seed, over both shifts.
    labels = ["Uniform noise", "Gaussian noise"]
    images = [np.mean([model.summaries[0].curve(label).image_areas for label in labels], axis=0) for model in (bad, good)]
    found = bad.gain(good, labels)
    assert (found.low, found.high) == pytest.approx(metrics.t_interval(images[0] - images[1]))
    assert found.value == pytest.approx(bad.area(labels).value - np.mean([good.summaries[0].curve(x).area for x in labels]))
    unchanged = np.mean([one.curves[0].clean.mean() for one in good.summaries])
    assert good.gain(other, []).value == pytest.approx(
        unchanged - np.mean([one.curves[0].clean.mean() for one in other.summaries])
    )
    assert bad.gain(seed_groups([summary("mnist/x-seed5", "noise", 0.9)])[0], []) is None


def agreeing() -> list[ShiftSummary]:
    """Two models, of each two seeds with the same results."""
    good, _, bad = trio("noise")
    return [changed(one, name=f"{one.name}{seed}") for one in (good, bad) for seed in ("", "-seed1")]


def test_seeds_that_agree_by_chance_leave_the_interval_of_the_images() -> None:
    good, _, bad = trio("noise")
    ours, theirs = seed_groups(agreeing())
    alone = seed_groups([bad])[0].gain(seed_groups([good])[0], ["Uniform noise"])
    found = theirs.gain(ours, ["Uniform noise"])
    assert (found.value, found.low, found.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert found.low < found.high


def test_gain_is_of_the_images_that_both_models_have() -> None:
    good, _, bad = trio("noise")
    curve = bad.curve("Uniform noise")
    half = dataclasses.replace(curve, ids=curve.ids[::2], clean=curve.clean[::2], correct=curve.correct[:, ::2])
    stopped = dataclasses.replace(bad, curves=[half])
    groups = seed_groups([good, stopped])
    expected = half.image_areas - good.curve("Uniform noise").image_areas[::2]
    assert groups[1].gain(groups[0], ["Uniform noise"]).value == pytest.approx(expected.mean())
    assert groups[1].gain(groups[0], ["Gaussian noise"]) is None
    groups = seed_groups([good, dataclasses.replace(bad, curves=[])])
    assert groups[1].gain(groups[0], []) is None


def test_gain_table_says_what_is_clear() -> None:
    rows = gain_table(trio("noise")).splitlines()
    assert rows[0] == "| shift | bad (one seed) |"
    assert gain_table(trio("noise")[1::-1]).splitlines()[0] == "| shift |"
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == [
        "unchanged images",
        *labels_of(trio("noise")),
        "**all**",
    ]
    good, bad = seed_groups(trio("noise"))
    gain = bad.gain(good, ["Uniform noise"])
    assert gain.high < 0
    (row,) = (row for row in rows if row.startswith("| Uniform noise"))
    cell = f"<br><sub>[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]</sub>"
    # One seed tells nothing of others, however many images there are.
    assert f"| {100 * gain.value:+.1f}{cell}" in row
    rows = gain_table(agreeing()).splitlines()
    assert rows[0] == "| shift | bad |"
    (row,) = (row for row in rows if row.startswith("| Uniform noise"))
    assert f"| **{100 * gain.value:+.1f}**{cell}" in row


def test_model_that_lacks_a_shift_has_no_number() -> None:
    models = trio("noise")
    models[2].curves.pop(0)
    row = next(line for line in area_table(models).splitlines() if line.startswith("| Gaussian noise"))
    assert row.endswith("| — |")
    figure = level_curves(models)
    assert len(figure.axes[0].lines) == 1
    # It is in the other panels, and so in the legend.
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["good (2 seeds)", "bad"]


def test_no_number_is_of_some_seeds_alone() -> None:
    models = trio("noise")
    models[1].curves.pop(0)
    good, _ = seed_groups(models)
    assert good.accuracy("Gaussian noise") == []
    assert good.area(["Gaussian noise"]) is None
    assert len(good.accuracy("Uniform noise")) == 11


def test_a_name_counts_as_one_seed() -> None:
    with pytest.raises(ValueError, match=r"Expected a different name for each model.*Received: mnist/a, mnist/a"):
        seed_groups([summary("mnist/a", "noise", 0.9), summary("mnist/a", "noise", 0.5)])


def test_figures_show_the_numbers() -> None:
    models = trio("noise")
    panel = level_curves(models).axes[1]
    assert panel.get_title(loc="left") == "Uniform noise"
    good = seed_groups(models)[0]
    found = good.accuracy("Uniform noise")
    np.testing.assert_allclose(panel.lines[0].get_ydata(), [100 * value.value for value in found])
    band = panel.collections[0].get_paths()[0].vertices
    for level, value in zip(panel.lines[0].get_xdata(), found, strict=True):
        edges = band[np.isclose(band[:, 0], level), 1]
        np.testing.assert_allclose([edges.min(), edges.max()], [100 * value.low, 100 * value.high])
    models = trio("corruptions")
    spectra = corruption_spectra(models)
    above, _ = corruption_bars(models, spectra).axes
    areas = [seed_groups(models)[0].area([label]) for label in spectra]
    bars, (_, _, (lines,)) = above.containers[1], above.containers[0]
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], [100 * area.value for area in areas])
    ends = [segment[:, 1] for segment in lines.get_segments()]
    np.testing.assert_allclose(ends, [[100 * area.low, 100 * area.high] for area in areas])


def test_a_model_has_one_look_wherever_others_are_missing() -> None:
    (panel, *_), models = level_curves(trio("noise"), ["other", "good", "bad"]).axes, trio("corruptions")
    assert [line.get_color() for line in panel.lines] == list(COLOURS[1:3])
    above, _ = corruption_bars(models, corruption_spectra(models), ["bad", "other", "good"]).axes
    bars = [container.patches[0].get_facecolor() for container in above.containers if hasattr(container, "patches")]
    assert bars == [to_rgba(COLOURS[2]), to_rgba(COLOURS[0])]


def test_levels_far_apart_are_drawn_at_about_equal_distances() -> None:
    near, far = trio("noise"), trio("noise")
    for model in far:
        model.curves[:] = [dataclasses.replace(c, levels=np.geomspace(0.25, 8, len(c.levels)) / 255) for c in model.curves]
    assert level_curves(near).axes[0].get_xscale() == "linear"
    panel = level_curves(far).axes[0]
    assert panel.get_xscale() == "symlog"
    texts = [text.get_text() for text in panel.get_xticklabels()]
    assert (texts[0], texts[1], texts[-1]) == ("0", "0.25/255", "8/255")


def test_bars_of_many_models_look_different() -> None:
    models = [summary(f"mnist/model{i}", "corruptions", 0.5) for i in range(9)]
    above, _ = corruption_bars(models, corruption_spectra(models)).axes
    bars = [container.patches[0] for container in above.containers if hasattr(container, "patches")]
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in bars}) == 9


@pytest.mark.parametrize("suite", ["noise", "corruptions"])
def test_report_and_page_are_written(suite: str, tmp_path: Path) -> None:
    models = trio(suite)
    paths = report_of(models).write(models, tmp_path)
    assert [path.name for path in paths] == [f"shifts-{suite}.md", f"shifts-{suite}.csv", f"{suite}-mnist.png"]
    assert np.ptp(matplotlib_image.imread(paths[2])) > 0.9
    with paths[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curve = models[2].curves[0]
    own = [row for row in rows if (row["model"], row["shift"]) == ("mnist/bad", curve.label)]
    assert [row["level"] for row in own] == ["0", *(str(float(level)) for level in curve.levels), "area"]
    assert float(own[-1]["accuracy"]) == pytest.approx(curve.area)
    assert own[0]["sample_ids"] == f"0-{N - 1}"
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- shifts {suite}:begin -->\nstale\n<!-- shifts {suite}:end -->\nafter\n")
    update_page(models, page, tmp_path / "figures")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale" not in text
    assert f"![Suite {suite}: mnist](figures/{suite}-mnist.png)" in text


def test_page_without_the_section_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="where NAME is one of shifts, shifts noise"):
        update_page(trio("noise"), page, tmp_path)
    assert list(tmp_path.iterdir()) == [page]


def test_several_suites_are_refused() -> None:
    with pytest.raises(ValueError, match="Expected summaries from one suite and one seed"):
        terminal_table([summary("a", "noise", 0.5), summary("a", "corruptions", 0.5)])


def attacked(name: str, seed: int, *attacks: Attack) -> Summary:
    """A model with made-up distances."""
    generator = np.random.default_rng(seed)
    scores = [Score("x", "l2", 1.5, generator.lognormal(size=N), np.arange(N), settings=settings(a)) for a in attacks]
    evaluation = evaluation_of(STORE, model_of(name), fake_results.INFO, fake_results.SPLIT)
    return Summary(evaluation, "boundary", N, N, scores, scores[:1], [])


def test_boundary_table_has_the_medians(tmp_path: Path) -> None:
    names = ("tiny/good", "tiny/good-seed1", "tiny/bad")
    walk, gradients = NearestStart(inner=BoundaryAttack()), DecoupledDirectionNorm()
    models = [attacked(name, i, walk, *([gradients] if i < 2 else [])) for i, name in enumerate(names)]
    medians = [np.median(model.attacks[0].distances) for model in models]
    page = tmp_path / "page.md"
    page.write_text("<!-- boundary:begin -->\n<!-- boundary:end -->\n")
    update_page(models, page, tmp_path)
    good, bad = (line.split(" | ") for line in page.read_text(encoding="utf-8").splitlines()[5:7])
    assert good[:3] == ["| good", "2", f"{np.mean(medians[:2]):.3g}"]
    squared = [np.median(model.attacks[0].distances ** 2) / 16 for model in models]
    over_images = [metrics.median_interval(model.attacks[0].distances ** 2 / 16) for model in models]
    low, high = zip(metrics.t_interval(squared[:2]), np.mean(over_images[:2], axis=0), strict=True)
    low, high = max(0.0, min(low)), max(high)
    assert good[3:5] == [f"{np.mean(squared[:2]):.3g}", f"[{low:.3g}, {high:.3g}]"]
    nearer = [np.median(model.attacks[1].distances) for model in models[:2]]
    assert good[5:] == [f"{np.mean(nearer):.3g}", f"{N} |"]
    assert bad[2:6] == [f"{medians[2]:.3g}", f"{squared[2]:.3g}", "[{:.3g}, {:.3g}]".format(*over_images[2]), "—"]
    # The bare attack of another suite counts as well.
    assert boundary_table([attacked("tiny/bare", 2, BoundaryAttack())]).splitlines()[4].split(" | ")[2] == bad[2]
    with pytest.raises(ValueError, match=r"Expected results of the Boundary attack on tiny. Received: none."):
        boundary_table([attacked("tiny/other", 0, DeepFool(norm="l2"))])


def test_boundary_tables_name_their_data_sets() -> None:
    tiny = attacked("tiny/good", 0, BoundaryAttack())
    lines = boundary_table([tiny, changed(tiny, info=MNIST)]).splitlines()
    assert [line for line in lines if line.startswith("Data: ")] == [
        "Data: tiny, test split; suite `boundary`, seed 0. The split has the first 40 of 100 official test images.",
        "Data: mnist, test split; suite `boundary`, seed 0. The split has the first 40 of 10,000 official test images.",
    ]
    assert sum(line.startswith("Medians over N images") for line in lines) == 1
