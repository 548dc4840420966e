"""The sections of a Markdown page that hold numbers: generated, never typed."""

import os
import urllib.parse
from pathlib import Path

from cortexzoo.evaluation.report.figures import write_figures
from cortexzoo.evaluation.report.sections.boundary import boundary_table
from cortexzoo.evaluation.report.sections.comparison import comparison_table
from cortexzoo.evaluation.report.sections.nearest import nearest_table
from cortexzoo.evaluation.report.sections.pairs import pairs_table
from cortexzoo.evaluation.report.sections.saturating import saturating_section
from cortexzoo.evaluation.report.tables import markdown_table
from cortexzoo.evaluation.results.store import Store
from cortexzoo.evaluation.results.summary import Summary
from cortexzoo.sections import replace_section


def update_page(summaries: list[Summary], store: Store, page: Path, figures: Path) -> None:
    """Makes those sections of a page anew that stand in it: `results`, `comparison`, `nearest`, `pairs`, `saturating` and
    `boundary`.

    A section is what stands between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`. On a page about several suites
    its name ends with the suite's, as in `results paper42`.

    Args:
        summaries: the models.
        store: the results, for the adversarial images.
        page: a Markdown file.
        figures: folder that the figures (PNG) are written to; links to them are relative to the page.

    Raises:
        ValueError: there is no such section or no model; or the summaries are of different suites or seeds.
    """
    if not summaries:
        raise ValueError("Expected the results of at least one model. Received: none.")
    suite, text = summaries[0].suite, page.read_text(encoding="utf-8")
    names = {kind: [name for name in (kind, f"{kind} {suite}") if _has_section(text, name)] for kind in _SECTIONS}
    if not any(names.values()):
        # Says which lines are missing.
        replace_section(page, "results", None)
    # All markers are checked before any figure is written.
    for name in (name for found in names.values() for name in found):
        replace_section(page, name, None)
    for kind, make in _SECTIONS.items():
        if names[kind]:
            section = make(summaries, store, page, figures)
            for name in names[kind]:
                replace_section(page, name, section)


def _has_section(text: str, name: str) -> bool:
    return any(f"<!-- {name}:{edge} -->" in text.split("\n") for edge in ("begin", "end"))


def _results(summaries: list[Summary], store: Store, page: Path, figures: Path) -> str:
    return results_section(summaries, write_figures(summaries, store, figures, formats=("png",)), page.parent)


def _saturating(summaries: list[Summary], store: Store, page: Path, figures: Path) -> str:
    text, drawn = saturating_section(summaries, store, figures)
    return "\n\n".join([text.rstrip(), *(_image(path, page.parent) for path in drawn)])


_SECTIONS = {
    "results": _results,
    "comparison": lambda summaries, *_: comparison_table(summaries),
    "nearest": lambda summaries, *_: nearest_table(summaries),
    "pairs": lambda summaries, *_: pairs_table(summaries),
    "boundary": lambda summaries, *_: boundary_table(summaries),
    "saturating": _saturating,
}


def results_section(summaries: list[Summary], figures: list[Path], base: Path) -> str:
    """Returns tables, captions and figures as Markdown.

    Args:
        summaries: the models.
        figures: the files that `write_figures` wrote; SVG files are left out.
        base: folder of the Markdown file, which the links are relative to.

    Raises:
        ValueError: there is no model; or the summaries are of different suites or seeds.
    """
    if not summaries:
        raise ValueError("Expected the results of at least one model. Received: none.")
    first = summaries[0]
    names = ", ".join(dict.fromkeys(summary.dataset.name for summary in summaries))
    settings = "; the attacks' settings: `evaluation/suites.py`" if first.attacks else ""
    heading = f"Data: {names}, test split; suite `{first.suite}`, seed {first.seed}{settings}."
    images = [path for path in figures if path.suffix == ".png"]
    curves = [_image(path, base) for path in images if path.name.startswith(("accuracy-", "heatmap-"))]
    grids = [_image(path, base) for path in images if path.name.startswith("adversarials-")]
    if grids:
        grids = ["<details>\n<summary>Adversarial images of each model</summary>", *grids, "</details>"]
    return "\n\n".join([heading, markdown_table(summaries).rstrip(), *curves, *grids]) + "\n"


def _image(path: Path, base: Path) -> str:
    text = {
        "accuracy": "Accuracy against distance",
        "heatmap": "Accuracy under each attack",
        "adversarials": "Adversarial images",
        "saturating": "Apparent robustness and worst case",
    }[path.stem.partition("-")[0]]
    return image_link(path, base, text)


def image_link(path: Path, base: Path, text: str) -> str:
    """Returns a Markdown link to a figure KIND-NAME.png, relative to the folder `base`."""
    link = urllib.parse.quote(Path(os.path.relpath(path, base)).as_posix())
    return f"![{text}: {path.stem.partition('-')[2]}]({link})"
