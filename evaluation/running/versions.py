"""The versions of the packages that results depend on."""

import functools
import importlib.metadata

_PACKAGES = ("cortexzoo", "cleverhans", "keras", "numba", "numpy", "pillow", "scipy", "tensorflow")


@functools.cache
def versions() -> dict[str, str]:
    """Returns the installed version of each package, by name."""
    return {name: importlib.metadata.version(name) for name in _PACKAGES}
