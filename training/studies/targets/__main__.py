"""How simulated V1 and pixels agree as similarity targets, and how often the threshold fires.

Examples:
  cortexzoo study targets --data=mnist --pairs=100000
  cortexzoo study targets --page=docs/similarity.md \\
      --output=docs/figures/similarity

Writes tables (CSV), scatter plots, similarity matrices and the curve of the threshold.
"""

import os
from pathlib import Path

from absl import flags

from cortexzoo.console import run
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.preparation import prepare, refusals

_DATA = flags.DEFINE_multi_string("data", [], "A data set. By default all for which the paper publishes a setting.")
_IMAGES = flags.DEFINE_integer("images", 5000, "Training images of each data set.", lower_bound=100)
_PAIRS = flags.DEFINE_integer("pairs", 1_000_000, "Pairs of them.", lower_bound=1000)
_OUTPUT = flags.DEFINE_string("output", "runs/studies/targets", "Folder for the figures and tables.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `targets` is written anew.")
_SECTION = "targets"
_DEFAULT = ("mnist", "fashion_mnist", "cifar10", "cifar10_gray")


def main(arguments: list[str]) -> None:
    """Writes the files, and the section of the page."""
    with refusals():
        output = prepare(arguments, _OUTPUT.value, _PAGE.value, _SECTION)
        from cortexzoo import datasets
        from cortexzoo.sections import replace_section

        names = _DATA.value or _DEFAULT
        try:
            for name in names:
                datasets.info(name)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        text = _measure(names, output, Path(_PAGE.value or output))
        if _PAGE.value:
            replace_section(Path(_PAGE.value), _SECTION, text)


def _measure(names: list[str], output: Path, page: Path) -> str:
    from cortexzoo.training.studies.targets import analysis

    samples, agreements, firings = [], [], []
    for name in names:
        samples.append(analysis.draw_sample(name, _IMAGES.value, _PAIRS.value))
        agreements.append(analysis.agreement(samples[-1], output))
        firings += analysis.firing(samples[-1])
        print(f"{name}: r(simulated V1, pixel) = {agreements[-1].r:.3f}", flush=True)
    analysis.draw_thresholds(samples, output / "thresholds.png")
    analysis.write_rows(agreements, output / "targets.csv")
    analysis.write_rows(firings, output / "thresholds.csv")
    return analysis.section(agreements, firings, Path(os.path.relpath(output, page.parent)).as_posix())


if __name__ == "__main__":
    run(main, "cortexzoo study targets")
