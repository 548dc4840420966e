"""Writes the learned layer weights of similarity-regularised models as CSV and figure.

  python -m cortexzoo.training.studies.layer_weights --output=docs/figures/similarity  of all such models of the catalogue
  python -m cortexzoo.training.studies.layer_weights --models=fashion_mnist/resnet_pixel,fashion_mnist/resnet_v1

The weights are part of the regulariser, not of the classifier that is served: training leaves them on the card.
"""

import sys
from pathlib import Path

from absl import app, flags
from cortexzoo import catalog
from cortexzoo.training.studies.layer_weights import write_layer_weights

_MODELS = flags.DEFINE_list("models", [], "Ids in the catalogue; by default all that have layer weights.")
_OUTPUT = flags.DEFINE_string("output", "report", "Folder for the files.")


def main(arguments: list[str]) -> None:
    """Writes both files and prints their paths."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, as in --models=ID. Received: {' '.join(arguments[1:])}")
    try:
        cards = [catalog.model_card(model_id) for model_id in _MODELS.value]
        cards = cards or [card for card in catalog.list_models() if "layer_weights" in card.training]
        for path in write_layer_weights(cards, Path(_OUTPUT.value)):
            print(path)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    app.run(main)
