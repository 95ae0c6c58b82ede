"""Finds the one-file plug-ins of a package: readers, card families, rule kinds."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

from protocol.errors import PluginError

Kind = TypeVar("Kind")


def discover(package: ModuleType, constant: str, expected: type[Kind]) -> dict[str, Kind]:
    """Return module name -> its ``constant`` for every module of ``package``, in name order.

    Raises PluginError naming the file when a module lacks the constant or has one of another type.
    """
    found: dict[str, Kind] = {}
    for info in sorted(iter_modules(package.__path__), key=lambda module: module.name):
        module = import_module(f"{package.__name__}.{info.name}")
        value = getattr(module, constant, None)
        if not isinstance(value, expected):
            raise PluginError(f"{module.__name__} must define {constant}: {expected.__name__}")
        found[info.name] = value
    return found
