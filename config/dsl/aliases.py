"""What `import` reaches while a user's file runs.

Config files in the wild say `from pystachio import *` or `from pystachio.composite import Struct`: they get ours,
whether pystachio is installed or not. And our own packages have plain names (`config`, `client`, …): a user's
`import config` has to reach the user's module beside the file, never ours. Both hold only while `serving` is open;
`sys.modules` and `sys.path` are put back afterwards, also after an exception, so nothing of ours is disturbed.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from config import dsl
from config.dsl import (
    choice,
    containers,
    fields,
    matcher,
    objects,
    refs,
    scopes,
    structmeta,
    structs,
    templates,
    typing,
    values,
)

#: Import packages of this project with names that a user may well have too (`thermos` is the library, so not it).
OUR_PACKAGES = ("client", "config", "executor", "mesos", "observer", "scheduler", "web")

_LANGUAGE: dict[str, Any] = {name: getattr(dsl, name) for name in dsl.LANGUAGE}

#: pystachio's modules and what they hold.
_SUBMODULES: dict[str, dict[str, Any]] = {
    "base": {"Environment": scopes.Environment, "Object": objects.Object},
    "basic": {
        "Boolean": values.Boolean,
        "Enum": values.Enum,
        "EnumContainer": values.EnumContainer,
        "Float": values.Float,
        "Integer": values.Integer,
        "SimpleObject": values.SimpleObject,
        "String": values.String,
    },
    "choice": {"Choice": choice.Choice, "ChoiceContainer": choice.ChoiceContainer},
    "composite": {
        "Default": fields.Default,
        "Empty": fields.Empty,
        "IsNotMappingError": structmeta.IsNotMappingError,
        "Required": fields.Required,
        "Struct": structs.Struct,
        "Structural": structs.Structural,
        "TypeSignature": fields.TypeSignature,
    },
    "config": {},
    "container": {
        "List": containers.List,
        "ListContainer": containers.ListContainer,
        "Map": containers.Map,
        "MapContainer": containers.MapContainer,
    },
    "matcher": {"Any": matcher.Any, "Matcher": matcher.Matcher},
    "naming": {"Namable": refs.Namable, "Ref": refs.Ref, "frozendict": refs.frozendict},
    "parsing": {"MustacheParser": templates.MustacheParser},
    "typing": {
        "Type": typing.Type,
        "TypeCheck": objects.TypeCheck,
        "TypeFactory": typing.TypeFactory,
        "TypeMetaclass": typing.TypeMetaclass,
    },
}


def _build_modules(extra: dict[str, dict[str, Any]]) -> dict[str, ModuleType]:
    """The package `pystachio` and its submodules; `extra` adds names to submodules (the loader its Config)."""
    package = ModuleType("pystachio", "The config language of this project under its old name.")
    package.__path__ = []
    package.__all__ = sorted(_LANGUAGE)  # type: ignore[attr-defined]
    package.__dict__.update(_LANGUAGE, __version__="0.8.10")
    modules = {"pystachio": package}
    for name, content in _SUBMODULES.items():
        module = ModuleType(f"pystachio.{name}")
        module.__dict__.update(content)
        module.__dict__.update(extra.get(name, {}))
        setattr(package, name, module)
        modules[module.__name__] = module
    return modules


class _UsersModules:
    """A finder put first: our plain-named packages are looked for in the user's directory only."""

    def __init__(self, directories: list[str]) -> None:
        self.directories = directories

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in OUR_PACKAGES:
            return None
        spec = PathFinder.find_spec(name, self.directories)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r} beside the config file", name=name)
        return spec


def _belongs(module: str, packages: Collection[str]) -> bool:
    return module.partition(".")[0] in packages


def _take_modules(packages: Collection[str]) -> dict[str, ModuleType]:
    """Remove the packages and all below them from sys.modules: what was there."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _belongs(name, packages)}


def _forget_users(before: set[str], directory: str) -> None:
    """Drop the modules that lie right in the user's directory: another config has its own of that name."""
    folder = os.path.realpath(directory)
    tops = {
        name for name in set(sys.modules) - before if "." not in name and _holding_folder(sys.modules[name]) == folder
    }
    for name in [name for name in sys.modules if name not in before and _belongs(name, tops)]:
        del sys.modules[name]


def _holding_folder(module: ModuleType) -> str | None:
    """The directory in which a module's file, or its package's folder, lies."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    if not isinstance(origin, str) or not origin.endswith(".py"):
        return None
    path = Path(os.path.realpath(origin))
    return str(path.parent.parent if path.name == "__init__.py" else path.parent)


@contextmanager
def serving(directory: str | None = None, extra: dict[str, dict[str, Any]] | None = None) -> Iterator[None]:
    """While open, imports mean what a user's file in `directory` means by them. May be nested.

    What was imported from the user's directory is forgotten afterwards; an inner `serving` starts afresh.
    """
    directories = [] if directory is None else [directory]
    hidden = ("pystachio", *OUR_PACKAGES)
    kept = _take_modules(hidden)
    finder = _UsersModules(directories)
    path, before = list(sys.path), set(sys.modules)
    sys.modules.update(_build_modules(extra or {}))
    sys.meta_path.insert(0, finder)
    sys.path[:0] = directories
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.path[:] = path
        _take_modules(hidden)
        if directory is not None:
            _forget_users(before, directory)
        sys.modules.update(kept)
