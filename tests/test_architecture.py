"""Imports go down only, core/ is pure, imports stand at the top. The allowed edges are data."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("thermos", "config", "mesos", "executor", "observer", "scheduler", "web", "client")

#: package -> prefixes of our modules that it may import (besides itself).
EDGES: dict[str, tuple[str, ...]] = {
    "thermos": (),
    "mesos": ("thermos.clock", "thermos.errors"),
    "web": ("thermos.errors",),
    "config": ("thermos.model", "thermos.errors"),
    "observer": ("thermos", "web"),
    "executor": ("thermos", "mesos", "config"),
    "scheduler": (
        "mesos",
        "web",
        "thermos.model",
        "thermos.errors",
        "thermos.clock",
        "thermos.version",
        "config.core.cron",
    ),
    "client": ("config", "thermos", "web"),
}

#: Modules that decisions must not know: time, randomness, files and processes are arguments.
IMPURE = {
    "asyncio", "concurrent", "datetime", "fcntl", "io", "logging", "multiprocessing", "os", "pathlib", "psutil",
    "random", "secrets", "select", "selectors", "shutil", "signal", "socket", "subprocess", "sys", "tempfile",
    "threading", "time", "uuid",
}  # fmt: skip

#: Imports inside a function, each with its reason.
LAZY_ALLOWED: dict[str, str] = {
    "client/thermos/main.py": "verbs are imported when called: `thermos --help` must be quick",
    "client/aurora/main.py": "verbs are imported when called: `aurora --help` must be quick",
    "client/leader.py": "kazoo costs 0.1 s: only clusters that are found through ZooKeeper need it",
    "executor/announcer.py": "kazoo and ssl cost 11 MB: only executors that announce have them",
}


def modules() -> list[Path]:
    return sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def imported(tree: ast.AST, package: str) -> list[tuple[str, int]]:
    """(dotted module, line) of every import, relative ones resolved."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            found.append((base, node.lineno))
            found += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    name = path.relative_to(ROOT)
    own = name.parts[0]
    package = ".".join(name.parts[:-1])
    for module, line in imported(ast.parse(path.read_text()), package):
        top = module.split(".")[0]
        if top not in PACKAGES or top == own:
            continue
        allowed = any(
            module == edge or module.startswith(edge + ".") or edge.startswith(module + ".") for edge in EDGES[own]
        )
        assert allowed, f"{name}:{line}: {own} may not import {module}"


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if "core" in p.relative_to(ROOT).parts[1:-1]],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_core_is_pure(path: Path) -> None:
    name = path.relative_to(ROOT)
    for module, line in imported(ast.parse(path.read_text()), ".".join(name.parts[:-1])):
        parts = module.split(".")
        assert parts[0] not in IMPURE, f"{name}:{line}: core imports {module}"
        if parts[0] in PACKAGES:
            rim = parts[0] == "thermos" and len(parts) > 1 and parts[1] in {"host", "monitor", "runner", "recovery"}
            assert not rim, f"{name}:{line}: core imports the rim module {module}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_stand_at_the_top(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if name in LAZY_ALLOWED:
        return
    tree = ast.parse(path.read_text())
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
        for node in ast.walk(function):
            assert not isinstance(node, ast.Import | ast.ImportFrom), f"{name}:{node.lineno}: import inside a function"
