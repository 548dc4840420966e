"""What all tests share: a quiet TensorFlow, and data sets that are skipped where they are not prepared."""

import functools
import os
from pathlib import Path
from unittest import mock

import pytest

from cortexzoo import datasets
from cortexzoo.datasets import loading
from cortexzoo.startup import configure_tensorflow

# Before any test imports TensorFlow.
configure_tensorflow()


def is_prepared(name: str) -> bool:
    """Whether a data set can be read without a download: MNIST always, the others from $TFDS_DATA_DIR."""
    tfds_name = datasets.info(name).tfds_name
    folder = Path(os.environ.get("TFDS_DATA_DIR", "no such folder")) / tfds_name
    return tfds_name == "mnist" or any(folder.glob("*/dataset_info.json"))


def needs_dataset(name: str) -> pytest.MarkDecorator:
    """Returns the mark of a test that needs `name`."""
    reason = f"{datasets.info(name).tfds_name} is not prepared in TFDS_DATA_DIR, and tests download nothing"
    return pytest.mark.skipif(not is_prepared(name), reason=reason)


# "train" and "validation" are parts of one read of 60,000 PNG images.
read_once = functools.lru_cache(maxsize=4)(loading.read)


@functools.lru_cache(maxsize=8)
def load_split(name: str, split: str) -> datasets.Split:
    """`cortexzoo.datasets.load`, once a session, read-only; skips the test where the data set is not prepared."""
    if not is_prepared(name):
        pytest.skip(f"{name} is not prepared in TFDS_DATA_DIR, and tests download nothing")
    with mock.patch.object(loading, "read", read_once):
        loaded = datasets.load(name, split)
    for array in (loaded.images, loaded.labels, loaded.ids):
        array.flags.writeable = False
    return loaded
