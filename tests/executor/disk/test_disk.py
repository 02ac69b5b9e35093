"""The disk limit (spec/thermos.md §4.7): what counts, when it is told, and how little it disturbs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from executor.disk import PAUSE_FACTOR, DiskLimit, over_limit
from executor.workers import Workers
from tests.executor.announcer.rig import wait_until
from thermos.clock import Now, now
from thermos.host.loop import PlainLoop
from thermos.monitor import sample


class Turns:
    """A loop and workers by hand: work is done when asked for and takes as long as it is told to."""

    def __init__(self) -> None:
        self.mono = 100.0
        self.work: list[tuple[Callable[[], object], Callable[[object, Now], None]]] = []
        self.timers: list[tuple[float, Callable[[Now], None]]] = []
        self.reports: list[str] = []

    @property
    def now(self) -> Now:
        return Now(1e9 + self.mono, self.mono)

    def post(self, call: Callable[[Now], None]) -> None:
        raise AssertionError("workers post, not the limit")

    def call_at(self, when: float, call: Callable[[Now], None]) -> None:
        self.timers.append((when, call))

    def submit(self, work: Callable[[], object], done: Callable[[object, Now], None]) -> None:
        self.work.append((work, done))

    def report(self, text: str, now: Now) -> None:
        self.reports.append(text)

    def do(self, took_s: float) -> None:
        work, done = self.work.pop(0)
        try:
            outcome = work()
        except Exception as error:
            outcome = error
        self.mono += took_s
        done(outcome, self.now)

    def ring(self) -> float:
        """Go on to the next timer; how long that was."""
        when, call = self.timers.pop(0)
        waited, self.mono = when - self.mono, when
        call(self.now)
        return waited

    def limit(self, sandbox: Path, limit: int, **settings: float | int) -> DiskLimit:
        made = DiskLimit(sandbox, limit, self, self, self.report, **settings)  # type: ignore[arg-type]
        made.start(self.now)
        return made


def fill(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


def test_words() -> None:
    assert over_limit(100, 101) == "Disk limit exceeded.  Reserved 100 bytes vs used 101 bytes."
    assert over_limit(100, 100) is None


def test_over_the_limit_fails(tmp_path: Path) -> None:
    """Spec §6.2 item 121."""
    turns = Turns()
    fill(tmp_path / ".logs" / "p" / "0" / "stdout", 200_000)
    limit = turns.limit(tmp_path, 100_000)
    turns.do(0.1)
    used = limit.state()["used_bytes"]
    assert turns.reports == [f"Disk limit exceeded.  Reserved 100000 bytes vs used {used} bytes."]
    assert isinstance(used, int)
    assert used >= 200_000
    assert limit.state()["exceeded"]
    assert not turns.timers, "told once, and that is it"
    assert not turns.work


def test_below_the_limit_it_looks_each_minute(tmp_path: Path) -> None:
    turns = Turns()
    fill(tmp_path / "a", 50_000)
    limit = turns.limit(tmp_path, 1_000_000)
    turns.do(1.0)
    assert turns.ring() == pytest.approx(59.0)
    fill(tmp_path / "b", 2_000_000)
    turns.do(1.0)
    assert len(turns.reports) == 1
    assert limit.state()["walks"] == 2


def test_it_grew_and_shrank_between_two_looks(tmp_path: Path) -> None:
    turns = Turns()
    limit = turns.limit(tmp_path, 100_000)
    turns.do(0.0)
    fill(tmp_path / "a", 200_000).unlink()
    turns.ring()
    turns.do(0.0)
    assert turns.reports == []
    assert limit.state()["used_bytes"] == 0
    assert limit.state()["percent"] == 0.0


def test_pauses_are_in_proportion_to_what_the_disk_took(tmp_path: Path) -> None:
    turns = Turns()
    for i in range(35):
        fill(tmp_path / str(i), 1)
    limit = turns.limit(tmp_path, 10**9, entries=10)
    busy = 0.0
    for took in (0.5, 2.0, 30.0):
        turns.do(took)
        busy += took
        assert not turns.work, "one piece at a time"
        assert turns.ring() == pytest.approx(PAUSE_FACTOR * took)
    turns.do(1.0)
    total = turns.mono - 100.0
    assert busy / total < 0.25
    assert limit.state()["walks"] == 1
    assert limit.state()["took_s"] == pytest.approx(total)
    assert turns.ring() == pytest.approx(total), "a walk longer than the interval is followed by as long a rest"


def test_the_limit_is_judged_by_a_whole_walk(tmp_path: Path) -> None:
    turns = Turns()
    for i in range(30):
        fill(tmp_path / str(i), 10_000)
    limit = turns.limit(tmp_path, 100_000, entries=10)
    for _ in range(3):
        turns.do(0.0)
        assert not turns.reports
        turns.ring()
    turns.do(0.0)
    assert len(turns.reports) == 1
    used = limit.state()["used_bytes"]
    assert isinstance(used, int)
    assert used >= 300_000


def test_nothing_is_told_after_stop(tmp_path: Path) -> None:
    turns = Turns()
    fill(tmp_path / "a", 200_000)
    limit = turns.limit(tmp_path, 1)
    limit.stop(turns.now)
    turns.do(0.0)
    assert turns.reports == []
    assert not turns.timers
    limit = turns.limit(tmp_path, 10**9)
    turns.do(0.0)
    limit.stop(turns.now)
    turns.ring()
    assert not turns.work, "and nothing is looked at"


def test_links_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "outside" / "big", 500_000)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "dir").symlink_to(tmp_path / "outside")
    (inside / "file").symlink_to(tmp_path / "outside" / "big")
    (inside / "loop").symlink_to(inside)
    turns = Turns()
    limit = turns.limit(inside, 10**9)
    turns.do(0.0)
    used = limit.state()["used_bytes"]
    assert isinstance(used, int)
    assert used < 100_000


def test_a_directory_that_becomes_a_link_while_we_look_is_not_followed(tmp_path: Path) -> None:
    fill(tmp_path / "outside" / "big", 500_000)
    inside = tmp_path / "inside"
    (inside / "dir").mkdir(parents=True)
    turns = Turns()
    limit = turns.limit(inside, 10**9, entries=1)
    turns.do(0.0)  # it is seen as a directory
    (inside / "dir").rmdir()
    (inside / "dir").symlink_to(tmp_path / "outside")
    while not limit.state()["walks"]:
        turns.ring()
        turns.do(0.0)
    used = limit.state()["used_bytes"]
    assert isinstance(used, int)
    assert used < 100_000


def test_a_directory_that_is_replaced_by_another_is_not_walked(tmp_path: Path) -> None:
    """Reached over a link further up, for example: it is told by its inode."""
    fill(tmp_path / "outside" / "dir" / "big", 500_000)
    inside = tmp_path / "inside"
    (inside / "up" / "dir").mkdir(parents=True)
    walk = sample.DiskWalk(inside)
    assert not walk.step(1)  # up
    assert not walk.step(1)  # dir
    (inside / "up" / "dir").rmdir()
    (inside / "up").rmdir()
    (inside / "up").symlink_to(tmp_path / "outside")
    while not walk.step(1):
        pass
    assert walk.total is not None
    assert walk.total < 100_000


def test_hard_links_count_once(tmp_path: Path) -> None:
    big = fill(tmp_path / "a" / "big", 500_000)
    for i in range(5):
        (tmp_path / "a" / str(i)).hardlink_to(big)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "too").hardlink_to(big)
    turns = Turns()
    limit = turns.limit(tmp_path, 10**9)
    turns.do(0.0)
    used = limit.state()["used_bytes"]
    assert isinstance(used, int)
    assert 500_000 <= used < 700_000


def test_only_so_many_hard_links_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "LINKS_KEPT", 1)
    for name in ("a", "b"):
        big = fill(tmp_path / name, 100_000)
        (tmp_path / f"{name}2").hardlink_to(big)
    walk = sample.DiskWalk(tmp_path)
    while not walk.step():
        pass
    assert walk.total is not None
    assert 300_000 <= walk.total < 350_000, "the second file counts twice: memory is bounded, not the limit"


def test_files_that_vanish_count_nothing(tmp_path: Path) -> None:
    for i in range(20):
        fill(tmp_path / f"d{i}" / "f", 10_000)
    turns = Turns()
    limit = turns.limit(tmp_path, 10**9, entries=3)
    turns.do(0.0)
    for i in range(20):
        (tmp_path / f"d{i}" / "f").unlink()
        (tmp_path / f"d{i}").rmdir()
    while not limit.state()["walks"]:
        turns.ring()
        turns.do(0.0)
    assert limit.state()["problem"] is None


def test_a_sandbox_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    turns = Turns()
    limit = turns.limit(tmp_path / "missing", 0)
    turns.do(0.0)
    assert turns.reports == []
    assert limit.state()["used_bytes"] == 0
    assert limit.state()["percent"] is None


def test_a_walk_that_breaks_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fired = []

    def breaks(self: sample.DiskWalk, entries: int = 0) -> bool:
        fired.append(entries)
        raise MemoryError("no memory")

    turns = Turns()
    fill(tmp_path / "a", 200_000)
    limit = turns.limit(tmp_path, 100_000)
    with monkeypatch.context() as patched:
        patched.setattr(sample.DiskWalk, "step", breaks)
        turns.do(0.0)
    assert fired
    assert "cannot measure the sandbox" in str(limit.state()["problem"])
    assert turns.reports == []
    assert turns.ring() == pytest.approx(60.0)
    turns.do(0.0)
    assert len(turns.reports) == 1


def test_in_a_real_loop_with_real_threads(tmp_path: Path) -> None:
    fill(tmp_path / "a", 50_000)
    loop = PlainLoop(now)
    reports: list[str] = []
    limit = DiskLimit(
        tmp_path, 100_000, loop, Workers(loop), lambda text, now: reports.append(text), interval_s=0.05, entries=1
    )
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    loop.post(limit.start)
    wait_until(lambda: limit.state()["walks"])
    assert not reports
    fill(tmp_path / "b", 100_000)
    wait_until(lambda: reports)
    assert reports[0].startswith("Disk limit exceeded.  Reserved 100000 bytes vs used ")
    loop.post(lambda now: loop.stop())
    thread.join(30)
    loop.close()
