"""Tables and figures of stored results."""

from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure
from rich.console import RenderableType

from cortexzoo.evaluation.report.attacks import AttackReport
from cortexzoo.evaluation.report.shifts import ShiftReport
from cortexzoo.evaluation.results.shifts import ShiftSummary
from cortexzoo.evaluation.results.summary import Summary


class Report(Protocol):
    """The tables and figures of models under one suite.

    Every method raises ValueError for summaries from several suites or seeds, which no table can compare.
    """

    def terminal_table(self, summaries: list[Any]) -> RenderableType:
        """Returns a table for `rich.console.Console.print`, fitted to the console's width."""

    def as_json(self, summaries: list[Any]) -> dict[str, Any]:
        """Returns the numbers as plain JSON values."""

    def as_csv(self, summaries: list[Any]) -> str:
        """Returns the numbers as CSV text: one row per attack, or per shift and level."""

    def as_markdown(self, summaries: list[Any]) -> str:
        """Returns the tables as Markdown."""

    def figure(self, summaries: list[Any], norm: str | None = None) -> Figure:
        """Draws accuracy against the size of the perturbation or the level of the shift.

        Args:
            summaries: models on one data set.
            norm: for attacks, the only norm to show; None shows all.
        """

    def write(self, summaries: list[Any], directory: Path) -> list[Path]:
        """Writes the tables and figures, each atomically, and returns the files."""


_REPORTS: dict[type, Report] = {Summary: AttackReport(), ShiftSummary: ShiftReport()}


def report_of(summaries: list[Any]) -> Report:
    """Returns the report for these summaries.

    Raises:
        ValueError: there are no summaries.
    """
    if not summaries:
        raise ValueError("Expected the results of at least one model. Received: none.")
    return _REPORTS[type(summaries[0])]
