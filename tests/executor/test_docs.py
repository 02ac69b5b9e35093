"""docs/executor.md tells the flags, phases and exit codes that there are."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from executor.core.lifecycle import Phase

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "executor.md").read_text()


def flags_script() -> ModuleType:
    loader = SourceFileLoader("executor_flags", str(ROOT / "scripts" / "executor-flags"))
    spec = importlib.util.spec_from_loader("executor_flags", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_table_of_flags_is_the_parsers() -> None:
    assert flags_script().with_table(TEXT) == TEXT, "run scripts/executor-flags"
    assert "`--announcer-ensemble HOST:PORT,…`" in TEXT


def test_every_phase_is_told() -> None:
    (table,) = [part for part in TEXT.split("\n## ") if part.startswith("Life of a task")]
    told = {word for line in table.splitlines() if line.startswith("| ") for word in line.split("|")[1].split(", ")}
    assert {str(phase) for phase in Phase} <= {word.strip() for word in told}


def test_the_options_of_the_bundle_are_told() -> None:
    launcher = (ROOT / "scripts" / "bundle" / "__main__.py").read_text()
    for option in ("--bundle-cache", "--bundle-unpack", "--bundle-info", "--bundle-clean"):
        assert option in launcher
        assert f"`{option}" in TEXT
