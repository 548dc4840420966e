"""How simulated V1 and pixels agree on each data set, and how often the threshold fires."""

import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cortexzoo import datasets
from cortexzoo.figures import save_figure
from cortexzoo.files import write_text
from cortexzoo.training.targets import PUBLISHED, PUBLISHED_PAIRS, SimilarityTarget, build, published_setting

# One simulated animal each: the spread of r over them is due to the choice of cells and to their noise.
SEEDS = (0, 1, 2)
_DRAWN_PER_CLASS = 15
# Enough for a correlation (standard error below 0.003). The rare pairs above a threshold need all that are drawn.
_COMPARED_PAIRS = 200_000
_THRESHOLDS = np.linspace(0.0, 0.95, 96)


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Agreement of simulated V1 and pixels on one data set.

    Attributes:
        dataset: name of the data set.
        images: number of images.
        pairs: number of compared pairs.
        r: Pearson's r of the two similarities over the pairs, for the first seed.
        r_min, r_max: the range of r over the seeds.
        r_simple, r_complex: r with simple or complex cells alone, for the first seed.
        pixel_spread, v1_spread: standard deviations of the similarities over the pairs.
        reliability: median reliability of the simulated units.
    """

    dataset: str
    images: int
    pairs: int
    r: float
    r_min: float
    r_max: float
    r_simple: float
    r_complex: float
    pixel_spread: float
    v1_spread: float
    reliability: float


@dataclasses.dataclass(frozen=True)
class Firing:
    """How often thresholded pixel similarity is not 0, in one published setting.

    Attributes:
        task, pairs_of, alpha, threshold: the setting; see `PublishedSetting`.
        pairs: number of pairs.
        above: share of pairs whose target is 1.
        below: share of pairs whose target is -1.
        same_class_above: share of pairs of one class among those whose target is 1; NaN where there are none.
        same_class: that share among all pairs.
    """

    task: str
    pairs_of: str
    alpha: float
    threshold: float
    pairs: int
    above: float
    below: float
    same_class_above: float
    same_class: float

    @property
    def fires(self) -> float:
        """Share of pairs whose target is 1 or -1."""
        return self.above + self.below


@dataclasses.dataclass(frozen=True)
class Sample:
    """The regularisation set of one data set, its pixel similarity, and pairs of it.

    Attributes:
        name: of the data set.
        labels: int64, (n,).
        pixel: its pixel similarity; holds the images.
        first, second: int64, (k,). Pairs of two different images.
        similarity: float32, (k,). Pixel similarity of the pairs.
    """

    name: str
    labels: np.ndarray
    pixel: SimilarityTarget
    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray

    @property
    def same_class(self) -> np.ndarray:
        """Which pairs are of one class, bool, (k,)."""
        return self.labels[self.first] == self.labels[self.second]


def draw_sample(name: str, images: int, pairs: int, seed: int = 0) -> Sample:
    """Chooses training images of a data set, and pairs of them.

    Args:
        name: the data set.
        images: how many images; all where there are fewer.
        pairs: how many pairs.
        seed: int. Seed of both choices.
    """
    generator = np.random.default_rng(seed)
    split = datasets.load(name, "train")
    chosen = np.sort(generator.permutation(len(split))[:images])
    pixel = build("pixel", split.images[chosen], seed=seed)
    first, second = pixel.pairs(pairs, generator)
    return Sample(name, split.labels[chosen], pixel, first, second, pixel.similarity(first, second))


def agreement(sample: Sample, directory: Path) -> Agreement:
    """Compares simulated V1 with pixels and writes scatter-NAME.png and matrices-NAME.png."""
    images = sample.pixel.images
    target = build("simulated_v1", images, seed=SEEDS[0])
    pairs = sample.first[:_COMPARED_PAIRS], sample.second[:_COMPARED_PAIRS]
    values, pixel = target.similarity(*pairs), sample.similarity[:_COMPARED_PAIRS]
    r = float(np.corrcoef(pixel, values)[0, 1])
    save_figure(_draw_matrices(sample, target), directory / f"matrices-{sample.name}.png")
    save_figure(_draw_scatter(pixel, values, f"{sample.name}: r = {r:.2f}"), directory / f"scatter-{sample.name}.png")
    others = [_correlation(sample, seed=seed) for seed in SEEDS[1:]]
    return Agreement(
        dataset=sample.name,
        images=len(images),
        pairs=len(values),
        r=r,
        r_min=min(r, *others),
        r_max=max(r, *others),
        r_simple=_correlation(sample, seed=SEEDS[0], complex_share=0.0),
        r_complex=_correlation(sample, seed=SEEDS[0], complex_share=1.0),
        pixel_spread=float(pixel.std()),
        v1_spread=float(values.std()),
        reliability=float(np.median(target.reliability)),
    )


def _correlation(sample: Sample, **options: Any) -> float:
    target = build("simulated_v1", sample.pixel.images, **options)
    values = target.similarity(sample.first[:_COMPARED_PAIRS], sample.second[:_COMPARED_PAIRS])
    return float(np.corrcoef(sample.similarity[: len(values)], values)[0, 1])


def firing(sample: Sample) -> list[Firing]:
    """Counts how often the threshold fires, for each published setting whose pairs come from this data set."""
    found = []
    for setting in PUBLISHED:
        if setting.pairs == sample.name:
            above, below = sample.similarity > setting.threshold, sample.similarity < -setting.threshold
            same_above = float(sample.same_class[above].mean()) if above.any() else float("nan")
            found.append(
                Firing(
                    setting.task,
                    setting.pairs,
                    setting.alpha,
                    setting.threshold,
                    len(above),
                    float(above.mean()),
                    float(below.mean()),
                    same_above,
                    float(sample.same_class.mean()),
                )
            )
    return found


def write_rows(rows: Iterable[Any], path: Path) -> None:
    """Writes dataclass instances of one class as CSV, floats with six significant digits."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in dataclasses.fields(rows[0])])
    for row in rows:
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in dataclasses.astuple(row)])
    write_text(path, text.getvalue())


