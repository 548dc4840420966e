"""Looks into catalogued models: figures and CSV files.

  python -m cortexzoo.evaluation.analysis latents --model=mnist/dim --output=docs/figures
                                     t-SNE of each autoencoder's latents, with silhouette and purity
  python -m cortexzoo.evaluation.analysis logit_scale --model=mnist/dim --samples=200
                                     what a factor on the logits does to attacks
  python -m cortexzoo.evaluation.analysis spectra --model=mnist/dim --samples=100
                                     power spectra of noises, corruptions and attacks
  python -m cortexzoo.evaluation.analysis boundary --model=mnist/dim --samples=100
                                     how the Boundary attack converges; draws all models whose tables lie in --output
  python -m cortexzoo.evaluation.analysis histograms --model=mnist/cnn --model=mnist/dim
                                     weights and activities of each layer, with their excess kurtosis
  python -m cortexzoo.evaluation.analysis rdm --model=mnist/cnn --model=mnist/dim
                                     how unlike the activity patterns of images are, class by class
  python -m cortexzoo.evaluation.analysis interpolation --model=mnist/cnn --model=mnist/dim
                                     length elements, softmax and Jacobian spectra between two images
  python -m cortexzoo.evaluation.analysis grid --model=mnist/cnn
                                     L-BFGS from each class to each other, in float32 and stabilised
  python -m cortexzoo.evaluation.analysis kurtosis_experiment
                                     how kurtotic weights protect linear classifiers; trains them, no model

`histograms`, `rdm` and `interpolation` draw several models into one figure; the others take them one by one.
`latents` needs the extra `analysis`: pip install "cortexzoo[analysis]".
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging
from cortexzoo.startup import configure_tensorflow

_MODEL = flags.DEFINE_multi_string("model", ["mnist/dim"], "Id in the catalogue; `zoo list` shows the ids. Repeatable.")
_SAMPLES = flags.DEFINE_integer("samples", 2000, "The first N test images.", lower_bound=50)
_OUTPUT = flags.DEFINE_string("output", "report", "Folder for the files.")
# What an analysis takes: one model, several to compare, or none.
_ANALYSES = {
    "latents": "one",
    "logit_scale": "one",
    "spectra": "one",
    "boundary": "one",
    "histograms": "several",
    "rdm": "several",
    "interpolation": "several",
    "grid": "one",
    "kurtosis_experiment": "none",
}


def main(arguments: list[str]) -> None:
    """Runs the analysis that the first argument names."""
    if len(arguments) != 2 or arguments[1] not in _ANALYSES:
        received = " ".join(arguments[1:]) or "none"
        raise app.UsageError(f"Expected one analysis of {', '.join(_ANALYSES)}. Received: {received}.")
    configure_tensorflow()
    # The data library reports every file that it opens.
    logging.set_verbosity(logging.WARNING)
    from cortexzoo.catalog import IntegrityError

    try:
        for path in _analyse(arguments[1], _MODEL.value, _SAMPLES.value, Path(_OUTPUT.value)):
            print(path)
    except (ValueError, IntegrityError) as error:
        sys.exit(str(error))


def _analyse(name: str, model_ids: Sequence[str], samples: int, directory: Path) -> list[Path]:
    analyse = importlib.import_module(f"cortexzoo.evaluation.analysis.{name}").analyse
    if _ANALYSES[name] == "none":
        return analyse(samples, directory)
    if _ANALYSES[name] == "several":
        return analyse(model_ids, samples, directory)
    return [path for model_id in model_ids for path in analyse(model_id, samples, directory)]


if __name__ == "__main__":
    app.run(main)
