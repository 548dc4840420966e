"""Tables and figures of what the store holds."""

from pathlib import Path
from typing import Any, Protocol

from cortexzoo.evaluation.report.attacks import AttackReport
from cortexzoo.evaluation.report.shifts import ShiftReport
from cortexzoo.evaluation.results.shifts import ShiftSummary
from cortexzoo.evaluation.results.summary import Summary
from matplotlib.figure import Figure
from rich.console import RenderableType


class Report(Protocol):
    """What there is to see of models under one suite.

    Summaries of several suites or seeds end in a ValueError: no table can compare them.
    """

    def terminal_table(self, summaries: list[Any]) -> RenderableType:
        """Returns what `rich.console.Console.print` shows, fitted to its width."""

    def as_json(self, summaries: list[Any]) -> dict[str, Any]:
        """Returns the numbers as plain JSON values."""

    def as_csv(self, summaries: list[Any]) -> str:
        """Returns the numbers as the text of a CSV file, a row an attack, or a shift and level."""

    def as_markdown(self, summaries: list[Any]) -> str:
        """Returns the tables as Markdown."""

    def figure(self, summaries: list[Any], norm: str | None = None) -> Figure:
        """Returns accuracy against the size of the perturbation or the level of the shift.

        Args:
            summaries: models of one data set.
            norm: of attacks this norm alone; None for all.
        """

    def write(self, summaries: list[Any], directory: Path) -> list[Path]:
        """Writes tables and figures, each of them atomically, and returns the files."""


_REPORTS: dict[type, Report] = {Summary: AttackReport(), ShiftSummary: ShiftReport()}


def report_of(summaries: list[Any]) -> Report:
    """Returns the report for these summaries.

    Raises:
        ValueError: there is none.
    """
    if not summaries:
        raise ValueError("Expected the results of at least one model. Received: none.")
    return _REPORTS[type(summaries[0])]
