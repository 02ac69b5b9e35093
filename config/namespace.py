"""The names a config file has without importing them, and the modules of old that it may import them from.

Old files begin with `from apache.aurora.config.schema.base import *` or the like. While a user's file runs, such
modules are served from here, whether the original is installed or not; afterwards `sys.modules` is as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from config import builders, dsl, schema

_BUILDERS = (
    "Processes",
    "SequentialTask",
    "SimpleTask",
    "Tasks",
    "Units",
    "combine_tasks",
    "concat_tasks",
    "java_options",
    "order",
    "python_options",
    "sequential_task",
    "simple_task",
)

#: What type names of our own in `config.schema` are not for users: the strict numbers.
_INTERNAL = {"Amount", "Count", "MOST", "Number", "Positive", "Range", "Whole"}


def _public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name[0].isupper() and name not in _INTERNAL}


#: Everything, by name.
NAMES: dict[str, Any] = {
    **{name: getattr(dsl, name) for name in dsl.LANGUAGE},
    **_public(schema),
    **{name: getattr(builders, name) for name in _BUILDERS},
}

#: Modules that old files import all of this from.
_SERVED = (
    "apache.aurora.config",
    "apache.aurora.config.schema",
    "apache.aurora.config.schema.base",
    "apache.thermos.config.schema",
    "apache.thermos.config.schema_base",
    "apache.thermos.config.schema_helpers",
)


@contextmanager
def serving_schema() -> Iterator[None]:
    """While open, the modules of old can be imported."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "apache"}
    made = _modules()
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "apache"]:
            del sys.modules[name]
        sys.modules.update(kept)


def _modules() -> dict[str, ModuleType]:
    modules: dict[str, ModuleType] = {}
    for served in _SERVED:
        parts = served.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name in modules:
                continue
            module = modules[name] = ModuleType(name, "Served from this project's own schema.")
            module.__path__ = []
            if end > 1:
                setattr(modules[".".join(parts[: end - 1])], parts[end - 1], module)
        modules[served].__dict__.update(NAMES)
    return modules
