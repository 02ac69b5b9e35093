"""`thermos gc`: what goes, what never does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest

from client.context import user_name
from client.thermos.gc import parse_size
from tests.client.room import Room

QUICK = "Process(name = 'p', cmdline = 'true')"
SLEEP = "Process(name = 'sleep', cmdline = 'exec sleep 1000')"


def gc(room: Room, *words: str) -> list[str]:
    return ["gc", "--root", str(room.root), *words]


def finished(room: Room, *ids: str) -> None:
    """Tasks that ended one day after the other, the last one now."""
    config = room.task(QUICK)
    for days, task_id in enumerate(reversed(ids)):
        room.run(config, task_id=task_id)
        path = room.root / "tasks/finished" / task_id
        at = path.stat().st_mtime - days * 86400
        os.utime(path, (at, at))


def left(room: Room) -> set[str]:
    found = {
        kind: {p.name for p in (room.root / kind).iterdir()} for kind in ("tasks/finished", "checkpoints", "sandboxes")
    }
    assert found["tasks/finished"] == found["checkpoints"] == found["sandboxes"]
    return found["checkpoints"]


def test_the_last_ones_stay(room: Room) -> None:
    finished(room, "a", "b", "c")
    done = room.thermos(*gc(room, "--keep-last", "1"))
    assert (done.code, done.err) == (0, "")
    *removed, total = done.out.splitlines()
    assert [line.split()[:2] for line in removed] == [["removed", "a"], ["removed", "b"]]
    assert total.startswith("2 of 3 finished tasks removed, ")
    assert left(room) == {"c"}


def test_a_dry_run_removes_nothing(room: Room) -> None:
    finished(room, "a", "b")
    done = room.thermos(*gc(room, "--dry-run", "--keep-days", "0.5", "-o", "json"))
    assert [(r["task_id"], r["removed"], r["reason"]) for r in json.loads(done.out)] == [
        ("a", False, "older than 0.5 days")
    ]
    assert left(room) == {"a", "b"}


def test_without_rules_only_what_is_old_goes(room: Room) -> None:
    finished(room, "a", "b")
    assert room.thermos(*gc(room)).out == "0 of 2 finished tasks removed, 0 B\n"
    path = room.root / "tasks/finished/a"
    at = path.stat().st_mtime - 20 * 86400
    os.utime(path, (at, at))
    assert "removed a " in room.thermos(*gc(room)).out
    assert left(room) == {"b"}


def test_by_size_and_by_name(room: Room) -> None:
    finished(room, "a", "b", "c")
    (room.root / "sandboxes/b/big").write_bytes(os.urandom(3 << 20))
    assert room.thermos(*gc(room, "--max-size", "1M", "b", "c")).code == 0
    assert left(room) == {"a", "c"}, "a does not fit the pattern"
    room.thermos(*gc(room, "--keep-last", "0"))
    assert left(room) == set()


def test_active_tasks_are_never_touched(room: Room) -> None:
    run = room.start(room.task(SLEEP), task_id="alive")
    run.running("sleep")
    run.kill()
    finished(room, "a")
    room.thermos(*gc(room, "--keep-last", "0"))
    assert [t["task_id"] for t in room.status_json()] == ["alive"]
    assert (room.root / "sandboxes/alive").is_dir()


def test_somebody_elses_sandbox_stays(room: Room) -> None:
    place = room.path / "mine"
    room.run(room.task(QUICK), "--sandbox", str(place))
    assert room.thermos(*gc(room, "--keep-last", "0")).code == 0
    assert (place / ".logs").is_dir()
    assert not (room.root / "checkpoints/t").exists()


def test_links_lead_nowhere(room: Room) -> None:
    """A sandbox replaced by a link, and a link within one, take nothing else with them."""
    outside = room.path / "outside"
    (outside / "deep").mkdir(parents=True)
    finished(room, "a", "b")
    (room.root / "sandboxes/a/link").symlink_to(outside)
    moved = room.path / "moved"
    (room.root / "sandboxes/b").rename(moved)
    (room.root / "sandboxes/b").symlink_to(outside)
    room.thermos(*gc(room, "--keep-last", "0"))
    assert (outside / "deep").is_dir()
    assert not (room.root / "sandboxes/a").exists()
    assert not list((room.root / "tasks/finished").iterdir())


def test_what_is_half_removed_or_corrupt_is_removed(room: Room) -> None:
    finished(room, "a", "b")
    (room.root / "checkpoints/a/runner").write_bytes(b"\0\1 thrift")
    for path in (room.root / "checkpoints/b").iterdir():
        path.unlink()
    (room.root / "checkpoints/b").rmdir()
    assert room.thermos(*gc(room, "--keep-last", "0")).code == 0
    assert left(room) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_what_is_not_ours_is_complained_of_and_the_rest_goes(room: Room) -> None:
    finished(room, "a", "b")
    os.chown(room.root / "checkpoints/a", 65534, 65534)
    os.chown(room.root / "tasks/finished/b", 65534, 65534)
    done = room.thermos(*gc(room, "--keep-last", "0"))
    os.chown(room.root / "checkpoints/a", 0, 0)
    assert done.code == 1
    first, second = sorted(done.err.splitlines())
    assert first.startswith("thermos: cannot remove task a: cannot trust ")
    assert second == f"thermos: cannot remove task b: it belongs to {user_name(65534)}; run this as {user_name(65534)}"
    assert left(room) == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("2K", 2048), ("1.5M", 3 << 19), ("2g", 2 << 30), ("1GiB", 1 << 30), ("3 MB", 3 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1P", "1 2"])
def test_bad_sizes(text: str, room: Room) -> None:
    with pytest.raises(click.BadParameter):
        parse_size(text)


def test_nothing_is_there(room: Room) -> None:
    assert room.thermos(*gc(room)).out == "0 of 0 finished tasks removed, 0 B\n"
    assert not Path(room.root).exists()
