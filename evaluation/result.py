"""The return value of `evaluate`: the results of one model, to print or to compute with."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cortexzoo.evaluation.adversarials import Adversarials, worst_case
from cortexzoo.evaluation.diagnosis import Diagnosis, from_store
from cortexzoo.evaluation.report import report_of
from cortexzoo.evaluation.results import diagnostics
from cortexzoo.evaluation.results.score import Score
from cortexzoo.evaluation.results.summary import Summary

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

_WIDTH = 80


class Result:
    """The results of one model under one suite. Prints as a table; a notebook shows it as HTML.

    Attributes:
        summary: all numbers, including per-sample distances.
    """

    def __init__(self, summary: Any) -> None:
        self.summary = summary

    @property
    def clean_accuracy(self) -> float:
        """The accuracy on all images before any attack, in [0, 1]."""
        return self._attacked().clean_accuracy

    @property
    def robust_accuracies(self) -> dict[str, float]:
        """The worst-case accuracy over all attacks at the first threshold, in [0, 1], by norm.

        Norms with single-step attacks only are left out, as these break few images of any model.
        """
        summary = self._attacked()
        return {
            score.norm: score.accuracy for score in summary.unions if diagnostics.has_iterative(summary.attacks, score.norm)
        }

    @property
    def signs_of_masking(self) -> dict[str, str]:
        """Reasons to distrust a high robust accuracy, as sentences by name; empty if no check raises a warning."""
        return {check.name: check.finding for check in self._attacked().checks if check.warning}

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Whether the model's gradient can be trusted: `verdict`, `causes` and `checks`; None without `diagnose=True`."""
        return from_store(self.summary.evaluation, getattr(self.summary, "checks", ()))

    def robust_accuracy(self, norm: str, epsilon: float | None = None) -> float:
        """Returns the worst-case accuracy over all attacks in a norm, in [0, 1].

        Args:
            norm: "linf", "l2", "l1" or "l0".
            epsilon: the threshold; defaults to the evaluation's first. Another one is applied to the same distances; no
                attack runs again. Where broken images left, it is applied to the images whose distance was minimised.

        Raises:
            ValueError: the norm was not attacked, or no distance was minimised that tells the accuracy at another threshold.
        """
        return self._union(norm, epsilon).accuracy

    def interval(self, norm: str, epsilon: float | None = None) -> tuple[float, float]:
        """Returns the 95 % Wilson interval of `robust_accuracy`."""
        return self._union(norm, epsilon).interval

    def distances(self, norm: str) -> "Any":
        """Returns each image's smallest distance over all attacks in a norm, float64, (n,).

        It is 0 if the clean image is misclassified, and infinite if all attacks failed.
        """
        return self._union(norm).distances

    def adversarials(self, norm: str) -> Adversarials:
        """Returns each image's nearest adversarial image.

        Raises:
            ValueError: more images were evaluated than are kept without `keep_images=True`, or no attack was in this norm.
        """
        return worst_case(self._attacked(), norm)

    def to_dataframe(self) -> "pandas.DataFrame":
        """Returns one row per attack and threshold, or per shift and level (needs pandas).

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                'Expected pandas. Received: no such package. Install it: pip install "cortexzoo[notebook]".'
            ) from error
        return pandas.read_csv(io.StringIO(report_of([self.summary]).as_csv([self.summary])))

    def as_json(self) -> dict[str, Any]:
        """Returns the numbers as plain JSON values."""
        return report_of([self.summary]).as_json([self.summary])

    def figure(self, norm: str | None = None) -> "Figure":
        """Returns a matplotlib figure of accuracy against the size of the perturbation or the level of a shift.

        Args:
            norm: the only norm to show; None shows all attacked norms.
        """
        return report_of([self.summary]).figure([self.summary], norm)

    def save(self, directory: str | Path) -> list[Path]:
        """Writes tables (Markdown, CSV, JSON) and figures into a folder and returns the files."""
        return report_of([self.summary]).write([self.summary], Path(directory))

    def __str__(self) -> str:
        # A notebook's kernel asks for colours, which a string cannot show.
        console = Console(file=io.StringIO(), width=_WIDTH, force_jupyter=False, color_system=None)
        with console.capture() as capture:
            console.print(report_of([self.summary]).terminal_table([self.summary]))
        return capture.get()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        console = Console(record=True, file=io.StringIO(), width=100, force_jupyter=False)
        console.print(report_of([self.summary]).terminal_table([self.summary]))
        return console.export_html(inline_styles=True, code_format="<pre style='font-family:monospace'>{code}</pre>")

    def _attacked(self) -> Summary:
        if not isinstance(self.summary, Summary):
            raise ValueError(f"Expected an attack suite. Received: {self.summary.suite}, a shift suite; see `to_dataframe`.")
        return self.summary

    def _union(self, norm: str, epsilon: float | None = None) -> Score:
        summary = self._attacked()
        union = summary.union(norm)
        if union is None:
            known = ", ".join(score.norm for score in summary.unions) or "none"
            raise ValueError(f"Expected a norm attacked by the suite {summary.suite}: {known}. Received: {norm!r}.")
        if epsilon is None:
            return union
        thresholds = summary.evaluation.thresholds[norm]
        if epsilon in thresholds or not union.cumulative:
            return union.at(epsilon)
        # Broken images left at the known thresholds: farther in, only minimised distances tell what holds.
        minimised = union.of_minimised()
        if not minimised.samples:
            raise ValueError(
                f"Expected a threshold at which the suite {summary.suite} ran in {norm}: {', '.join(map(str, thresholds))}. "
                f"Received: {epsilon}. Its attacks do not minimise distances: evaluate with this threshold in `epsilons`."
            )
        return minimised.at(epsilon)
