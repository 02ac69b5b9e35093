"""docs/cli.md is what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_docs_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/cli-docs")], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ROOT / "docs/cli.md").read_text() == done.stdout, "run: scripts/cli-docs > docs/cli.md"
