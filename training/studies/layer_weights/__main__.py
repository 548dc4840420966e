"""Table and figure of the learned layer weights of similarity-regularised models.

Examples:
  cortexzoo study layer_weights
  cortexzoo study layer_weights --model=fashion_mnist/resnet_pixel \\
      --model=fashion_mnist/resnet_v1 --output=runs/weights

By default all such models of the catalogue are taken. The weights belong to the regulariser, not to the classifier that is
served; training leaves them on the card.
"""

from absl import flags

from cortexzoo import catalog
from cortexzoo.console import run
from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.preparation import prepare, refusals
from cortexzoo.training.studies.layer_weights import write_layer_weights

_MODEL = flags.DEFINE_multi_string("model", [], "Id of a model in the catalogue, or the directory of one.")
_OUTPUT = flags.DEFINE_string("output", "runs/studies/layer_weights", "Folder for layer-weights.csv and layer-weights.png.")


def main(arguments: list[str]) -> None:
    """Writes both files and prints their paths."""
    with refusals():
        output = prepare(arguments, _OUTPUT.value)
        try:
            cards = [catalog.model_card(model) for model in _MODEL.value]
            cards = cards or [card for card in catalog.list_models() if "layer_weights" in card.training]
            for path in write_layer_weights(cards, output):
                print(path)
        except ValueError as error:
            raise ConfigError(str(error)) from error


if __name__ == "__main__":
    run(main, "cortexzoo study layer_weights")
