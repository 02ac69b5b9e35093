"""Reading a task that somebody else owns: mirrored and unmirrored records, damage, growth, compaction, who minds it."""

from __future__ import annotations

import os
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thermos.core import samples
from thermos.core.fold import replay, take_snapshot
from thermos.core.records import AnyRecord, Line, Record, RecordReader, Released, Starting, encode_record
from thermos.core.states import ProcessState, TaskState
from thermos.errors import HostError
from thermos.host.kernel import Kernel, Stat
from thermos.monitor.follow import Attendance, Follower, follow, read_task
from thermos.paths import TaskPaths


class Host(Kernel):
    """A kernel whose processes are given."""

    def __init__(self, *alive: Stat, boot: str = "boot-1", pidns: int = 4026531836) -> None:
        self._alive = {stat.pid: stat for stat in alive}
        self._boot, self._pidns = boot, pidns

    def proc_stat(self, pid: int) -> Stat | None:
        return self._alive.get(pid)

    def boot_id(self) -> str:
        return self._boot

    def pid_namespace(self) -> int:
        return self._pidns


OWNER = Stat(pid=10, comm="thermos", state="S", ppid=1, session=10, start=5)


class Desk:
    """A checkpoint that a test writes line by line."""

    def __init__(self, root: Path) -> None:
        self.paths = TaskPaths(root, "t-1")
        self.paths.checkpoint.mkdir(parents=True)

    def runner(self, *records: Record) -> None:
        self.raw("runner", b"".join(map(encode_record, records)))

    def inbox(self, process: str, *records: Record) -> None:
        self.raw(f"coordinator.{process}", b"".join(map(encode_record, records)))

    def raw(self, name: str, data: bytes) -> None:
        with (self.paths.checkpoint / name).open("ab") as file:
            file.write(data)

    def begin(self) -> None:
        self.runner(samples.header(), samples.owner(), samples.status(TaskState.ACTIVE))

    def compact(self) -> None:
        """What an owner does with a long file: snapshot, new file, rename."""
        lines = RecordReader().feed(self.paths.runner.read_bytes())
        records = [line.record for line in lines if isinstance(line, Line) and line.record is not None]
        fresh = self.paths.checkpoint / "runner.new"
        fresh.write_bytes(encode_record(take_snapshot(replay(records), 50.0, 50.0, 50.0)))
        fresh.rename(self.paths.runner)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.begin()
    return desk


def kinds(follower: Follower) -> list[str]:
    return [str(event.record.__struct_config__.tag) for event in follower.read()]


def test_mirrored_and_unmirrored_records_are_one_story(desk: Desk) -> None:
    story: list[AnyRecord] = [samples.forked(), samples.running(), samples.exited()]
    desk.runner(samples.starting(), story[0])
    desk.inbox("p", *story)
    view = read_task(desk.paths, Host(OWNER))
    run = view.task.run("p", 0)
    assert run is not None
    assert run.state is ProcessState.SUCCESS
    assert view.damage == []


def test_a_reader_takes_no_lock_and_leaves_no_trace(desk: Desk) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in desk.paths.checkpoint.iterdir()}
    read_task(desk.paths, Host(OWNER))
    fd = os.open(desk.paths.runner, os.O_RDWR)
    try:
        assert Kernel().lock(fd)
        read_task(desk.paths, Host(OWNER))  # works while somebody holds it
    finally:
        os.close(fd)
    assert {path.name: path.stat().st_mtime_ns for path in desk.paths.checkpoint.iterdir()} == before


def test_each_record_is_given_out_once(desk: Desk) -> None:
    follower = follow(desk.paths, Host(OWNER))
    try:
        assert kinds(follower) == ["header", "owner", "task"]
        desk.runner(samples.starting())
        desk.inbox("p", samples.forked())
        assert kinds(follower) == ["starting", "forked"]
        desk.runner(samples.forked())  # mirrored now
        desk.inbox("p", samples.running())
        assert kinds(follower) == ["running"]
        assert kinds(follower) == []
    finally:
        follower.close()


