"""docs/aurora.md is what the command says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_docs_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/aurora-docs")], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ROOT / "docs/aurora.md").read_text() == done.stdout, "run: scripts/aurora-docs > docs/aurora.md"
