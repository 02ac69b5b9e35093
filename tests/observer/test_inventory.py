"""The inventory on real directories with real inotify: what happens is waited for at its descriptor."""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from observer.inotify import Inotify
from observer.inventory import Change, ChangeKind, Inventory, Places
from tests.observer.build import Builder, mesos_root
from thermos.core.states import TaskState
from thermos.host.kernel import Kernel

PATIENCE = 20.0


class Room:
    """An inventory, and what it has told."""

    def __init__(self, places: Places, inotify: Inotify | None) -> None:
        self.told: list[Change] = []
        self.inventory = Inventory(places, Kernel(), self.told.append, inotify)
        self.inventory.rescan()

    def kinds(self) -> list[tuple[str, str]]:
        return [(str(change.kind), change.task.task_id) for change in self.told]

    def until(self, happened: Callable[[], object]) -> None:
        """Let events in until it is so."""
        assert self.inventory.inotify is not None
        deadline = time.monotonic() + PATIENCE
        while not happened():
            ready, _, _ = select.select([self.inventory.inotify.fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"nothing more happened; so far {self.kinds()}"
            self.inventory.on_readable()

    def until_told(self, kind: ChangeKind, task_id: str) -> Change:
        self.until(lambda: (str(kind), task_id) in self.kinds())
        return next(c for c in reversed(self.told) if c.kind is kind and c.task.task_id == task_id)


@contextmanager
def room(*roots: Path, mesos: Path | None = None, polling: bool = False) -> Iterator[Room]:
    made = Room(Places(roots, () if mesos is None else (mesos,)), None if polling else Inotify())
    try:
        yield made
    finally:
        made.inventory.close()


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "root")


def test_what_is_there_at_the_beginning(builder: Builder) -> None:
    builder.task("a")
    builder.task("b").run("main").finish()
    with room(builder.root) as r:
        assert sorted(r.kinds()) == [("appeared", "a"), ("appeared", "b"), ("changed", "a")]
        assert [task.task_id for task in r.inventory.active()] == ["a"]
        assert r.inventory.find("b").follower is None  # type: ignore[union-attr]


def test_a_root_that_comes_later(builder: Builder) -> None:
    with room(builder.root) as r:
        builder.task("a")
        r.until_told(ChangeKind.APPEARED, "a")
        r.until(lambda: r.inventory.find("a").record.state is TaskState.ACTIVE)  # type: ignore[union-attr]


def test_the_life_of_a_task(builder: Builder) -> None:
    builder.task("first")
    with room(builder.root) as r:
        task = builder.task("a")
        r.until_told(ChangeKind.APPEARED, "a")
        before = r.inventory.rescans
        task.start("main")
        r.until(lambda: r.inventory.find("a").record.active == {"main": 0})  # type: ignore[union-attr]
        task.end("main").finish(TaskState.SUCCESS)
        done = r.until_told(ChangeKind.FINISHED, "a").task
        assert r.inventory.rescans == before, "the events alone have told it"
        assert (done.active, done.follower, done.spec) == (False, None, None)


def test_a_task_that_comes_back_is_no_accident(builder: Builder) -> None:
    task = builder.task("a").run("main").finish()
    with room(builder.root) as r:
        task.come_back()
        back = r.until_told(ChangeKind.RETURNED, "a").task
        assert back.active
        assert "it was finished and is active again" in [note.text for note in back.now_loaded().notes]
        task.start("main")
        r.until(lambda: back.record.active)


def test_a_task_that_is_removed(builder: Builder) -> None:
    active, finished = builder.task("a"), builder.task("b").run("main").finish()
    with room(builder.root) as r:
        active.paths.active.unlink()
        r.until_told(ChangeKind.REMOVED, "a")
        finished.paths.finished.unlink()
        r.until_told(ChangeKind.REMOVED, "b")
        assert r.inventory.tasks == {}
        assert r.inventory.by_id == {}


def test_a_whole_root_that_goes(builder: Builder) -> None:
    builder.task("a")
    with room(builder.root) as r:
        shutil.rmtree(builder.root)
        r.until_told(ChangeKind.REMOVED, "a")
        builder.task("b")
        r.until_told(ChangeKind.APPEARED, "b")


def test_a_file_that_is_being_written_is_no_task(builder: Builder) -> None:
    builder.task("a")
    with room(builder.root) as r:
        (builder.root / "tasks" / "active" / ".half").write_text("{")
        builder.task("b")
        r.until_told(ChangeKind.APPEARED, "b")
        assert set(r.inventory.by_id) == {"a", "b"}


def test_a_checkpoint_that_comes_after_the_task(builder: Builder) -> None:
    task = builder.task("a", begin=False)
    shutil.rmtree(task.paths.checkpoint)
    task.paths.active.write_text("{}")
    with room(builder.root) as r:
        late = r.inventory.find("a")
        assert late is not None
        assert "cannot read the checkpoint" in late.trouble
        task.paths.checkpoint.mkdir()
        r.inventory.on_readable()
        task.paths.active.unlink()
        task.begin()
        r.until(lambda: r.inventory.find("a") is not None and r.inventory.find("a").record.state)  # type: ignore[union-attr]
        assert r.inventory.find("a").trouble == ""  # type: ignore[union-attr]


def test_a_corrupt_checkpoint_harms_nobody_else(builder: Builder) -> None:
    bad, good = builder.task("bad"), builder.task("good")
    bad.paths.runner.write_bytes(b"\xff\x00 this is nothing\n" * 3)
    with room(builder.root) as r:
        good.start("main")
        r.until(lambda: r.inventory.find("good").record.active)  # type: ignore[union-attr]
        task = r.inventory.find("bad")
        assert task is not None
        notes = [note.text for note in task.now_loaded().notes]
        assert any("corrupt" in text for text in notes)
        assert any("a damaged line" in text and "and 2 more" in text for text in notes)


def test_a_checkpoint_that_is_something_else(builder: Builder) -> None:
    task = builder.task("a")
    task.paths.runner.unlink()
    os.mkfifo(task.paths.runner)
    with room(builder.root) as r:
        known = r.inventory.find("a")
        assert known is not None
        assert "it is not a file" in known.trouble


def test_a_config_that_is_a_fifo_does_not_hang(builder: Builder) -> None:
    task = builder.task("a")
    task.paths.active.unlink()
    os.mkfifo(task.paths.active)
    with room(builder.root) as r:
        known = r.inventory.find("a")
        assert known is not None
        assert (known.spec, "not a small regular file" in known.config_trouble) == (None, True)


def test_a_huge_checkpoint_is_not_read(builder: Builder) -> None:
    task = builder.task("a")
    with task.paths.runner.open("ab") as file:
        file.truncate(10**12)
    with room(builder.root) as r:
        assert "too many for a checkpoint" in r.inventory.find("a").trouble  # type: ignore[union-attr]


def test_the_same_id_under_two_roots(tmp_path: Path) -> None:
    one, two = Builder(tmp_path / "one"), Builder(tmp_path / "two")
    first = one.task("a").run("main").finish()
    two.task("a")
    with room(one.root, two.root) as r:
        assert len(r.inventory.tasks) == 2
        newest = r.inventory.find("a")
        assert newest is not None
        assert newest.root == str(two.root)
        old = r.inventory.others(newest)[0]
        assert r.inventory.find(r.inventory.ref_of(old)) is old
        assert (r.inventory.ref_of(old), old.paths.root) == (old.key, one.root)
        first.paths.finished.unlink()
        r.until_told(ChangeKind.REMOVED, "a")
        assert r.inventory.ref_of(newest) == "a"


def test_mesos_roots_come_and_are_found_once(tmp_path: Path) -> None:
    work = tmp_path / "mesos"
    with room(mesos=work) as r:
        root = mesos_root(work, "e-1")
        Builder(root, root.parent / "sandbox").task("a")
        r.until_told(ChangeKind.APPEARED, "a")
        (root.parent.parent / "latest").symlink_to(root.parent)
        other = mesos_root(work, "e-2")
        task = Builder(other, other.parent / "sandbox").task("b")
        r.until_told(ChangeKind.APPEARED, "b")
        r.inventory.rescan()
        assert sorted(r.inventory.by_id) == ["a", "b"]
        assert all(len(keys) == 1 for keys in r.inventory.by_id.values())
        task.run("main").finish()
        r.until_told(ChangeKind.FINISHED, "b")
        before = r.inventory.watches
        r.inventory.rescan()
        assert r.inventory.watches < before, "a root whose tasks are all finished is not watched"


def test_without_inotify_it_polls_and_says_so(builder: Builder) -> None:
    with room(builder.root, polling=True) as r:
        assert r.inventory.is_polling
        assert "polling" in r.inventory.notes()[0].text
        task = builder.task("a")
        r.inventory.rescan()
        task.start("main")
        r.inventory.rescan()
        assert r.inventory.find("a").record.active == {"main": 0}  # type: ignore[union-attr]
        task.end("main").finish()
        r.inventory.rescan()
        assert r.kinds()[-1] == ("finished", "a")


class FullInotify(Inotify):
    """The kernel has no watch left after so many."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.fired = room, 0

    def watch(self, path: str, mask: int) -> int:
        if self.watches >= self.room:
            self.fired += 1
            raise OSError(28, "No space left on device", path)
        return super().watch(path, mask)


def test_when_watches_run_out_it_polls_and_says_so(builder: Builder) -> None:
    for number in range(5):
        builder.task(f"t-{number}")
    full = FullInotify(3)
    made = Room(Places((builder.root,)), full)
    assert full.fired > 0
    assert made.inventory.is_polling
    assert "cannot watch" in made.inventory.notes()[0].text
    made.inventory.close()


def test_a_root_that_may_not_be_read_keeps_its_tasks_and_has_a_note(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.task("a")
    with room(builder.root) as r:
        fired = []

        def refuse(self: Path) -> Iterator[Path]:
            fired.append(self)
            raise PermissionError(13, "Permission denied", str(self))

        monkeypatch.setattr(Path, "iterdir", refuse)
        r.inventory.rescan()
        assert fired
        assert "Permission denied" in r.inventory.notes()[0].text
        assert [task.task_id for task in r.inventory.active()] == ["a"]
        monkeypatch.undo()
        r.inventory.rescan()
        assert r.inventory.notes() == ()


def test_an_overflow_of_events_leads_to_a_rescan(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    from observer.inotify import Happening, Mask

    with room(builder.root) as r:
        before = r.inventory.rescans
        monkeypatch.setattr(r.inventory.inotify, "read", lambda: [Happening(-1, int(Mask.Q_OVERFLOW), "")])
        r.inventory.on_readable()
        assert r.inventory.rescans == before + 1


def test_no_descriptor_is_left_behind(builder: Builder) -> None:
    def descriptors() -> int:
        """Of files here; what other tests have left open is none of ours."""
        count = 0
        for link in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):
                count += link.readlink().is_relative_to(builder.root)
        return count

    with room(builder.root) as r:
        builder.task("warm")
        r.until_told(ChangeKind.APPEARED, "warm")
        before = descriptors()
        for number in range(5):
            task = builder.task(f"t-{number}")
            r.until_told(ChangeKind.APPEARED, f"t-{number}")
            assert descriptors() > before
            task.run("main").finish()
            r.until_told(ChangeKind.FINISHED, f"t-{number}")
        assert descriptors() == before
