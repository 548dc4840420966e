"""The settings that Attias, Pehlevan & Obeid publish with their code, for the data sets of the zoo."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class PublishedSetting:
    """One row of their table.

    Attributes:
        task: data set of the classification.
        pairs: data set of the regularisation images.
        alpha: weight of the similarity loss.
        threshold: Th of the thresholded pixel similarity.
    """

    task: str
    pairs: str
    alpha: float
    threshold: float


# Pairs in a training step, the paper's k.
PUBLISHED_PAIRS = 16
PUBLISHED = (
    PublishedSetting("cifar10", "cifar10", 10.0, 0.8),
    PublishedSetting("cifar10_gray", "cifar10_gray", 10.0, 0.8),
    PublishedSetting("mnist", "mnist", 4.0, 0.2),
    PublishedSetting("mnist", "fashion_mnist", 10.0, 0.8),
    PublishedSetting("fashion_mnist", "mnist", 10.0, 0.4),
    PublishedSetting("fashion_mnist", "fashion_mnist", 10.0, 0.8),
)


def published_setting(task: str, pairs: str) -> PublishedSetting:
    """Returns the setting published for a task and the data set of its pairs.

    Raises:
        ValueError: no setting is published for the two.
    """
    for setting in PUBLISHED:
        if (setting.task, setting.pairs) == (task, pairs):
            return setting
    known = ", ".join(f"{setting.task} with {setting.pairs}" for setting in PUBLISHED)
    raise ValueError(f"Expected a task and pairs with a published setting: {known}. Received: {task} with {pairs}.")
