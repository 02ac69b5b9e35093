"""Looks at the host: items 125, 126, 130 and 131 of the checklist (spec/thermos.md §6.2), without a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client.context import search_roots
from thermos.core.usage import MAX_SAMPLES, NO_USAGE, History, Look, Proc, Usage, make_look, measure, tree
from thermos.monitor.detect import Found, find_tasks, mesos_roots
from thermos.monitor.sample import DiskWalk, take_look


def put(root: Path, kind: str, name: str) -> None:
    place = root / "tasks" / kind
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text("{}")


def test_126_fixed_and_found_roots_are_one_chain(tmp_path: Path) -> None:
    """What standalone tasks and Mesos executors have left is one list; each says where it is from."""
    mesos = tmp_path / "mesos"
    run = mesos / "slaves/S0/frameworks/F0/executors/thermos-m/runs/r1"
    put(run / "checkpoints", "active", "m")
    (run.parent / "latest").symlink_to(run)
    fixed = tmp_path / "fixed"
    put(fixed, "active", "f")
    put(fixed, "finished", "g")
    roots = [fixed, *mesos_roots(mesos), tmp_path / "nowhere"]
    assert find_tasks(roots) == [
        Found(fixed, "f", True),
        Found(run / "checkpoints", "m", True),
        Found(fixed, "g", False),
    ]


def test_126_the_command_searches_the_chain_that_it_is_told(tmp_path: Path) -> None:
    runs = tmp_path / "mesos/slaves/S0/frameworks/F0/executors/e/runs"
    for run in ("r1", "r2"):
        put(runs / run / "checkpoints", "active", f"m-{run}")
    roots = search_roots(str(tmp_path / "fixed"), str(tmp_path / "mesos"))
    assert {runs / "r1" / "checkpoints", runs / "r2" / "checkpoints"} <= set(roots)
    assert len(roots) == len(set(roots))


# --- history ---------------------------------------------------------------------------------------------------------


def used(cpu: float) -> Usage:
    return Usage(cpu=cpu)


def test_130_a_history_is_as_long_as_its_span_and_forgets_the_oldest() -> None:
    history = History(interval=20, span=3600)
    for n in range(500):
        history.add(20.0 * n, used(n))
    assert len(history) == 180
    assert [usage.cpu for _, usage in history] == list(range(320, 500))
    assert [at for at, _ in history.last(2)] == [20.0 * 498, 20.0 * 499]


@pytest.mark.parametrize(
    ("interval", "span", "fits"),
    [
        (1.0, float(MAX_SAMPLES), True),
        (1.0, MAX_SAMPLES + 1.0, False),
        (0.1, 3600.0, False),
        (0.0, 3600.0, False),
        (-1.0, 3600.0, False),
        (60.0, 59.0, False),
        (60.0, 60.0, True),
    ],
)
def test_130_a_history_is_bounded(interval: float, span: float, fits: bool) -> None:
    if fits:
        assert len(History(interval, span)) == 0
    else:
        with pytest.raises(ValueError, match=f"1 to {MAX_SAMPLES}"):
            History(interval, span)


def test_130_time_does_not_go_back() -> None:
    history = History(1, 10)
    history.add(5, used(1))
    history.add(5, used(2))
    with pytest.raises(ValueError, match=r"sample at 4\.9 is older than the newest, 5"):
        history.add(4.9, used(3))
    assert len(history) == 2


@pytest.mark.parametrize(("when", "cpu"), [(0, 10), (10, 10), (10.1, 20), (20, 20), (29, 30), (30, 30), (99, 30)])
def test_130_a_lookup_takes_the_sample_at_or_after_it(when: float, cpu: float) -> None:
    history = History(1, 10)
    for at in (10, 20, 30):
        history.add(at, used(at))
    assert history.at(when).cpu == cpu


def test_130_who_has_not_looked_yet_sees_nothing_used() -> None:
    assert History(1, 10).at(5) == NO_USAGE == Usage()
    assert set(NO_USAGE.to_dict()) >= {"cpu", "ram", "user", "system", "rss", "vms", "nice", "status", "threads"}
    assert take_look(1.0, "/nonexistent") == Look(1.0, {}, {})
    assert measure(tree(take_look(1.0, "/nonexistent"), 1, 0), make_look(1.0, []), None) == NO_USAGE


def proc(pid: int, ppid: int, busy: float, start: int = 1) -> Proc:
    return Proc(pid, ppid, start, "c", "S", busy, 0.0, 0, 1, 1000, 100)


def test_130_a_rate_is_never_negative_whoever_comes_and_goes() -> None:
    """The original lost what a process had burnt when it vanished, and could fall below zero."""
    first = make_look(10.0, [proc(1, 0, 5.0), proc(2, 1, 50.0), proc(3, 2, 1.0)])
    second = make_look(12.0, [proc(1, 0, 6.0), proc(3, 1, 0.5, start=9), proc(4, 1, 1.0)])
    usage = measure(tree(second, 1, 1), second, first)
    assert usage.cpu == (1.0 + 0.5 + 1.0) / 2.0, "2 has gone; 3 is another process by now; 4 is new"
    assert (usage.rss, usage.procs) == (300, 3)
    assert measure(tree(second, 1, 77), second, first) == NO_USAGE, "the pid is somebody else's"


def test_130_a_look_at_this_host_sees_us_and_our_children() -> None:
    reader, writer = os.pipe()
    child = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)])
    try:
        look = take_look(1.0)
        me = look.procs[os.getpid()]
        assert me.rss > 1_000_000 and me.threads >= 1
        assert child in {member.pid for member in tree(look, os.getpid(), me.start)}
        assert [m.pid for m in tree(look, os.getpid(), me.start, itself=False) if m.pid == os.getpid()] == []
    finally:
        os.close(reader)
        os.close(writer)
        os.kill(child, 9)
        os.waitpid(child, 0)


# --- disk ------------------------------------------------------------------------------------------------------------


def walked(walk: DiskWalk) -> int:
    while not walk.step():
        pass
    assert walk.total is not None
    return walk.total


def test_131_disk_usage_grows_and_shrinks_with_the_files(tmp_path: Path) -> None:
    walk = DiskWalk(tmp_path)
    assert walk.total is None
    empty = walked(walk)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "big").write_bytes(b"x" * 1_000_000)
    grown = walked(walk)
    assert 1_000_000 <= grown - empty < 1_100_000
    (tmp_path / "below" / "big").write_bytes(b"x" * 10_000)
    shrunk = walked(walk)
    assert 10_000 <= shrunk - empty < 100_000


def test_131_links_lead_nowhere_and_a_hole_costs_nothing(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "big").write_bytes(b"x" * 1_000_000)
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    (sandbox / "link").symlink_to(elsewhere)
    (sandbox / "file").symlink_to(elsewhere / "big")
    (sandbox / "circle").symlink_to(sandbox)
    with (sandbox / "hole").open("wb") as file:
        file.truncate(1 << 40)
    assert walked(DiskWalk(sandbox)) < 100_000


def test_131_a_walk_is_done_in_bites_and_tells_only_whole_figures(tmp_path: Path) -> None:
    for directory in range(20):
        (tmp_path / str(directory)).mkdir()
        for file in range(10):
            (tmp_path / str(directory) / str(file)).write_bytes(b"x")
    walk = DiskWalk(tmp_path)
    steps = 1
    while not walk.step(15):
        assert walk.total is None
        steps += 1
    assert steps >= 10
    first = walk.total
    assert not walk.step(15)
    assert walk.total == first, "the last whole figure stands until the next one"


def test_131_what_is_not_there_uses_nothing(tmp_path: Path) -> None:
    assert walked(DiskWalk(tmp_path / "gone")) == 0
