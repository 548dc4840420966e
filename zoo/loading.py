"""A catalogue id, a SavedModel of ours or a Keras file -> a Keras model with its weights."""

import os
from pathlib import Path
from typing import Any

import keras

from cortexzoo import catalog
from cortexzoo.keras_files import SUFFIXES, load_keras_file
from cortexzoo.models import MODELS, ImageClassifier


def load_model(
    model: str | os.PathLike[str],
    *,
    num_classes: int | None = None,
    catalogue: str | os.PathLike[str] | None = None,
) -> keras.Model:
    """Loads a pretrained model for inference or fine-tuning.

    A model of the zoo is built from its card, and its weights are restored after a check of the SHA-256 of every file.

    Args:
        model: one of

            - "<dataset>/<name>", the id of one of `list_models()`;
            - the directory of a model beside its card, or a version in it, such as "runs/catalogue/mnist/mine/1";
            - a .keras or .h5 file. It is read in Keras' safe mode, which runs no code of the file.
        num_classes: gives the model a new, untrained head for this many classes (at least 2); the other weights stay.
            Defaults to the model as it was trained.
        catalogue: directory of the catalogue. Defaults to $CORTEXZOO_SAVED_MODELS, or the models that are installed.

    Returns:
        A `keras.Model` from float images in [0, 1], (batch, height, width, channels), to logits. It is built, not compiled.
        Models of the zoo are subclassed, so that they have no `model.input` or `layers[i].output`. `model.features(images)`
        returns the activations of their layers by name, also under `tf.GradientTape`. What a model from a file takes and
        returns is up to the file.

    Raises:
        ValueError: there is no such model (the message lists close matches), its card names no class of this version, the
            file cannot be read safely, or the model cannot have another head.
        IntegrityError: a file is missing or differs from its card.

    Examples:

    >>> model = cz.load_model("mnist/dim")
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss, metrics=["accuracy"])

    >>> three = cz.load_model("mnist/cnn", num_classes=3)
    >>> codes = three.features(images)["block_2"]
    """
    name = os.fspath(model)
    is_file = name.endswith(SUFFIXES)
    loaded = load_keras_file(name) if is_file else _load_saved_model(name, catalogue)
    return loaded if num_classes is None else _with_new_head(loaded, num_classes, name)


def create_model(class_name: str, config: dict[str, Any]) -> ImageClassifier:
    """Builds an untrained model of one of the classes in `cortexzoo.models` from its config.

    Raises:
        ValueError: there is no such class.
    """
    if class_name not in MODELS:
        raise ValueError(f"Expected a class of cortexzoo.models: {', '.join(MODELS)}. Received: {class_name!r}")
    model = MODELS[class_name].from_config(config)
    model.build()
    return model


def _load_saved_model(name: str, catalogue: str | os.PathLike[str] | None) -> ImageClassifier:
    # Imported late: TensorFlow reads the weights, and is not needed to build a model.
    from cortexzoo.export import restore_weights

    directory, version = _split_version(name)
    card = catalog.verify(directory, catalogue)
    model = create_model(card.class_name, card.config)
    restore_weights(model, catalog.model_directory(directory, catalogue) / (version or str(card.version)))
    return model


def _split_version(name: str) -> tuple[str, str | None]:
    """("mine", "1") for the SavedModel "mine/1" beside the card of "mine"; anything else as it is."""
    path = Path(name)
    if not (path / "saved_model.pb").is_file():
        return name, None
    if path.name.isdecimal() and (path.parent / "card.json").is_file():
        return str(path.parent), path.name
    raise ValueError(
        f"Expected a SavedModel beside a card.json, which says how to build the Keras model. Received: {name!r}. "
        "tf.saved_model.load runs it and cz.evaluate attacks it as it is. To train a model further, keep it by "
        "model.save('mine.keras') as well."
    )


def _with_new_head(pretrained: keras.Model, num_classes: int, name: str) -> ImageClassifier:
    if not isinstance(pretrained, ImageClassifier):
        raise ValueError(
            f"Only models of the zoo can have another head by `num_classes`. Received: {name!r}, a "
            f"{type(pretrained).__name__}. For a functional model build the head on model.layers[-2].output."
        )
    if num_classes < 2:
        raise ValueError(f"Expected `num_classes` >= 2. Received: num_classes={num_classes}")
    old_head = {id(weight) for layer in pretrained.class_layers for weight in layer.weights}
    if all(id(weight) in old_head for weight in pretrained.trainable_weights):
        raise ValueError(
            f"{name!r} has weights of its own for every class, so that nothing of its training would be left with other "
            "classes. Choose a model with a denoiser or a shared encoder, such as mnist/dim or mnist/single_im."
        )
    model = type(pretrained).from_config({**pretrained.get_config(), "num_classes": num_classes})
    model.build()
    for new, old in zip(model.weights, pretrained.weights, strict=True):
        if id(old) not in old_head:
            new.assign(old)
    return model
