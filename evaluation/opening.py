"""Opens whatever is given as a model: an id, a path or a Keras model in memory becomes a SavedModel to attack."""

import dataclasses
import hashlib
import inspect
import json
import shutil
import tempfile
import types
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from cortexzoo import catalog
from cortexzoo.evaluation.models import Model, catalogued, from_path
from cortexzoo.images import ImageSource, open_images

_KERAS_FILES = (".keras", ".h5", ".hdf5")
_Shape = tuple[int, int, int] | None
# Exported models by Keras object and image shape: a second call with the same weights does not export again.
_exported: "weakref.WeakKeyDictionary[Any, dict[_Shape, Model]]" = weakref.WeakKeyDictionary()


class _TemporaryFolder:
    """A folder that is removed when it is garbage-collected, or when the program ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="cortexzoo-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def open_model(model: Any, image_shape: tuple[int, int, int] | None = None, name: str | None = None) -> Model:
    """Returns a model to evaluate.

    Args:
        model: id in the catalogue, or path of an entry such as runs/catalogue/mnist/mine; path of a SavedModel or of the
            folder with its versions; path of a .keras or .h5 file; or a `keras.Model` from images to class scores. A Keras
            model is exported to a temporary SavedModel, in inference mode, so that the model is evaluated as it would be
            deployed.
        image_shape: (height, width, channels) of the images, for a Keras model that takes any shape.
        name: the name in tables; defaults to the id, the end of the path or the Keras model's name.

    Raises:
        ValueError: the id is unknown, the path does not exist, or the model cannot be exported.
        IntegrityError: a file of a catalogued model differs from its card.
        TypeError: `model` is none of these.
    """
    if isinstance(model, (str, Path)):
        found = _open_path(str(model), image_shape)
    elif hasattr(model, "get_weights") and callable(model):
        found = _export(model, image_shape)
    else:
        raise TypeError(
            "Expected `model` to be an id in the catalogue, the path of a SavedModel, of a .keras or .h5 file, or a "
            f"keras.Model. Received: {type(model).__name__}."
        )
    return found if name is None else dataclasses.replace(found, name=name, group=name)


def open_scaled(images: Any, labels: Any, scale: float | None) -> ImageSource:
    """Opens images for a model that takes values from 0 to `scale`: images in [0, 1], uint8, or from 0 to `scale`."""
    try:
        return open_images(images, labels)
    except ValueError:
        if scale is None:
            raise
        return open_images(images, labels, scale=scale)


def is_path(text: str) -> bool:
    """Returns whether `open_model` reads a text as the path of a model, not as an id in the catalogue."""
    path = Path(text)
    return path.suffix in _KERAS_FILES or (path.is_dir() and text not in catalog.model_ids())


def _open_path(text: str, image_shape: tuple[int, int, int] | None) -> Model:
    path = Path(text)
    if path.suffix in _KERAS_FILES:
        from cortexzoo.keras_files import load_keras_file

        loaded = _export(load_keras_file(path), image_shape)
        return dataclasses.replace(loaded, name=path.stem, group=path.stem)
    # A version folder next to a card is the model of that card.
    entry = path.parent if path.name.isdecimal() and (path / "saved_model.pb").is_file() else path
    if is_path(text) and not (entry / "card.json").is_file():
        return from_path(path)
    if is_path(text):
        return catalogued([str(entry)])[0]
    if path.is_file() or path.is_absolute():
        received = f"the file {text}" if path.is_file() else f"{text}, which does not exist"
        raise ValueError(f"Expected an id, a SavedModel directory, a .keras or .h5 file. Received: {received}.")
    # If there is neither such an id nor such a folder, the error lists close matches.
    return catalogued([text])[0]


def _export(model: Any, image_shape: tuple[int, int, int] | None) -> Model:
    # Imported late: an attack on a SavedModel needs no Keras.
    from cortexzoo.export import export_as_it_answers

    digest = keras_digest(model)
    exported = _exported.setdefault(model, {})
    if (kept := exported.get(image_shape)) is not None and kept.kept_digest == digest is not None:
        return kept
    folder = _TemporaryFolder()
    name = getattr(model, "name", None) or type(model).__name__
    path = export_as_it_answers(model, folder.path / "1", image_shape=image_shape)
    exported[image_shape] = Model(name, path, kept_digest=digest, group=name, folder=folder)
    return exported[image_shape]


def keras_digest(model: Any) -> str | None:
    """Returns the identity of a Keras model in the store: SHA-256 over its architecture, its own code and its weights.

    The SavedModel itself will not do: two exports of one model differ in the names inside their graphs. None for a model
    whose architecture Keras cannot serialize; it is identified by the files of its SavedModel.
    """
    try:
        config = model.get_config()
    except NotImplementedError:
        return None
    known = {"class": type(model).__name__, "config": _without_names(config), "code": _own_code(model)}
    digest = hashlib.sha256(json.dumps(known, sort_keys=True, default=repr).encode())
    for weight in model.get_weights():
        digest.update(f"{weight.dtype} {weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _own_code(model: Any) -> list[str]:
    """The bytecode of the user's own classes: with other code the same weights are another model."""
    parts = [model, *model._flatten_layers(include_self=False)]
    classes = {type(part) for part in parts if type(part).__module__.split(".")[0] not in ("keras", "cortexzoo")}
    functions = [value for kind in classes for value in vars(kind).values() if inspect.isfunction(value)]
    return sorted(_bytecode(function.__code__) for function in functions)


def _bytecode(code: types.CodeType) -> str:
    """The instructions of a function and of functions inside it, independent of their place in the source."""
    constants = [_bytecode(part) if isinstance(part, types.CodeType) else repr(part) for part in code.co_consts]
    return repr((code.co_name, code.co_code.hex(), code.co_names, constants))


def _without_names(value: Any, names: dict[str, str] | None = None) -> Any:
    """Replaces the names of layers in a config, which Keras numbers across models, by their order."""
    names = {} if names is None else names
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            names.setdefault(value["name"], f"#{len(names)}")
        kept = {key: part for key, part in value.items() if key not in ("compile_config", "build_config")}
        return {key: _without_names(part, names) for key, part in kept.items()}
    if isinstance(value, (list, tuple)):
        return [_without_names(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value
