"""What hidden gradients look like: networks of which it is known what was done to them.

  cortexzoo analyze masking --samples=200 --page=docs/masking.md \\
      --output=docs/figures/masking

Trains small networks on MNIST in under a minute, hides their gradient in one
way each, and shows what attacks that follow the gradient find and what others
find. The diagnosis of `cortexzoo evaluate --diagnose` is validated on them.
"""

import dataclasses
import inspect
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cortexzoo.datasets import Split
from cortexzoo.evaluation import diagnosis
from cortexzoo.evaluation.analysis.tools.output import new_figure, write_table
from cortexzoo.evaluation.attacks import RescaledGradientAttack, Square
from cortexzoo.evaluation.diagnosis import known_answers
from cortexzoo.evaluation.diagnosis.flips import flip_at_once, flip_one_by_one
from cortexzoo.evaluation.diagnosis.known_answers import KNOWN_ANSWERS, KnownAnswer, Network
from cortexzoo.evaluation.diagnosis.sign import all_signs
from cortexzoo.evaluation.diagnosis.subject import Subject, descent
from cortexzoo.evaluation.evaluation import Evaluation
from cortexzoo.evaluation.models import from_path
from cortexzoo.evaluation.report.curves import COLOURS
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.thresholds import thresholds_for
from cortexzoo.figures import figure_style, save_figure
from cortexzoo.files import markdown_row
from cortexzoo.images import ImageSource, open_images
from cortexzoo.sections import replace_section

_FIELDS = ("network", "attack", "norm", "samples", "accuracy", "cause")
_GRADIENT, _OTHER = COLOURS[1], COLOURS[0]
# Points of a path, queries of a search, images whose paths are drawn, steps of a descent, and repeated answers.
_POINTS, _QUERIES, _DRAWN, _STEPS, _ASKED = 21, 1000, 12, 40, 30
# What is left by the attacks that many people would run, and by others; in L-infinity, then in L0.
_ONE, _MANY, _SEARCH, _MARGIN = (
    "gradient, 1 step",
    f"gradient, {_STEPS} steps",
    "search, no gradient",
    "margin, best gradient",
)
_AT_ONCE, _RANKED, _SEARCHED = "pixels, at once", "pixels, by gradient", "pixels, by search"
_SHOWN = (_ONE, _MANY, _SEARCH, _MARGIN, _RANKED, _SEARCHED)
_NAIVE = (_ONE, _MANY, _RANKED)
_ALONG, _FOUND = "along the gradient", "found by search"
# Of these networks the answers themselves are shown.
_ANSWERS = ("randomness", "batch_statistics")


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A network of known answer with what was found out about it.

    Attributes:
        known: what was done to it.
        subject: the network with the images.
        found: its diagnosis.
        accuracies: by attack, on the images that it classifies correctly.
        curves: what the left panel shows, float64, (images, points), by name; see `_paths` and `_answers`.
    """

    known: KnownAnswer
    subject: Subject
    found: diagnosis.Diagnosis
    accuracies: dict[str, float]
    curves: dict[str, np.ndarray]


def analyse(samples: int, directory: Path, page: str | None = None) -> list[Path]:
    """Writes one figure for each network, and masking.csv; updates the sections `masking NAME` and `masking` of a page.

    Args:
        samples: number of first test images, of which the first 64 that a network classifies correctly are attacked.
        directory: where the files go; created if missing.
        page: a Markdown file.

    Returns:
        The files.
    """
    from rich.progress import track

    source = open_images("mnist")
    training, test = source.load("train").first(known_answers.TRAINING_IMAGES), source.load("test").first(samples)
    images = dataclasses.replace(source, splits={"test": lambda: test})
    networks = {flips: known_answers.train(training, against_flips=flips) for flips in (False, True)}
    cases = [_case(known, networks[known.against_flips], training, images) for known in track(KNOWN_ANSWERS, "networks")]
    with figure_style():
        figures = [save_figure(_draw(case), directory / f"{case.known.name}.png") for case in cases]
    rows = [
        (
            case.known.name,
            attack,
            "l0" if attack in (_RANKED, _SEARCHED) else "linf",
            len(case.subject),
            accuracy,
            _cause(case),
        )
        for case in cases
        for attack, accuracy in case.accuracies.items()
    ]
    if page:
        _update(Path(page), cases, figures)
    return [*figures, write_table(directory / "masking.csv", _FIELDS, rows)]


def _case(known: KnownAnswer, network: Network, training: Split, images: ImageSource) -> Case:
    with tempfile.TemporaryDirectory() as folder:
        path = known_answers.save(known, network, training.images, Path(folder) / known.name)
        evaluation = Evaluation(from_path(path), images, Store(":memory:"), thresholds_for(images.info, {}))
        diagnosis.diagnose(evaluation)
        found = diagnosis.from_store(evaluation)
        subject = Subject(evaluation)
        ends = _ends(subject)
        curves = _answers(known, subject, path) if known.cause in _ANSWERS else _paths(subject, *_chosen_ends(known, ends))
        return Case(known, subject, found, _accuracies(subject, ends), curves)


def _ends(subject: Subject) -> dict[str, np.ndarray]:
    """Where each attack alone takes the images. The gradient is that of `logits`; the margin's, of the best endpoint."""
    classifier, batch, epsilon = subject.classifier, subject.batch, subject.epsilon
    rescaled = RescaledGradientAttack(epsilons=(epsilon,), steps=_STEPS)
    square = Square(norm="linf", epsilon=epsilon, queries=_QUERIES)
    radius, scan = np.full(len(batch), epsilon, np.float32), subject.single_pixels
    return {
        _ONE: descent(epsilon, 1).maximize(classifier, "logits", batch, radius),
        _MANY: descent(epsilon, _STEPS).perturb(classifier, "logits", batch, radius, 0),
        _SEARCH: square.run(classifier, "logits", batch),
        _MARGIN: rescaled.run(classifier, subject.stabilized, batch),
        _AT_ONCE: flip_at_once(classifier, "logits", batch.images, batch.labels, subject.pixels),
        _RANKED: flip_one_by_one(classifier, "logits", batch.images, batch.labels, subject.pixels),
        _SEARCHED: np.stack([scan.search(classifier, i, subject.pixels) for i in range(len(scan.batch))]),
    }


