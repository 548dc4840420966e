"""Measures and draws the targets of the similarity regularisers, or writes recordings of simulated V1.

python -m cortexzoo.training.targets --page=docs/similarity.md --output=docs/figures/similarity
                                   r between simulated V1 and pixels, similarity matrices, how often the threshold fires
python -m cortexzoo.training.targets --datasets=mnist --pairs=100000
                                   one data set, into the folder `report`
python -m cortexzoo.training.targets --datasets=mnist --images=500 --simulate_recordings=v1.npz
                                   a file in the format of docs/recordings.md, for trying that path; a name without
                                   .npz is a new folder for a TFDS dataset
"""

import os
import sys
from pathlib import Path

from absl import app, flags, logging
from cortexzoo.startup import configure_tensorflow

_DATASETS = flags.DEFINE_list("datasets", ["mnist", "fashion_mnist", "cifar10", "cifar10_gray"], "Data sets.")
_IMAGES = flags.DEFINE_integer("images", 5000, "Training images of each.", lower_bound=100)
_PAIRS = flags.DEFINE_integer("pairs", 1_000_000, "Pairs of them.", lower_bound=1000)
_OUTPUT = flags.DEFINE_string("output", "report", "Folder for the figures and CSV files.")
_PAGE = flags.DEFINE_string("page", None, "Markdown page whose section `targets` is written anew.")
_SIMULATE = flags.DEFINE_string(
    "simulate_recordings", None, "Write recordings of the first data set there, an .npz file or a new folder, and stop."
)
_UNITS = flags.DEFINE_integer("units", 1000, "Units of --simulate_recordings.", lower_bound=1)
_TRIALS = flags.DEFINE_integer("trials", 10, "Trials of --simulate_recordings.", lower_bound=2)
_SCANS = flags.DEFINE_integer("scans", 1, "Scans of --simulate_recordings.", lower_bound=1)


def main(arguments: list[str]) -> None:
    """Does what the flags say."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --datasets=mnist. Received: {' '.join(arguments[1:])}")
    configure_tensorflow()
    # The data library reports every file that it opens.
    logging.set_verbosity(logging.WARNING)
    from cortexzoo import datasets
    from cortexzoo.sections import replace_section

    try:
        for name in _DATASETS.value:
            datasets.info(name)
        if _SIMULATE.value:
            _simulate(_DATASETS.value[0], Path(_SIMULATE.value))
            return
        if _PAGE.value:
            replace_section(Path(_PAGE.value), "targets", None)
        text = _analyse(Path(_OUTPUT.value), Path(_PAGE.value or _OUTPUT.value))
        if _PAGE.value:
            replace_section(Path(_PAGE.value), "targets", text)
    except ValueError as error:
        sys.exit(str(error))


def _analyse(output: Path, page: Path) -> str:
    from cortexzoo.training.studies.targets import analysis

    samples, agreements, firings = [], [], []
    for name in _DATASETS.value:
        samples.append(analysis.draw_sample(name, _IMAGES.value, _PAIRS.value))
        agreements.append(analysis.agreement(samples[-1], output))
        firings += analysis.firing(samples[-1])
        print(f"{name}: r(simulated V1, pixel) = {agreements[-1].r:.3f}", flush=True)
    analysis.draw_thresholds(samples, output / "thresholds.png")
    analysis.write_rows(agreements, output / "targets.csv")
    analysis.write_rows(firings, output / "thresholds.csv")
    return analysis.section(agreements, firings, Path(os.path.relpath(output, page.parent)).as_posix())


def _simulate(name: str, path: Path) -> None:
    from cortexzoo import datasets
    from cortexzoo.training.recordings.file import save_recordings
    from cortexzoo.training.recordings.simulation import simulate_recordings

    images = datasets.load(name, "train").images[: _IMAGES.value]
    save_recordings(simulate_recordings(images, units=_UNITS.value, trials=_TRIALS.value, scans=_SCANS.value, seed=0), path)
    print(f"{path}: {len(images):,} images, {_UNITS.value:,} units of simulated V1, {_TRIALS.value} trials")


if __name__ == "__main__":
    app.run(main)
