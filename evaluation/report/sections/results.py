"""The page section with all numbers of an attack suite: tables, captions and figures."""

from pathlib import Path

from cortexzoo.evaluation.report.figures import write_figures
from cortexzoo.evaluation.report.links import image_link
from cortexzoo.evaluation.report.sections.base import Section
from cortexzoo.evaluation.report.tables import markdown_table
from cortexzoo.evaluation.results.summary import Summary

_TITLES = {
    "accuracy": "Accuracy against distance",
    "heatmap": "Accuracy under each attack",
    "adversarials": "Adversarial images",
}


def results_section(summaries: list[Summary], figures: list[Path], base: Path) -> str:
    """Returns tables, captions and figures as Markdown.

    Args:
        summaries: the models.
        figures: the files that `write_figures` wrote; SVG files are left out.
        base: folder of the Markdown file; links are relative to it.

    Raises:
        ValueError: there is no model, or the summaries are from different suites or seeds.
    """
    if not summaries:
        raise ValueError("Expected the results of at least one model. Received: none.")
    first = summaries[0]
    names = ", ".join(dict.fromkeys(summary.dataset.name for summary in summaries))
    settings = "; the attacks' settings: `cortexzoo suites`" if first.attacks else ""
    heading = f"Data: {names}, test split; suite `{first.suite}`, seed {first.seed}{settings}."
    images = [path for path in figures if path.suffix == ".png"]
    curves = [_image(path, base) for path in images if path.name.startswith(("accuracy-", "heatmap-"))]
    grids = [_image(path, base) for path in images if path.name.startswith("adversarials-")]
    if grids:
        grids = ["<details>\n<summary>Adversarial images of each model</summary>", *grids, "</details>"]
    return "\n\n".join([heading, markdown_table(summaries).rstrip(), *curves, *grids]) + "\n"


def _image(path: Path, base: Path) -> str:
    return image_link(path, base, _TITLES[path.stem.partition("-")[0]])


def _make(summaries: list[Summary], page: Path, figures: Path) -> str:
    return results_section(summaries, write_figures(summaries, figures, formats=("png",)), page.parent)


SECTION = Section("results", Summary, _make)