def _accuracies(subject: Subject, ends: dict[str, np.ndarray]) -> dict[str, float]:
    labels = subject.batch.labels
    left = {name: ~subject.classifier.misclassifies(images, labels[: len(images)]) for name, images in ends.items()}
    return {name: float(np.mean(left[name])) for name in _SHOWN}


def _chosen_ends(known: KnownAnswer, ends: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Two ways from the images: the one that the gradient shows, and one found without it."""
    return (ends[_AT_ONCE], ends[_SEARCHED]) if known.against_flips else (ends[_ONE], ends[_SEARCH])


def _paths(subject: Subject, along: np.ndarray, found: np.ndarray) -> dict[str, np.ndarray]:
    """The lead of the label on straight ways from the images, as a share of the lead at the image."""
    count = min(_DRAWN, len(found))
    part = subject.batch.take(np.arange(count))
    curves = {}
    for name, ends in ((_ALONG, along), (_FOUND, found)):
        ways = ends[:count] - part.images
        points = [part.images + share * ways for share in np.linspace(0.0, 1.0, _POINTS, dtype=np.float32)]
        leads = np.stack([-subject.classifier.loses_by(images, part.labels) for images in points], axis=1)
        curves[name] = leads / leads[:, :1]
    return curves


def _answers(known: KnownAnswer, subject: Subject, path: Path) -> dict[str, np.ndarray]:
    """The lead of the label when the model is asked again, and when the image is alone or among others."""
    # One answer at a time, where attacks see the mean of several.
    model, others = tf.saved_model.load(str(path)), np.random.default_rng(subject.batch.seed)
    images, labels = subject.batch.images[:_DRAWN], subject.batch.labels[:_DRAWN]
    if known.cause == "randomness":
        answers = [model.logits(tf.constant(images)).numpy() for _ in range(_ASKED)]
        return {"asked again and again": np.stack([_lead(answer, labels) for answer in answers], axis=1)}
    rest = subject.batch.images[_DRAWN:]
    mixed = [np.concatenate([images, others.permutation(rest)[:_DRAWN]]) for _ in range(_ASKED)]
    among = [_lead(model.logits(tf.constant(batch)).numpy()[:_DRAWN], labels) for batch in mixed]
    alone = np.concatenate([model.logits(tf.constant(image[None])).numpy() for image in images])
    return {"among others": np.stack(among, axis=1), "alone": _lead(alone, labels)[:, None]}


def _lead(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    true = np.arange(logits.shape[1]) == labels[:, None]
    return logits[true] - np.max(np.where(true, -np.inf, logits), axis=1)


def _draw(case: Case) -> Figure:
    figure = new_figure(7.0, 2.5)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1.0))
    if case.known.cause in _ANSWERS:
        _draw_answers(left, case.curves)
    else:
        _draw_paths(left, case)
    _draw_accuracies(right, case.accuracies)
    return figure


def _draw_paths(panel: Axes, case: Case) -> None:
    pixels = f"share of the way to {case.subject.pixels} changed pixels"
    steps = np.linspace(0.0, 1.0 if case.known.against_flips else case.subject.epsilon, _POINTS)
    panel.axhline(0.0, color="0.4", linewidth=0.8)
    for (name, leads), colour in zip(case.curves.items(), (_GRADIENT, _OTHER), strict=True):
        panel.plot(steps, leads.T, color=colour, linewidth=0.5, alpha=0.35)
        panel.plot(steps, np.median(leads, axis=0), color=colour, linewidth=2.2, label=name)
    panel.set(xlabel=pixels if case.known.against_flips else "size of the step (L∞)", ylim=(-1.2, 1.6))
    panel.set_ylabel("lead of the label\n(1: at the image, below 0: wrong)")
    _legend(panel)


def _draw_answers(panel: Axes, curves: dict[str, np.ndarray]) -> None:
    order = np.argsort(np.median(next(iter(curves.values())), axis=1))
    panel.axhline(0.0, color="0.4", linewidth=0.8)
    for (name, leads), marker, colour in zip(curves.items(), "o_", (_OTHER, _GRADIENT), strict=False):
        places = np.repeat(np.arange(len(order)), leads.shape[1])
        style = {"markersize": 9, "markeredgewidth": 1.8} if marker == "_" else {"markersize": 2.2}
        panel.plot(places, leads[order].ravel(), marker, color=colour, label=name, **style)
    panel.set(xlabel=f"{len(order)} images", xticks=[])
    panel.set_ylabel("lead of the label\n(below 0: wrong)")
    _legend(panel)


def _legend(panel: Axes) -> None:
    panel.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderpad=0.0)


def _draw_accuracies(panel: Axes, accuracies: dict[str, float]) -> None:
    names = list(accuracies)
    colours = [_GRADIENT if name in _NAIVE else _OTHER for name in names]
    values = [100 * accuracies[name] for name in names]
    panel.barh(names, values, color=colours, height=0.65)
    for place, value in enumerate(values):
        panel.text(value + 1.5, place, f"{value:.0f}", va="center", fontsize=8)
    panel.invert_yaxis()
    panel.axhline(3.5, color="0.8", linewidth=0.8)
    panel.set(xlim=(0, 112), xlabel="accuracy that is left (%)", xticks=range(0, 101, 25))
    panel.tick_params(axis="y", length=0)


def _cause(case: Case) -> str:
    return ", ".join(case.found.causes) or "none"


def _update(page: Path, cases: Sequence[Case], figures: Sequence[Path]) -> None:
    for case, figure in zip(cases, figures, strict=True):
        link = Path(os.path.relpath(figure, page.parent)).as_posix()
        title = f"{case.known.name.replace('_', ' ')}: {case.known.title}"
        replace_section(page, f"masking {case.known.name}", f"![{title}]({link})\n\n> {case.found.verdict}\n")
    replace_section(page, "masking", _table(cases))
    replace_section(page, "masking signs", _signs())


def _signs() -> str:
    """Every sign with the first line of its file."""
    lines = [markdown_row(["sign", "what it means", "warns above"]), markdown_row([":--", ":--", "--:"])]
    for sign in all_signs():
        meaning = inspect.getmodule(sign.measure).__doc__.partition("\n")[0].removesuffix(".")
        lines.append(markdown_row([sign.title, meaning, f"{100 * sign.threshold:g} %"]))
    return "\n".join(lines)


def _table(cases: Sequence[Case]) -> str:
    head = ["network", "what was done to it", *_SHOWN, "diagnosis"]
    lines = [markdown_row(head), markdown_row([":--", ":--", *["--:"] * len(_SHOWN), ":--"])]
    for case in cases:
        shares = [f"{100 * case.accuracies[name]:.0f}" for name in _SHOWN]
        lines.append(markdown_row([case.known.name, case.known.title, *shares, _cause(case).replace("_", " ")]))
    first = cases[0].subject
    sizes = f"L∞ {first.epsilon:g} and {first.pixels} pixels; the first {len(first)} correctly classified test images, "
    caption = f"Accuracy in per cent under each attack alone, at {sizes}searched pixels: {len(first.single_pixels.batch)}."
    return "\n".join([*lines, "", caption])
