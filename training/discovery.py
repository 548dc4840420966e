"""Modules that declare something under a fixed name: a new recipe, similarity target or study is a new file and no list."""

import importlib
import pkgutil
from typing import Any


def declared(package: str, name: str) -> list[Any]:
    """Returns what the modules of a package declare under `name`, in the order of the modules' names.

    Modules without the name, and those whose own name begins with an underscore, are passed over.

    Args:
        package: full name of the package, such as "cortexzoo.training.targets".
        name: of a module-level variable, such as "TARGET".
    """
    path = importlib.import_module(package).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))
    modules = [importlib.import_module(f"{package}.{module}") for module in names]
    return [getattr(module, name) for module in modules if hasattr(module, name)]
