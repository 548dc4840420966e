"""Tables and figures of accuracy under shifts."""

from cortexzoo.evaluation.report.shifts.report import ShiftReport

__all__ = ["ShiftReport"]