def draw_thresholds(samples: list[Sample], path: Path) -> None:
    """Draws how often the threshold fires against the threshold, with the published ones marked."""
    figure = Figure(figsize=(6.4, 4.0), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for i, sample in enumerate(samples):
        ordered = np.sort(np.abs(sample.similarity))
        shares = 1.0 - np.searchsorted(ordered, _THRESHOLDS, side="right") / len(ordered)
        axes.semilogy(_THRESHOLDS, 100.0 * np.where(shares > 0, shares, np.nan), color=f"C{i}", label=sample.name)
        for found in firing(sample):
            axes.plot(found.threshold, 100.0 * found.fires, "o", color=f"C{i}", markersize=5)
            if found.task != sample.name:
                look = {"fontsize": 8, "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}}
                place = {"xytext": (7, 5), "textcoords": "offset points"}
                axes.annotate(f"task {found.task}", (found.threshold, 100.0 * found.fires), **place, **look)
    axes.set(xlabel="threshold Th", ylabel="pairs with |pixel similarity| > Th (%)", xlim=(0, 1))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(
        f"{len(samples[0].first):,} pairs of {len(samples[0].labels):,} training images\n"
        "dots: published Th, where the task is the same data set or the one named",
        fontsize=9,
    )
    save_figure(figure, path)


def section(agreements: list[Agreement], firings: list[Firing], figures: str) -> str:
    """Returns the tables and figures as Markdown.

    Args:
        agreements: one a data set.
        firings: one a published setting.
        figures: folder of the figures, relative to the page.
    """
    pictures = [
        f"![{title}: {a.dataset}]({figures}/{kind}-{a.dataset}.png)"
        for a in agreements
        for kind, title in (("scatter", "Simulated V1 against pixels"), ("matrices", "Similarity matrices"))
    ]
    lines = [
        *_agreement_table(agreements),
        "",
        f"r: Pearson's correlation of simulated V1 with pixel similarity over {agreements[0].pairs:,} pairs of "
        f"{agreements[0].images:,} training images; spread: standard deviation of a similarity over the pairs.",
        "",
        *_firing_table(firings),
        "",
        f"How often thresholded pixel similarity is 1 or -1, over {firings[0].pairs:,} pairs; the resulting number among "
        f"the {PUBLISHED_PAIRS} pairs of a step; and the share of pairs of one class, among all pairs and among those with "
        "target 1.",
        "",
        f"![How often the threshold fires]({figures}/thresholds.png)",
        "",
        *pictures,
    ]
    return "\n".join(lines) + "\n"


def _agreement_table(agreements: list[Agreement]) -> list[str]:
    return [
        f"| images | r | range over {len(SEEDS)} seeds | simple cells alone | complex cells alone "
        "| spread: pixel | spread: simulated V1 | median reliability |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: |",
        *(
            f"| {a.dataset} | {a.r:.2f} | {a.r_min:.2f} to {a.r_max:.2f} | {a.r_simple:.2f} | {a.r_complex:.2f} "
            f"| {a.pixel_spread:.2f} | {a.v1_spread:.2f} | {a.reliability:.2f} |"
            for a in agreements
        ),
    ]


def _firing_table(firings: list[Firing]) -> list[str]:
    return [
        "| task | pairs of | alpha | Th | target 1 (%) | target -1 (%) | fires (%) | pairs a step "
        "| same class (%) | same class, target 1 (%) |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: | --: |",
        *(
            f"| {f.task} | {f.pairs_of} | {f.alpha:g} | {f.threshold:g} | {100 * f.above:.3g} | {100 * f.below:.3g} "
            f"| {100 * f.fires:.3g} | {PUBLISHED_PAIRS * f.fires:.2g} | {100 * f.same_class:.3g} "
            f"| {_percent(f.same_class_above)} |"
            for f in firings
        ),
    ]


def _percent(share: float) -> str:
    return "—" if np.isnan(share) else f"{100 * share:.3g}"


def _draw_scatter(pixel: np.ndarray, v1: np.ndarray, title: str) -> Figure:
    figure = Figure(figsize=(4.6, 4.0), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    counts = axes.hexbin(pixel, v1, gridsize=70, bins="log", mincnt=1, cmap="viridis", extent=(-1, 1, -1, 1))
    axes.plot([-1, 1], [-1, 1], color="gray", linewidth=0.8, linestyle="--")
    axes.set(xlabel="pixel similarity", ylabel="similarity in simulated V1", xlim=(-1, 1), ylim=(-1, 1))
    axes.set_title(title, fontsize=9)
    figure.colorbar(counts, ax=axes, label="pairs")
    return figure


def _draw_matrices(sample: Sample, v1: SimilarityTarget) -> Figure:
    """Matrices of a few images a class, sorted by class; the threshold is that published for pairs of this data set."""
    names = datasets.info(sample.name).class_names
    chosen = np.concatenate([np.flatnonzero(sample.labels == i)[:_DRAWN_PER_CLASS] for i in range(len(names))])
    edges = np.cumsum([0] + [int(np.sum(sample.labels[chosen] == i)) for i in range(len(names))])
    first, second = (index.ravel() for index in np.meshgrid(chosen, chosen, indexing="ij"))
    pixel = sample.pixel.similarity(first, second)
    threshold = published_setting(sample.name, sample.name).threshold
    panels = {
        "pixel": pixel,
        f"thresholded, Th = {threshold:g}": np.sign(pixel) * (np.abs(pixel) > threshold),
        "simulated V1": v1.similarity(first, second),
    }
    figure = Figure(figsize=(11, 3.7), dpi=120, layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        matrix = values.reshape(len(chosen), len(chosen))
        picture = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks((edges[1:] + edges[:-1]) / 2 - 0.5, names if axes is figure.axes[0] else [], fontsize=7)
        axes.tick_params(length=0)
    figure.colorbar(picture, ax=figure.axes, label="similarity", shrink=0.8)
    figure.suptitle(f"{sample.name}: the first {_DRAWN_PER_CLASS} images of each class", fontsize=9)
    return figure
