"""`executor.json`: all or nothing, only news, once a second, and never a reason to fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from executor.state_file import NAME, PAUSE_S, StateFile
from tests.executor.fakes import FakeLoop


class Desk:
    def __init__(self, directory: Path) -> None:
        self.loop = FakeLoop()
        self.path = directory / NAME
        self.state: dict[str, Any] = {"n": 0}
        self.file = StateFile(directory, self.loop, lambda now: self.state)

    def touch(self, **state: Any) -> None:
        self.state = state
        self.file.touch(self.loop.now())

    def read(self) -> Any:
        return json.loads(self.path.read_text())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_first_is_written_at_once_others_wait_a_second(desk: Desk) -> None:
    desk.touch(n=1)
    assert desk.read() == {"n": 1}
    for n in range(2, 9):
        desk.touch(n=n)
    assert desk.read() == {"n": 1} and len(desk.loop.timers) == 1, "one alarm for all of them"
    desk.loop.advance(PAUSE_S)
    assert desk.read() == {"n": 8}
    desk.loop.advance(PAUSE_S)
    desk.touch(n=9)
    assert desk.read() == {"n": 9}


def test_no_news_is_not_written(desk: Desk) -> None:
    desk.touch(n=1)
    desk.path.unlink()
    desk.loop.advance(5)
    desk.touch(n=1)
    assert not desk.path.exists()


def test_the_last_one_is_written_whatever_the_time(desk: Desk) -> None:
    desk.touch(n=1)
    desk.state = {"n": 2}
    desk.file.write(desk.loop.now())
    assert desk.read() == {"n": 2}


def test_readers_see_all_or_nothing(desk: Desk) -> None:
    desk.touch(n=1)
    before = desk.path.open()
    desk.loop.advance(5)
    desk.touch(n=2)
    assert json.load(before) == {"n": 1} and desk.read() == {"n": 2}
    before.close()
    assert [path.name for path in desk.path.parent.iterdir()] == [NAME]


def test_a_link_that_somebody_laid_is_not_written_through(desk: Desk, tmp_path: Path) -> None:
    """The run directory is the task's user's, and we may be root."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / f".{NAME}.new").symlink_to(precious)
    desk.touch(n=1)
    assert precious.read_text() == "mine"
    assert not desk.file.trouble and desk.path.is_file() and not desk.path.is_symlink()


def test_a_directory_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "later")
    desk.touch(n=1)
    assert desk.file.trouble == f"cannot write {desk.path}: No such file or directory"
    desk.path.parent.mkdir()
    desk.loop.advance(5)
    desk.touch(n=1)
    assert desk.read() == {"n": 1} and not desk.file.trouble
