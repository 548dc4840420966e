"""A catalogued id -> a real Keras model with its pretrained weights."""

from cortexzoo import catalog, models
from cortexzoo.models import ImageClassifier


def load_model(model_id: str) -> ImageClassifier:
    """Builds a catalogued model and restores its weights after checking the SHA-256 of every file.

    Args:
        model_id: "<dataset>/<name>", one of `list_models()`.

    Returns:
        A subclassed `keras.Model` from float images in [0, 1], (batch, height, width, channels), to logits. It is built,
        not compiled.

    Raises:
        ValueError: there is no such model (the message lists close matches), or its card names no class of this version.
        IntegrityError: a file is missing or differs from its card.

    Example:

    >>> import zoo
    >>> model = cz.load_model("mnist/dim")
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss, metrics=["accuracy"])
    """
    # Imported late: TensorFlow reads the weights, and is not needed to build a model.
    from cortexzoo.export import restore_weights

    card = catalog.verify(model_id)
    model = create_model(card.class_name, card.config)
    restore_weights(model, catalog.model_directory(model_id) / str(card.version))
    return model


def create_model(class_name: str, config: dict) -> ImageClassifier:
    """Builds an untrained model of one of the classes in `cortexzoo.models` from its config.

    Raises:
        ValueError: there is no such class.
    """
    if class_name not in models.__all__:
        raise ValueError(f"Expected a class of cortexzoo.models: {', '.join(models.__all__)}. Received: {class_name!r}")
    model = getattr(models, class_name).from_config(config)
    model.build()
    return model
