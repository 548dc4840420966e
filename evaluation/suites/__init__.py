"""Named lists of attacks or shifts. A file in this folder adds suites by defining a tuple `SUITES`."""

import difflib
import functools
import importlib
import pkgutil

from cortexzoo.datasets import DatasetInfo
from cortexzoo.evaluation.suites.base import Suite


@functools.cache
def suites() -> dict[str, Suite]:
    """Returns all suites by name."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return {suite.name: suite for module in modules for suite in getattr(module, "SUITES", ())}


def outline(info: DatasetInfo) -> str:
    """Returns a readable list of all suites with their descriptions and their members on a data set."""
    lines = []
    for suite in suites().values():
        lines += [f"{suite.name}: {suite.description}", *(f"  {line}" for line in suite.outline(info))]
    return "\n".join(lines)


def find(name: str) -> Suite:
    """Returns the suite called `name`.

    Raises:
        ValueError: there is no such suite; the message lists close matches.
    """
    known = suites()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known)
        raise ValueError(f"`suite` must be one of {', '.join(known)}. Received: {name!r}. Did you mean: {', '.join(close)}?")
    return known[name]
