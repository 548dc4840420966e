"""Tables and figures of shift suites."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import RenderableType

from cortexzoo.evaluation.report.layout import by_dataset
from cortexzoo.evaluation.report.shifts.figures import level_curves, write_shift_figures
from cortexzoo.evaluation.report.shifts.tables import CSV_FIELDS, csv_rows, shifts_section, terminal_table
from cortexzoo.evaluation.results.shifts import ShiftSummary
from cortexzoo.figures import figure_style
from cortexzoo.files import csv_text, write_text


class ShiftReport:
    """The report of models under a shift suite; see `report.Report`."""

    def terminal_table(self, summaries: list[ShiftSummary]) -> RenderableType:
        """See `Report.terminal_table`."""
        return terminal_table(summaries)

    def as_json(self, summaries: list[ShiftSummary]) -> dict[str, Any]:
        """See `Report.as_json`."""
        by_dataset(summaries)
        models = [{"model": s.name, "digest": s.digest, "dataset": s.dataset.name, **s.as_json()} for s in summaries]
        return {"suite": summaries[0].suite, "seed": summaries[0].seed, "models": models}

    def as_csv(self, summaries: list[ShiftSummary]) -> str:
        """See `Report.as_csv`."""
        return csv_text(CSV_FIELDS, csv_rows(summaries))

    def as_markdown(self, summaries: list[ShiftSummary]) -> str:
        """See `Report.as_markdown`."""
        return shifts_section(summaries, [], Path())

    def figure(self, summaries: list[ShiftSummary], norm: str | None = None) -> Figure:
        """See `Report.figure`."""
        with figure_style():
            return level_curves(summaries)

    def write(self, summaries: list[ShiftSummary], directory: Path) -> list[Path]:
        """Writes shifts-SUITE.md, shifts-SUITE.csv and the figures; see `Report.write`."""
        figures = write_shift_figures(summaries, directory)
        stem = directory / f"shifts-{summaries[0].suite}"
        write_text(stem.with_suffix(".csv"), self.as_csv(summaries))
        write_text(stem.with_suffix(".md"), f"# Shifts\n\n{shifts_section(summaries, figures, directory)}")
        return [stem.with_suffix(".md"), stem.with_suffix(".csv"), *figures]
