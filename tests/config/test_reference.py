"""docs/config-reference.md says what the schema says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "config-reference"


def test_the_reference_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_field_has_a_meaning() -> None:
    rows = [
        line.split(" | ")
        for line in (ROOT / "docs" / "config-reference.md").read_text().split("## Objects")[1].splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) > 100
    assert [row[0] for row in rows if not row[3].strip(" |")] == []
