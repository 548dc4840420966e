"""Tables and figures of attack suites; every number is computed from per-sample distances."""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import RenderableType

from cortexzoo.evaluation.report.curves import accuracy_curves, line_styles
from cortexzoo.evaluation.report.figures import write_figures
from cortexzoo.evaluation.report.sections.nearest import FIELDS, nearest_rows
from cortexzoo.evaluation.report.sections.results import results_section
from cortexzoo.evaluation.report.tables import CSV_FIELDS, csv_rows, json_document, terminal_table
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.figures import figure_style
from cortexzoo.files import csv_text, write_text


class AttackReport:
    """The report of models under an attack suite; see `report.Report`."""

    def terminal_table(self, summaries: list[Summary]) -> RenderableType:
        """See `Report.terminal_table`."""
        return terminal_table(summaries)

    def as_json(self, summaries: list[Summary]) -> dict[str, Any]:
        """See `Report.as_json`."""
        return json_document(summaries)

    def as_csv(self, summaries: list[Summary]) -> str:
        """See `Report.as_csv`."""
        return csv_text(CSV_FIELDS, csv_rows(summaries))

    def as_markdown(self, summaries: list[Summary]) -> str:
        """See `Report.as_markdown`."""
        return results_section(summaries, [], Path())

    def figure(self, summaries: list[Summary], norm: str | None = None) -> Figure:
        """See `Report.figure`."""
        with figure_style():
            return accuracy_curves(summaries, line_styles(summaries), norm)

    def write(self, summaries: list[Summary], directory: Path) -> list[Path]:
        """Writes results.md, results.csv, results.json, nearest.csv and the figures; see `Report.write`."""
        figures = write_figures(summaries, directory)
        document = json.dumps(self.as_json(summaries), indent=2, ensure_ascii=False, allow_nan=False)
        texts = {
            directory / "results.md": f"# Results\n\n{results_section(summaries, figures, directory)}",
            directory / "results.csv": self.as_csv(summaries),
            directory / "nearest.csv": csv_text(FIELDS, nearest_rows(summaries)),
            directory / "results.json": document + "\n",
        }
        for path, text in texts.items():
            write_text(path, text)
        return [*texts, *figures]
