"""The run directory belongs to the task's user: what lies where `executor.json` is being written is nobody's trap."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.state_file import StateFile
from thermos.clock import Now


class NoLoop:
    def post(self, call: Callable[[Now], None]) -> None: ...
    def call_at(self, when: float, call: Callable[[Now], None]) -> None: ...


@pytest.mark.parametrize("trap", ["fifo", "hard link", "link", "file"])
def test_what_lies_in_the_way_is_neither_waited_for_nor_written_to(tmp_path: Path, trap: str) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious"
    run.mkdir()
    precious.write_text("precious")
    way = run / ".executor.json.new"
    if trap == "fifo":
        os.mkfifo(way)
    elif trap == "hard link":
        way.hardlink_to(precious)
    elif trap == "link":
        way.symlink_to(precious)
    else:
        way.write_text("old")
    file = StateFile(run, NoLoop(), lambda now: {"version": 1})
    file.write(Now(1.0, 1.0))
    assert file.trouble == ""
    assert json.loads((run / "executor.json").read_text()) == {"version": 1}
    assert precious.read_text() == "precious"


def test_a_directory_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / ".executor.json.new").mkdir()
    file = StateFile(tmp_path, NoLoop(), lambda now: {"version": 1})
    file.write(Now(1.0, 1.0))
    assert file.trouble.startswith("cannot write ")
