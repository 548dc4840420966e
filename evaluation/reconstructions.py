"""Whether a model offers a reconstruction of the image by each class, kept in the store as a fact about the model."""

from cortexzoo.evaluation.attacks.latent_descent import reconstructs
from cortexzoo.evaluation.evaluation import RECONSTRUCTS, Evaluation


def examine(evaluation: Evaluation) -> None:
    """Keeps in the store whether the model reconstructs, unless it was examined before."""
    where = (evaluation.digest, evaluation.images.info.name, RECONSTRUCTS)
    if evaluation.store.check(*where) is None:
        evaluation.store.set_check(*where, {"value": reconstructs(evaluation.classifier)})
