"""Tables and figures say what the per-sample distances in the store say."""

import csv
import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import image as matplotlib_image
from rich.console import Console

from cortexzoo.evaluation.report import figures, layout, report_of
from cortexzoo.evaluation.report.curves import survival
from cortexzoo.evaluation.report.layout import column_names, distance, id_ranges
from cortexzoo.evaluation.report.page import update_page
from cortexzoo.evaluation.report.tables import csv_rows, json_document, markdown_table, terminal_table
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.diagnostics import Check
from cortexzoo.evaluation.results.store import RunKey, Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.norms import NORM_NAMES
from tests.evaluation.evaluations import changed
from tests.evaluation.fake_results import CLEAN, COMPLETE, FEW, INFO, SUITE, THRESHOLDS, N, add_model, make_suite

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def stored_distances(store: Store, summary: Summary, settings: dict[str, Any]) -> np.ndarray:
    """Reads distances without any help of `summarize`: the least over endpoints."""
    runs = [store.find_run(RunKey(summary.digest, INFO.name, name, 0, settings)) for name in ("logits", "attack_logits")]
    return np.min([list(store.distances(run).values()) for run in runs if run], axis=0)


def markdown_cells(text: str) -> dict[str, list[str]]:
    """Parses the table's rows: label -> cells, without emphasis."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {row[0].strip(" *"): [cell.strip().replace("*", "") for cell in row[1:]] for row in rows}


def terminal(summaries: list[Summary], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal_table(summaries))
    return console.file.getvalue()


def test_csv_and_json_agree_with_the_distances(store: Store) -> None:
    summaries = [add_model(store, "tiny/a", endpoints=("logits", "attack_logits")), add_model(store, "tiny/b")]
    rows, models = csv_rows(summaries), json_document(summaries)["models"]
    assert len(rows) == sum(1 + len(summary.attacks) + len(summary.unions) for summary in summaries)
    for summary, model in zip(summaries, models, strict=True):
        assert (model["model"], model["digest"], model["seed"]) == (summary.name, summary.digest, 0)
        attacks = [row for row in rows if row["model"] == summary.name and row["kind"] == "attack"]
        least = dict.fromkeys(THRESHOLDS, np.full(FEW, np.inf))
        for row, values in zip(attacks, model["attacks"], strict=True):
            reached = stored_distances(store, summary, json.loads(row["settings"]))
            assert_score(row, values, reached, THRESHOLDS[row["norm"]])
            assert row["seconds"] == 1.5 * (2 if summary.name == "tiny/a" else 1)
            least[row["norm"]] = np.minimum(least[row["norm"]], reached[:FEW])
        # Only the last norm has a member that saw few images; its union has no others.
        (union,) = (row for row in rows if row["model"] == summary.name and row["kind"] == "union" and row["norm"] == "l1")
        assert_score(union, model["unions"]["l1"], least["l1"], THRESHOLDS["l1"])


def assert_score(row: dict[str, Any], values: dict[str, Any], reached: np.ndarray, epsilon: float) -> None:
    surviving = int(np.sum(reached > epsilon * (1 + 1e-5)))
    assert (row["samples"], values["samples"]) == (len(reached), len(reached))
    assert row["sample_ids"] == values["sample_ids"] == f"0-{len(reached) - 1}"
    assert row["accuracy"] == values["accuracy"] == pytest.approx(surviving / len(reached))
    assert [row["low"], row["high"]] == values["interval"] == list(metrics.wilson_interval(surviving, len(reached)))
    median = np.median(reached) if np.isfinite(reached).sum() > len(reached) / 2 else math.inf
    assert float(row["median"]) == pytest.approx(median)
    assert values["median"] == (None if math.isinf(median) else pytest.approx(median))


def test_markdown_agrees_with_the_csv(store: Store) -> None:
    summaries = [add_model(store, "tiny/a"), add_model(store, "tiny/b")]
    cells = markdown_cells(markdown_table(summaries))
    assert cells["attack"] == ["a", "b", "N"]
    for row in csv_rows(summaries):
        label = f"all {NORM_NAMES[row['norm']]}" if row["kind"] == "union" else row["label"]
        cell = cells[label][["tiny/a", "tiny/b"].index(row["model"])]
        share, low, high = (f"{100 * row[field]:.1f}" for field in ("accuracy", "low", "high"))
        start = "" if row["kind"] == "clean" else f"{distance(float(row['median']))} / "
        assert cell == f"{start}{share}<br><sub>[{low}, {high}]</sub>"


def test_infinite_medians(store: Store) -> None:
    summary = add_model(store, "tiny/a")
    assert math.isinf(summary.attacks[-1].median)
    assert markdown_cells(markdown_table([summary]))["weak l1"][0].startswith("∞ / ")
    assert csv_rows([summary])[len(summary.attacks)]["median"] == "inf"
    document = json.loads(json.dumps(json_document([summary]), allow_nan=False))
    assert document["models"][0]["attacks"][-1]["median"] is None
    (line,) = (line for line in terminal([summary], 80).splitlines() if line.startswith("weak"))
    assert line.split()[2] == "∞"


def test_attacks_on_other_numbers_of_images_say_so(store: Store) -> None:
    summary = add_model(store, "tiny/a")
    cells, text = markdown_cells(markdown_table([summary])), markdown_table([summary])
    assert (cells["A1 linf"][-1], cells["weak l1"][-1], cells["all L1"][-1]) == ("40", "10 †", "10 †")
    assert "†: not 40 images" in text
    alike = make_suite(*SUITE.build(INFO)[:4])
    assert "†" not in markdown_table([add_model(store, "tiny/alike", alike)])


@pytest.mark.parametrize("width", [80, 120])
def test_models_attacked_on_different_numbers_of_images_say_so(store: Store, width: int) -> None:
    summaries = [add_model(store, "tiny/a", COMPLETE), add_model(store, "tiny/b", COMPLETE, samples=20)]
    cells = markdown_cells(markdown_table(summaries))
    assert cells["A1 linf"][-1] == "varies"
    assert "N" not in cells["A1 linf"][0]
    assert "N = 20 †" in cells["A1 linf"][1]
    assert "N = 20 †" in terminal(summaries, width)


def test_minimal_accuracy(store: Store) -> None:
    lacking, complete = add_model(store, "tiny/a"), add_model(store, "tiny/b", COMPLETE)
    assert lacking.minimal_accuracy is None
    assert markdown_cells(markdown_table([lacking]))["minimal"][0] == "—<br><sub>no L2, L0</sub>"
    least = min(complete.unions, key=lambda score: score.accuracy)
    assert complete.minimal_accuracy == least.accuracy
    assert markdown_cells(markdown_table([complete]))["minimal"][0].startswith(
        f"{100 * least.accuracy:.1f} ({NORM_NAMES[least.norm]})<br><sub>["
    )


def test_a_model_without_an_attack_has_a_gap(store: Store) -> None:
    cells = markdown_cells(markdown_table([add_model(store, "tiny/a"), add_model(store, "tiny/b", COMPLETE)]))
    assert cells["A1 l0"][0] == cells["all L0"][0] == "—"
    assert "[" in cells["A1 l0"][1]


def test_only_warning_signs_are_listed_with_their_models(store: Store) -> None:
    checks = [Check("Loud (L∞)", "on 9.0 % of 40 images", 0.09, True), Check("Silent (L2)", "on 0.0 %", 0.0, False)]
    first, second = add_model(store, "tiny/a"), add_model(store, "tiny/b")
    warned = [dataclasses.replace(first, checks=checks), dataclasses.replace(second, checks=checks[1:])]
    for text in (terminal(warned, 80), markdown_table(warned)):
        assert "- Loud (L∞): a on 9.0 % of 40 images" in text
        assert "Silent" not in text
    assert markdown_cells(markdown_table(warned))["masking signs"][:2] == ["1 of 2", "0 of 1"]
    assert "None of the 1 checks raises a warning" in markdown_table(warned[1:])
    assert markdown_cells(markdown_table([first]))["masking signs"][0] == "not checked"


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("models", [1, 2, 3, 7])
def test_terminal_table_fits(store: Store, width: int, models: int) -> None:
    summaries = [add_model(store, f"tiny/model{i}", COMPLETE) for i in range(models)]
    text = terminal(summaries, width)
    assert max(map(len, text.splitlines())) <= width
    for i, summary in enumerate(summaries):
        assert f"model{i}" in text
        for score in summary.attacks + summary.unions:
            assert layout.interval(score.interval) in text
    assert "…" not in text


def test_clean_accuracy_of_a_part_of_the_official_images_says_so(store: Store) -> None:
    summary = add_model(store, "tiny/a", CLEAN)
    for text in (terminal([summary], 200), markdown_table([summary])):
        assert "the first 40 of 100 official test images" in text
        assert "ε" not in text
    whole = changed(summary, info=dataclasses.replace(INFO, official_test_size=N))
    assert "all 40 official test images" in markdown_table([whole])


def test_data_sets_have_tables_of_their_own(store: Store) -> None:
    summaries = [add_model(store, "tiny/a"), add_model(store, "tiny/b")]
    summaries[1] = changed(summaries[1], info=dataclasses.replace(INFO, name="other"))
    assert [table.columns for table in layout.tables(summaries)] == [("a",), ("tiny/b",)]
    assert markdown_table(summaries).count("| attack |") == 2


def test_other_seeds_are_refused(store: Store) -> None:
    summary = add_model(store, "tiny/a")
    with pytest.raises(ValueError, match="one suite and one seed"):
        markdown_table([summary, changed(summary, seed=1)])


def test_equal_names_are_told_apart(store: Store) -> None:
    summary = add_model(store, "tiny/a")
    twins = [summary, changed(summary, kept_digest="ff" * 32)]
    assert len(set(column_names(twins))) == 2
    assert len(set(figures.file_names(twins).values())) == 2
    assert figures.file_names([changed(summary, name="/x y/../1")])[summary.digest] == "x-y-..-1"


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.3, "0.3"), (1.916, "1.92"), (784.0, "784"), (math.inf, "∞")])
def test_distance(value: float, text: str) -> None:
    assert distance(value) == text


@pytest.mark.parametrize(("ids", "text"), [([], ""), ([3], "3"), ([0, 1, 2, 7], "0-2, 7"), ([0, 2, 3], "0, 2-3")])
def test_id_ranges(ids: list[int], text: str) -> None:
    assert id_ranges(np.array(ids, int)) == text


@given(
    st.lists(st.one_of(st.just(0.0), st.just(math.inf), st.floats(1e-3, 10.0)), min_size=1, max_size=30),
    st.floats(0.0, 12.0),
)
def test_survival_is_accuracy_at_every_epsilon(reached: list[float], epsilon: float) -> None:
    distances = np.array(reached)
    levels, surviving = survival(distances)
    assert levels[0] == 0.0
    assert np.all(np.diff(levels) > 0)
    # Between the steps: on a step the tolerance's rounding decides.
    if np.min(np.abs(levels - epsilon)) > 1e-6:
        count = surviving[np.searchsorted(levels, epsilon, side="right") - 1]
        assert count == np.sum(metrics.survivors(distances, epsilon))


def test_report_writes_everything_twice_the_same(store: Store, tmp_path: Path) -> None:
    summaries = [add_model(store, "tiny/a"), add_model(store, "tiny/b")]
    first, second = (report_of(summaries).write(summaries, tmp_path / name) for name in ("first", "second"))
    assert sorted(path.name for path in first) == [
        *("accuracy-tiny.png", "accuracy-tiny.svg", "adversarials-tiny-a.png", "adversarials-tiny-b.png"),
        *("heatmap-tiny.png", "nearest.csv", "results.csv", "results.json", "results.md"),
    ]
    assert {path.name for path in (tmp_path / "first").iterdir()} == {path.name for path in first}
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        if one.suffix == ".png":
            assert np.std(matplotlib_image.imread(one)[..., :3]) > 0.05
    assert b"<dc:date>" not in (tmp_path / "first" / "accuracy-tiny.svg").read_bytes()
    with open(tmp_path / "first" / "results.csv", newline="", encoding="utf-8") as file:
        assert [row["accuracy"] for row in csv.DictReader(file)] == [str(row["accuracy"]) for row in csv_rows(summaries)]
    assert json.loads((tmp_path / "first" / "results.json").read_text(encoding="utf-8")) == json_document(summaries)
    page = (tmp_path / "first" / "results.md").read_text(encoding="utf-8")
    assert markdown_table(summaries).strip() in page
    assert "(accuracy-tiny.png)" in page
    assert "(heatmap-tiny.png)" in page


def test_report_of_clean_accuracy_alone_has_no_figures(store: Store, tmp_path: Path) -> None:
    summaries = [add_model(store, "tiny/a", CLEAN)]
    paths = report_of(summaries).write(summaries, tmp_path)
    assert [path.name for path in paths] == ["results.md", "results.csv", "nearest.csv", "results.json"]


def test_report_of_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one model"):
        report_of([])


def test_readme_gets_the_results_between_its_markers(store: Store, tmp_path: Path) -> None:
    summaries = [add_model(store, "tiny/a"), add_model(store, "tiny/b")]
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.", encoding="utf-8")
    update_page(summaries, readme, tmp_path / "docs" / "figures")
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nThe end.")
    assert "old" not in text
    assert markdown_table(summaries).strip() in text
    assert "suite `fake`, seed 0; the attacks' settings: `cortexzoo suites`" in text
    for name in ("accuracy-tiny", "heatmap-tiny", "adversarials-tiny-a", "adversarials-tiny-b"):
        assert f"(docs/figures/{name}.png)" in text
        assert (tmp_path / "docs" / "figures" / f"{name}.png").is_file()
    update_page(summaries, readme, tmp_path / "docs" / "figures")
    assert readme.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}", f"inline {BEGIN}\n{END}"])
def test_readme_without_markers_is_left_alone(store: Store, tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"once each and in this order|Received: none of them"):
        update_page([add_model(store, "tiny/a")], readme, tmp_path)
    assert readme.read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
