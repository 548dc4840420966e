"""The thresholds at which accuracy is reported: the data set's or the user's."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cortexzoo.datasets import DatasetInfo
from cortexzoo.norms import NORMS

# For images without established thresholds: CIFAR-10's, with a note below the table.
BY_CONVENTION = {"linf": 8 / 255, "l2": 0.5, "l1": 12.0, "l0": 24.0}


def thresholds_for(info: DatasetInfo, epsilons: Mapping[str, float | Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """Returns the thresholds in each norm: those given, else the data set's, else CIFAR-10's by convention.

    Raises:
        ValueError: a norm is unknown, or a threshold is not a positive number.
    """
    own = {norm: (value,) for norm, value in (info.thresholds or BY_CONVENTION).items()}
    expected = f"Expected positive thresholds of the norms {', '.join(NORMS)}, as in {{'linf': 8 / 255}}."
    if not isinstance(epsilons, Mapping):
        raise ValueError(f"{expected} Received: {epsilons!r}.")
    named = {norm: tuple(values) if np.iterable(values) else (values,) for norm, values in epsilons.items()}
    for norm, values in named.items():
        if norm not in NORMS or not values or not all(_is_threshold(value) for value in values):
            raise ValueError(f"{expected} Received: {norm!r}: {values}.")
    return own | {norm: tuple(sorted(set(map(float, values)))) for norm, values in named.items()}


def _is_threshold(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and 0.0 < value < math.inf


def parse_thresholds(texts: Sequence[str]) -> dict[str, list[float]]:
    """Parses thresholds such as ["linf:8/255", "linf:0.1", "l2:0.5"].

    Raises:
        ValueError: a text is not a threshold.
    """
    found: dict[str, list[float]] = {}
    for text in texts:
        norm, _, number = text.partition(":")
        whole, _, parts = number.partition("/")
        try:
            value = float(whole) / float(parts or 1)
        except (ValueError, ZeroDivisionError):
            norm, value = "", 0.0
        if norm not in NORMS:
            raise ValueError(f"Expected NORM:SIZE with a norm of {', '.join(NORMS)}, as in linf:8/255. Received: {text!r}.")
        found.setdefault(norm, []).append(value)
    return found
