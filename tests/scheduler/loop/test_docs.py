"""The documentation of the flags is what the program has."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path

TOP = Path(__file__).parents[3]


def test_the_tables_of_flags_are_made_anew() -> None:
    """After a change: .venv/bin/python scripts/scheduler-flags"""
    loader = SourceFileLoader("scheduler_flags", str(TOP / "scripts" / "scheduler-flags"))
    spec = importlib.util.spec_from_loader("scheduler_flags", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    text = (TOP / "docs" / "scheduler-flags.md").read_text()
    assert script.with_tables(text) == text
