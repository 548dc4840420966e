"""The page section with all numbers of a shift suite."""

from pathlib import Path

from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.report.shifts.figures import write_shift_figures
from cortexzoo.evaluation.report.shifts.tables import shifts_section
from cortexzoo.evaluation.results.shifts import ShiftSummary


def _make(summaries: list[ShiftSummary], page: Path, figures: Path) -> str:
    return shifts_section(summaries, write_shift_figures(summaries, figures), page.parent)


SECTION = Section("shifts", ShiftSummary, _make)
