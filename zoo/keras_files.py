"""Keras' own files, .keras and .h5 -> Keras models, without running code that a file brings along."""

import os
import re
import zipfile
from pathlib import Path

import keras

SUFFIXES = (".keras", ".h5", ".hdf5")


def load_keras_file(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a model that `model.save` wrote, in Keras' safe mode; it is not compiled.

    Args:
        path: a .keras, .h5 or .hdf5 file.

    Raises:
        ValueError: there is no such file, it is no model, or it holds a Lambda layer or a class that is not known here.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"Expected a file of one of the kinds {', '.join(SUFFIXES)}. Received: {path}.")
    if not path.is_file():
        raise ValueError(f"Expected a Keras model in {path}. Received: there is no such file.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"Expected a Keras model in {path}. {_advice(str(error))}") from error


def _advice(message: str) -> str:
    reason = message.strip().splitlines()[0] if message.strip() else "no reason given"
    if "accessible `.keras` zip file" in message or "file signature not found" in message:
        return "Received: a file that is damaged, or that model.save did not write."
    if "No model config found" in message:
        return "Received: weights alone. Build the model, call its load_weights, and pass the keras.Model."
    if unknown := re.search(r"Could not locate class '(\w+)'|Unknown layer: '(\w+)'", message):
        reason = f"one with the class {unknown[1] or unknown[2]}, which Keras does not know."
    if "lambda" in message.lower():
        return (
            "Received: one with a Lambda layer, whose code would run on loading. Replace it by a layer, or load the "
            "model where you trust it and pass the keras.Model."
        )
    if "Could not locate class" in message or "Unknown layer" in message:
        return f"Received: {reason} Import the module that defines and registers the class first, or pass the keras.Model."
    return f"Received: {reason}"
