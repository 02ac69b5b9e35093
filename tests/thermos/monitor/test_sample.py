"""One pass over /proc, and disk usage in small bites."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from thermos.core.usage import measure, tree
from thermos.monitor.sample import DiskWalk, parse_proc, take_look


def test_a_stat_line_with_any_name() -> None:
    text = b"12 (a) (b c)) R 7 12 12 0 -1 0 1 2 3 4 150 50 0 0 20 5 3 0 4711 8192 2 0"
    proc = parse_proc(12, text)
    assert (proc.comm, proc.status, proc.ppid, proc.start) == ("a) (b c)", "R", 7, 4711)
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    assert (proc.user, proc.system, proc.nice, proc.threads) == (150 / tick, 50 / tick, 5, 3)
    assert (proc.vms, proc.rss) == (8192, 2 * page)


def test_a_look_sees_us_and_our_child() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        look = take_look(time.monotonic())
        me = look.procs[os.getpid()]
        assert me.rss > 0
        assert child.pid in look.children[me.pid]
        assert child.pid in {p.pid for p in tree(look, me.pid, me.start, itself=False)}
    finally:
        child.kill()
        child.wait()


def test_who_burns_is_seen_to() -> None:
    before = take_look(time.monotonic())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    now = take_look(time.monotonic())
    me = now.procs[os.getpid()]
    usage = measure([me], now, before)
    assert 0 < usage.cpu < 3


def test_what_is_no_process_is_passed_over(tmp_path: Path) -> None:
    for name, text in (
        ("1", b"1 (init) S 0 " + b"0 " * 40),
        ("2", b"nonsense"),
        ("3", b"3 (short) S 0"),
        ("self", b""),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stat").write_bytes(text)
    (tmp_path / "4").mkdir()
    assert set(take_look(0.0, str(tmp_path)).procs) == {1}


def test_no_proc_is_an_empty_look(tmp_path: Path) -> None:
    assert not take_look(0.0, str(tmp_path / "missing")).procs


def walk(root: Path) -> int:
    walker = DiskWalk(root)
    while not walker.step():
        pass
    assert walker.total is not None
    return walker.total


def test_disk_usage_grows_and_shrinks(tmp_path: Path) -> None:
    before = walk(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "big").write_bytes(os.urandom(300_000))
    grown = walk(tmp_path)
    assert grown >= before + 300_000
    (tmp_path / "a" / "big").unlink()
    assert walk(tmp_path) < grown - 290_000


def test_blocks_count_not_lengths(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    assert walk(tmp_path) < 1 << 20


def test_links_are_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(os.urandom(300_000))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "loop").symlink_to(inside)
    (inside / "away").symlink_to(outside)
    (inside / "file").symlink_to(outside / "big")
    assert walk(inside) < 100_000


def test_a_walk_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for i in range(50):
        (tmp_path / f"d{i}").mkdir()
        (tmp_path / f"d{i}" / "f").write_bytes(b"x")
    walker = DiskWalk(tmp_path)
    steps = 1
    assert walker.total is None
    while not walker.step(entries=10):
        steps += 1
    assert steps >= 10, "a step is bounded"
    assert walker.total == walk(tmp_path)


def test_the_last_figure_stands_while_the_next_is_made(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"d{i}").mkdir()
    walker = DiskWalk(tmp_path)
    while not walker.step(5):
        pass
    first = walker.total
    assert not walker.step(5)
    assert walker.total == first


def test_what_is_gone_or_forbidden_counts_nothing(tmp_path: Path) -> None:
    assert walk(tmp_path / "missing") == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="reads another user's processes")
def test_processes_of_others_are_seen() -> None:
    assert 1 in take_look(0.0).procs


def test_one_huge_directory_takes_many_steps(tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"f{i}").write_bytes(b"x")
    walker = DiskWalk(tmp_path)
    steps = 1
    while not walker.step(entries=10):
        steps += 1
    assert steps > 3
    assert walker.total == walk(tmp_path)


def test_a_file_that_goes_while_we_look_does_not_hide_the_others(tmp_path: Path) -> None:
    for i in range(10):
        (tmp_path / f"f{i}").write_bytes(os.urandom(50_000))
    walker = DiskWalk(tmp_path)
    assert not walker.step(entries=1)
    for path in list(tmp_path.iterdir())[:2]:
        path.unlink()
    while not walker.step():
        pass
    assert walker.total is not None
    assert walker.total >= 8 * 50_000
