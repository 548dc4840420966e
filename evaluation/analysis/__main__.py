"""Looks into catalogued models: figures and CSV files.

  python -m evaluation.analysis latents --model=mnist/dim --output=docs/figures
                                     t-SNE of each autoencoder's latents, with silhouette and purity
  python -m evaluation.analysis logit_scale --model=mnist/dim --samples=200
                                     what a factor on the logits does to attacks
  python -m evaluation.analysis spectra --model=mnist/dim --samples=100
                                     power spectra of noises, corruptions and attacks
  python -m evaluation.analysis boundary --model=mnist/dim --samples=100
                                     how the Boundary attack converges; draws all models whose tables lie in --output

`latents` needs the extra `analysis`: pip install "brainzoo[analysis]".
"""

import importlib
import sys
from pathlib import Path

from absl import app, flags, logging

from zoo.startup import configure_tensorflow

_MODEL = flags.DEFINE_string("model", "mnist/dim", "Id in the catalogue; `zoo list` shows the ids.")
_SAMPLES = flags.DEFINE_integer("samples", 2000, "The first N test images.", lower_bound=100)
_OUTPUT = flags.DEFINE_string("output", "report", "Folder for the files.")
_ANALYSES = ("latents", "logit_scale", "spectra", "boundary")


def main(arguments: list[str]) -> None:
    """Runs the analysis that the first argument names."""
    if len(arguments) != 2 or arguments[1] not in _ANALYSES:
        received = " ".join(arguments[1:]) or "none"
        raise app.UsageError(f"Expected one analysis of {', '.join(_ANALYSES)}. Received: {received}.")
    configure_tensorflow()
    # The data library reports every file that it opens.
    logging.set_verbosity(logging.WARNING)
    from zoo.catalog import IntegrityError

    analysis = importlib.import_module(f"evaluation.analysis.{arguments[1]}")
    try:
        for path in analysis.analyse(_MODEL.value, _SAMPLES.value, Path(_OUTPUT.value)):
            print(path)
    except (ValueError, IntegrityError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    app.run(main)
