"""Tables and figures of what the store holds; every number in them is computed from per-sample distances."""

import json
from pathlib import Path

from cortexzoo.evaluation.report.figures import write_figures
from cortexzoo.evaluation.report.page import results_section
from cortexzoo.evaluation.report.sections.nearest import FIELDS, nearest_rows
from cortexzoo.evaluation.report.tables import CSV_FIELDS, csv_rows, json_document
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.files import csv_text, write_text


def write_report(summaries: list[Summary], store: Store, directory: Path) -> list[Path]:
    """Writes results.md, results.csv, results.json, nearest.csv and the figures, each of them atomically.

    Args:
        summaries: the models.
        store: the results, for the adversarial images.
        directory: where the files go; created where missing.

    Returns:
        The files.

    Raises:
        ValueError: the summaries are of different suites or seeds.
    """
    figures = write_figures(summaries, store, directory)
    texts = {
        directory / "results.md": f"# Results\n\n{results_section(summaries, figures, directory)}",
        directory / "results.csv": csv_text(CSV_FIELDS, csv_rows(summaries)),
        directory / "nearest.csv": csv_text(FIELDS, nearest_rows(summaries)),
        directory / "results.json": json.dumps(json_document(summaries), indent=2, ensure_ascii=False, allow_nan=False)
        + "\n",
    }
    for path, text in texts.items():
        write_text(path, text)
    return [*texts, *figures]