def test_a_line_that_is_being_written_is_read_when_it_is_whole(desk: Desk) -> None:
    line = encode_record(samples.starting())
    follower = follow(desk.paths, Host(OWNER))
    try:
        follower.read()
        desk.raw("runner", line[:20])
        assert follower.read() == []
        assert follower.view().damage == [], "its writer lives: it is not torn, it is not finished"
        desk.raw("runner", line[20:])
        assert kinds(follower) == ["starting"]
    finally:
        follower.close()


def test_a_torn_last_line_of_a_dead_writer_is_damage(desk: Desk) -> None:
    desk.raw("runner", encode_record(samples.starting())[:20])
    view = read_task(desk.paths, Host())
    assert [(d.file, d.reason) for d in view.damage] == [("runner", "torn line")]


def test_bad_lines_are_listed_with_their_place_and_skipped(desk: Desk) -> None:
    offset = desk.paths.runner.stat().st_size
    desk.raw("runner", b"00000000 {}\nnonsense\n")
    desk.runner(samples.starting())
    view = read_task(desk.paths, Host(OWNER))
    assert [(d.offset, d.reason) for d in view.damage] == [(offset, "wrong checksum"), (offset + 12, "no checksum")]
    assert view.task.run("p", 0) is not None


def test_a_missing_record_marks_the_run_as_damaged(desk: Desk) -> None:
    desk.runner(samples.starting())
    desk.inbox("p", samples.forked(), samples.exited())  # `running` is missing between them
    run = read_task(desk.paths, Host(OWNER)).task.run("p", 0)
    assert run is not None
    assert run.damaged
    assert run.state is ProcessState.SUCCESS


def test_records_that_can_not_be_are_damage(desk: Desk) -> None:
    desk.runner(samples.forked("stranger"))
    view = read_task(desk.paths, Host(OWNER))
    assert [d.reason for d in view.damage] == ["a forked record that can't be here"]


def test_an_inbox_may_not_speak_of_another_process(desk: Desk) -> None:
    desk.runner(samples.starting("p"), samples.starting("q"))
    desk.inbox("p", samples.forked("q"))
    run = read_task(desk.paths, Host(OWNER)).task.run("q", 0)
    assert run is not None
    assert run.state is ProcessState.WAITING


def test_a_follower_survives_compaction(desk: Desk) -> None:
    desk.runner(samples.starting())
    follower = follow(desk.paths, Host(OWNER))
    try:
        follower.read()
        desk.inbox("p", samples.forked())
        assert kinds(follower) == ["forked"]
        desk.runner(samples.forked(), samples.running())
        desk.compact()
        desk.runner(samples.exited())
        desk.inbox("p", samples.running(), samples.exited())
        assert kinds(follower) == ["running", "snapshot", "exited"]
        run = follower.task.run("p", 0)
        assert run is not None
        assert run.state is ProcessState.SUCCESS
        assert follower.view().damage == []
    finally:
        follower.close()


def test_compaction_before_a_mirror_tells_nothing_twice(desk: Desk) -> None:
    desk.runner(samples.starting())
    follower = follow(desk.paths, Host(OWNER))
    try:
        follower.read()
        desk.inbox("p", samples.forked())
        assert kinds(follower) == ["forked"]
        desk.compact()  # the snapshot does not know of `forked` yet
        assert kinds(follower) == ["snapshot"]
        run = follower.task.run("p", 0)
        assert run is not None
        assert run.state is ProcessState.FORKED
    finally:
        follower.close()


def test_a_long_inbox_that_began_anew_is_read_from_its_start(desk: Desk) -> None:
    follower = follow(desk.paths, Host(OWNER))
    story = [samples.forked(), samples.running(), samples.exited()]
    try:
        follower.read()
        desk.runner(samples.starting())
        desk.inbox("p", *story)
        assert kinds(follower) == ["starting", "forked", "running", "exited"]
        desk.runner(*story)
        (desk.paths.checkpoint / "coordinator.p").unlink()
        desk.runner(Starting(at=20.0, mono=20.0, process="p", run=1, nonce="n", offset=0))
        desk.inbox("p", samples.forked(run=1))
        assert kinds(follower) == ["starting", "forked"]
    finally:
        follower.close()


