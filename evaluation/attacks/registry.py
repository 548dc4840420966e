"""Attacks by name. Each file of this folder adds the attacks that it defines."""

import dataclasses
import difflib
import functools
import importlib
import inspect
import pkgutil
from typing import Any

import numpy as np

import cortexzoo.evaluation.attacks as package
from cortexzoo.evaluation.attacks.base import Attack, EpsilonSearch

_SHORT = {
    "pgd": "projected_gradient_descent",
    "fgm": "fast_gradient_method",
    "fgsm": "fast_gradient_method",
    "bim": "basic_iterative_method",
    "mim": "momentum_iterative_method",
    "cw": "carlini_wagner_l2",
    "ead": "elastic_net",
}
# What is taken where nobody names an attack: in each norm one that works whatever the model is.
_DEFAULT = {"linf": "pgd", "l2": "pgd", "l1": "sparse_l1_descent", "l0": "brendel_bethge"}
# Settings of which none at all is no attack.
_COUNTS = (
    *("steps", "rounds", "iterations", "search_steps", "directions"),
    *("queries", "restarts", "target_classes", "averages", "width", "walks"),
)


@functools.cache
def attacks() -> dict[str, type[Attack]]:
    """Returns the attacks by name: the last part of the one that they have in the store, "pgd" and its like besides."""
    modules = [
        importlib.import_module(f"{package.__name__}.{module.name}") for module in pkgutil.iter_modules(package.__path__)
    ]
    found: dict[str, type[Attack]] = {}
    for module in modules:
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Attack) and kind.__module__ == module.__name__ and _stands_alone(kind):
                found[kind.name.rsplit("/", 1)[-1].split(" ")[0]] = kind
    return found | {short: found[name] for short, name in _SHORT.items()}


def _stands_alone(kind: type[Attack]) -> bool:
    """Whether it can be built of a norm and numbers, without another attack inside."""
    needed = (
        [field.name for field in dataclasses.fields(kind) if _has_no_default(field)]
        if dataclasses.is_dataclass(kind)
        else ["?"]
    )
    return isinstance(getattr(kind, "name", None), str) and set(needed) <= {"norm", "epsilon", "epsilons"}


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def build_attack(name: str | None, norm: str, epsilon: float | None, threshold: float, **settings: Any) -> Attack:
    """Returns the attack called `name` with these settings.

    Args:
        name: a key of `attacks`; None for a fit one.
        norm: "linf", "l2", "l1" or "l0".
        epsilon: the size of a perturbation; None to search each image's smallest.
        threshold: where that search begins.
        settings: the attack's own.

    Raises:
        ValueError: there is no such attack (the message lists close matches), or it does not take the norm or a setting.
    """
    known, name = attacks(), name or _DEFAULT[norm]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        raise ValueError(
            f"`attack` must be one of {', '.join(sorted(known))}. Received: {name!r}. Did you mean: {', '.join(close)}?"
        )
    kind = known[name]
    fields = {field.name for field in dataclasses.fields(kind)}
    values = {"norm": norm, "epsilon": epsilon or threshold, "epsilons": (epsilon or threshold,)}
    if issubclass(kind, EpsilonSearch) and epsilon is not None:
        # This size and no other.
        values["rounds"] = 1
    if epsilon is None and getattr(kind, "epsilon", threshold) is None:
        # Without a size it goes on to the smallest.
        del values["epsilon"]
    values = {key: value for key, value in values.items() if key in fields} | settings
    if unknown := sorted(settings.keys() - fields):
        raise ValueError(f"The attack {name} has the settings {', '.join(sorted(fields))}. Received: {', '.join(unknown)}.")
    _check_counts(kind, settings)
    attack = kind(**values)
    if attack.norm != norm:
        raise ValueError(f"The attack {name} works in {attack.norm}. Received: norm={norm!r}.")
    return attack


def _check_counts(kind: type[Attack], settings: dict[str, Any]) -> None:
    """No steps, or less than none, would leave every image as it is, as if the model were robust."""
    for field in dataclasses.fields(kind):
        value, least = settings.get(field.name, 1), int(field.name in _COUNTS)
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if field.type in (int, "int") and not (whole and value >= least):
            raise ValueError(f"`{field.name}` must be a whole number from {least} on. Received: {field.name}={value!r}.")
