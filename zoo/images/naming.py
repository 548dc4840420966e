"""Names: of sources, and of images and labels in files and datasets."""

import re
from collections.abc import Iterable

# Images and labels as people call them; those for testing come first.
PAIRS = (
    ("x_test", "y_test"),
    ("test_images", "test_labels"),
    ("images", "labels"),
    ("image", "label"),
    ("x", "y"),
    ("data", "labels"),
    ("data", "targets"),
    ("arr_0", "arr_1"),
)
TRAINING_PAIRS = (("x_train", "y_train"), ("train_images", "train_labels"))


def find_pair(keys: Iterable[str], pairs: tuple[tuple[str, str], ...] = PAIRS) -> tuple[str, str] | None:
    """Returns the first pair of names, in any case, that `keys` holds, as it spells them."""
    spelled = {key.lower(): key for key in keys}
    return next(((spelled[x], spelled[y]) for x, y in pairs if x in spelled and y in spelled), None)


def safe_name(text: str) -> str:
    """Returns a name that can be part of a file's name: anything but letters, digits, "_", "-" and "." becomes "-"."""
    return re.sub(r"[^\w.\-]+", "-", text).strip("-.") or "images"
