"""What the tables and figures of shifts share: models grouped over seeds, and corruptions by frequency."""

import dataclasses
import functools

import numpy as np

from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.report.seeds import Estimate, by_group, estimate
from cortexzoo.evaluation.results import metrics
from cortexzoo.evaluation.results.shifts import Curve, ShiftSummary
from cortexzoo.evaluation.shifts.spectra import Spectrum, shift_spectrum
from cortexzoo.evaluation.suites.corruptions import corruptions

# Number of images on which a corruption's spectrum is measured.
_SPECTRUM_IMAGES = 100


@dataclasses.dataclass(frozen=True)
class SeedGroup:
    """One model, trained with one or several seeds.

    Attributes:
        name: the model's name, without data set and seed.
        summaries: one per seed.
    """

    name: str
    summaries: list[ShiftSummary]

    @property
    def title(self) -> str:
        """The name, and the number of seeds if there are several."""
        return self.name if len(self.summaries) == 1 else f"{self.name} ({len(self.summaries)} seeds)"

    def curves(self, label: str) -> list[Curve]:
        """Returns the seeds' curves for a shift; empty if any seed lacks it."""
        found = [summary.curve(label) for summary in self.summaries]
        return [] if None in found else found

    def accuracy(self, label: str) -> list[Estimate]:
        """Returns the accuracy at each level, after the clean one unless levels are ranks; empty if any seed lacks it."""
        curves = self.curves(label)
        rows = [curve.accuracy if curve.ordinal else np.append(curve.clean.mean(), curve.accuracy) for curve in curves]
        return [estimate(list(values), _samples(curves)) for values in zip(*rows, strict=True)]

    def area(self, labels: list[str]) -> Estimate | None:
        """Returns the area under a shift's curve, or the mean over several shifts; None if any seed lacks one."""
        found = [self.curves(label) for label in labels]
        if [] in found:
            return None
        values = [float(np.mean([curve.area for curve in curves])) for curves in zip(*found, strict=True)]
        return estimate(values, _samples([curve for curves in found for curve in curves]))

    def seeds_shared(self, other: "SeedGroup") -> int:
        """Returns the number of seeds with which both models were trained."""
        return len({_seed(one) for one in self.summaries} & {_seed(one) for one in other.summaries})

    def gain(self, baseline: "SeedGroup", labels: list[str]) -> Estimate | None:
        """Returns the gain in mean area under these shifts over another model; None if the two cannot be compared.

        The comparison is paired by seed, as equal seeds start from the same weights, and by image, as all networks see the
        same ones. The interval is Student's t over the per-image differences, averaged over the seeds, or over the per-seed
        differences where that is wider; the latter alone would be empty for seeds that agree by chance.

        Args:
            baseline: the other model.
            labels: the shifts' labels; empty for unchanged images.
        """
        others = {_seed(summary): summary for summary in baseline.summaries}
        pairs = [(s, others[_seed(s)]) for s in self.summaries if _seed(s) in others]
        differences = [_differences(_image_areas(own, labels), _image_areas(other, labels)) for own, other in pairs]
        if not differences or any(len(found) < 2 for found in differences):
            return None
        seeds = [float(np.mean(list(found.values()))) for found in differences]
        shared = sorted(set.intersection(*map(set, differences)))
        images = [float(np.mean([found[i] for found in differences])) for i in shared]
        bounds = [metrics.t_interval(values) for values in (images, seeds) if len(values) > 1]
        lows, highs = zip(*bounds, strict=True)
        return Estimate(float(np.mean(seeds)), max(-1.0, min(lows)), min(1.0, max(highs)))


def _seed(summary: ShiftSummary) -> str:
    return summary.evaluation.model.seed_label


def _image_areas(summary: ShiftSummary, labels: list[str]) -> dict[int, float]:
    """Each image's mean area under the shifts, by id; without labels whether the unchanged image is right. Empty if a
    shift is missing."""
    if not labels:
        return {
            i: value for curve in summary.curves[:1] for i, value in zip(curve.ids, curve.clean.astype(float), strict=True)
        }
    curves = [summary.curve(label) for label in labels]
    if None in curves:
        return {}
    areas = [dict(zip(curve.ids, curve.image_areas, strict=True)) for curve in curves]
    return {i: float(np.mean([area[i] for area in areas])) for i in set.intersection(*map(set, areas))}


def _differences(own: dict[int, float], other: dict[int, float]) -> dict[int, float]:
    """Differences by id, on the images that both models saw: an interrupted evaluation has fewer."""
    return {i: own[i] - other[i] for i in sorted(own.keys() & other.keys())}


def _samples(curves: list[Curve]) -> int:
    return min(curve.samples for curve in curves)


def seed_groups(summaries: list[ShiftSummary]) -> list[SeedGroup]:
    """Groups the seeds of each model; see `cortexzoo.evaluation.report.seeds`.

    Args:
        summaries: models on one data set.
    """
    return [SeedGroup(name, members) for name, members in by_group(summaries).items()]


def labels_of(summaries: list[ShiftSummary]) -> list[str]:
    """Returns the labels of the shifts that any of the models has, in the suite's order."""
    return list(dict.fromkeys(curve.label for summary in summaries for curve in summary.curves))


def corruption_spectra(summaries: list[ShiftSummary]) -> dict[str, Spectrum]:
    """Measures the corruptions' spectra on the first test images, by label, low frequencies first.

    Args:
        summaries: models on one data set; empty for suites without corruptions.
    """
    if not any(curve.ordinal for summary in summaries for curve in summary.curves):
        return {}
    labels = labels_of(summaries)
    found = {label: spectrum for label, spectrum in _spectra(summaries[0].evaluation).items() if label in labels}
    return dict(sorted(found.items(), key=lambda item: item[1].centroid))


# Every table and figure of a data set needs them.
@functools.lru_cache(maxsize=8)
def _spectra(evaluation: Evaluation) -> dict[str, Spectrum]:
    split = evaluation.split.first(_SPECTRUM_IMAGES)
    return {member.label: shift_spectrum(member.shift, split) for member in corruptions()}