def test_attended_while_the_recorded_owner_lives(desk: Desk) -> None:
    view = read_task(desk.paths, Host(OWNER))
    assert (view.attendance, view.unattended_since) == (Attendance.ATTENDED, 0.0)


@pytest.mark.parametrize(
    "host",
    [
        Host(),
        Host(Stat(10, "other", "S", 1, 10, 6)),
        Host(Stat(10, "thermos", "Z", 1, 10, 5)),
        Host(OWNER, boot="boot-2"),
    ],
    ids=["gone", "pid used again", "zombie", "another boot"],
)
def test_unattended_since_the_owner_was_last_heard_of(desk: Desk, host: Host) -> None:
    desk.runner(samples.starting(at=42.0))
    view = read_task(desk.paths, host)
    assert (view.attendance, view.unattended_since) == (Attendance.UNATTENDED, 42.0)


def test_unattended_after_a_detach(desk: Desk) -> None:
    desk.runner(Released(at=43.0, mono=43.0, pid=10))
    view = read_task(desk.paths, Host(OWNER))
    assert (view.attendance, view.unattended_since) == (Attendance.UNATTENDED, 43.0)


def test_another_pid_namespace_can_not_be_judged(desk: Desk) -> None:
    assert read_task(desk.paths, Host(OWNER, pidns=1)).attendance is Attendance.UNKNOWN


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.runner(samples.header(format=99))
    with pytest.raises(HostError, match="format 99 is newer than ours"):
        read_task(desk.paths, Host())


def test_an_older_format_has_no_header_and_is_not_readable(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.raw("runner", b"\0\0\0\x1f\x0c\0\x01\x0b\0\x01thrift\n" * 3)
    view = read_task(desk.paths, Host())
    assert not view.readable
    assert view.damage


def test_a_missing_checkpoint_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="t-1"):
        follow(TaskPaths(tmp_path, "t-1"), Host())


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    desk = Desk(tmp_path)
    if kind == "link":
        desk.paths.runner.symlink_to("/etc/passwd")
    else:
        os.mkfifo(desk.paths.runner)
    with pytest.raises(HostError, match="runner"):
        read_task(desk.paths, Host())


RECORDS = [
    samples.header(), samples.owner(), samples.status(TaskState.ACTIVE),
    *samples.whole_run("a"), *samples.whole_run("b"), samples.status(TaskState.CLEANING, deadline=30.0),
]  # fmt: skip
TEXT = b"".join(map(encode_record, RECORDS))


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_what_is_read_does_not_depend_on_when_it_is_read(cuts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as place:
        desk = Desk(Path(place))
        desk.raw("runner", b"")
        follower = follow(desk.paths, Host(OWNER))
        events = []
        for begin, end in pairwise([0, *sorted(cuts), len(TEXT)]):
            desk.raw("runner", TEXT[begin:end])
            events += [event.record for event in follower.read()]
        follower.close()
    assert events == RECORDS
    assert follower.task == replay(RECORDS)
    assert follower.damage == []


def test_an_inbox_that_began_anew_behind_our_back_is_no_damage(desk: Desk) -> None:
    """It is opened where `runner`, as read a moment ago, says that the run begins: in the middle of another file."""
    long = [samples.forked(seq=n) for n in range(3)]
    offset = len(encode_record(long[0]))
    desk.runner(Starting(at=9.0, mono=9.0, process="p", run=0, nonce="n", offset=offset))
    desk.raw("coordinator.p", b"x" * (offset - 1) + encode_record(long[1])[5:] + encode_record(long[2]))
    follower = follow(desk.paths, Host(OWNER))
    try:
        assert "forked" not in kinds(follower)
        assert follower.view().damage == []
    finally:
        follower.close()
