"""The similarity targets by name: those that the files of this folder declare as TARGET."""

import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cortexzoo.training.configuration import ConfigError
from cortexzoo.training.discovery import declared
from cortexzoo.training.targets.base import SimilarityTarget
from cortexzoo.training.targets.specification import Setting, TargetSpecification


@functools.cache
def specifications() -> dict[str, TargetSpecification]:
    """Returns all targets by name."""
    return {target.name: target for target in declared("cortexzoo.training.targets", "TARGET")}


def find(name: str) -> TargetSpecification:
    """Returns what is declared of the target called `name`.

    Raises:
        ConfigError: there is no such target.
    """
    known = specifications()
    if name not in known:
        raise ConfigError(f"`name` must be one of {', '.join(known)}. Received: name={name!r}")
    return known[name]


def build(name: str, images: np.ndarray, *, seed: int, **options: Any) -> SimilarityTarget:
    """Returns the target called `name`.

    Args:
        name: one of `specifications()`: "pixel"; "thresholded" (threshold=0.8, side="both", inner_threshold=0.0,
            signs=True); "simulated_v1" (units=1000, trials=10, complex_share=0.5); "recordings" (path=..., whose images
            replace `images`; responses="predicted"); "features" (model=..., layer=...); and the controls "shuffled"
            (of="pixel", with that target's options) and "constant" (value=0.0).
        images: the regularisation set, float, (n, height, width, channels), in [0, 1].
        seed: int. Seed of everything random in the target.
        options: options of the target.

    Raises:
        ValueError: `name` or an option is unknown, an option is missing or out of range, or the images have a wrong shape or
            range.

    Example:

    >>> target = build("shuffled", images, seed=0, of="thresholded", threshold=0.2)
    """
    function = find(name).build
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("images", "seed")]
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = [] if any(p.kind is p.VAR_KEYWORD for p in parameters) else sorted(options.keys() - set(known))
    missing = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in options]
    if unknown or missing:
        raise ValueError(
            f"The target {name!r} takes the options: {', '.join(known) or 'none'}. "
            f"Received: {', '.join(sorted(options)) or 'none'}."
        )
    return function(images, seed, **options)


def chain(config: Mapping[str, Any]) -> list[TargetSpecification]:
    """Returns the target of a config and, of one that wraps another, that one too; none of "none".

    Raises:
        ConfigError: there is no such target, or a target wraps itself.
    """
    found: list[TargetSpecification] = []
    name = config["target"]
    while name and name != "none":
        found.append(find(name))
        name = config[found[-1].wraps] if found[-1].wraps else ""
        if name in {target.name for target in found}:
            raise ConfigError(f"{found[-1].wraps} must be another target than {name}.")
    return found


def options(
    config: Mapping[str, Any], directory: Path | None = None, bases: Mapping[str, Path] | None = None
) -> dict[str, Any]:
    """Returns what a config says to `build`; see `TargetSpecification.options`, for its target and what that wraps."""
    return {
        name: value for target in chain(config)[::-1] for name, value in target.options(config, directory, bases).items()
    }


def settings() -> dict[str, tuple[Setting, tuple[str, ...]]]:
    """Returns each setting of the targets by name, with the names of the targets that read it."""
    readers: dict[str, tuple[Setting, tuple[str, ...]]] = {}
    for target in specifications().values():
        for setting in target.settings:
            _, others = readers.get(setting.name, (setting, ()))
            readers[setting.name] = setting, (*others, target.name)
    return readers
