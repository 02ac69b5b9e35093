"""The checkpoint on disk: locks, damage, short writes, places that can't be trusted, replacing a long file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from msgspec import structs

from tests.thermos.host.faults import Fault, FaultyKernel, disk_full
from thermos.core.records import AnyRecord, BadLine, Line, Owner, Released, Starting, encode_record
from thermos.errors import HostError, NotOwner
from thermos.host.checkpoint import CannotRecord, Checkpoint, is_alive, open_checkpoint
from thermos.paths import TaskPaths


def owner(pid: int = 4711) -> Owner:
    return Owner(at=1.0, mono=1.0, pid=pid, start=5, uid=0, boot="b", pidns=1)


def starting(run: int, nonce: str = "n") -> Starting:
    return Starting(at=1.0, mono=1.0, process="p", run=run, nonce=nonce, offset=0)


def open_fds() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


class Unrested(FaultyKernel):
    """No time passes."""

    def rest(self, seconds: float) -> None:
        self.calls["rest"] += 1


def me() -> Owner:
    """As this very process would write it."""
    kernel = FaultyKernel()
    status = kernel.proc_stat(os.getpid())
    assert status is not None
    return structs.replace(owner(os.getpid()), start=status.start, boot=kernel.boot_id(), pidns=kernel.pid_namespace())


@pytest.fixture
def paths(tmp_path: Path) -> TaskPaths:
    return TaskPaths(tmp_path, "t-1")


def records_in(checkpoint: Checkpoint) -> list[AnyRecord | None]:
    return [line.record for line in checkpoint.load()[0]]


def reread(paths: TaskPaths) -> tuple[list[AnyRecord | None], list[BadLine]]:
    """What the next owner finds."""
    checkpoint = open_checkpoint(paths, FaultyKernel(), create=False)
    try:
        good, bad = checkpoint.load()
        return [line.record for line in good], bad
    finally:
        checkpoint.close()


# ---- owning ------------------------------------------------------------------------------------------


def test_a_second_owner_is_refused_and_told_who_has_it(paths: TaskPaths) -> None:
    first = open_checkpoint(paths, FaultyKernel(), create=True)
    kernel = Unrested()
    with pytest.raises(NotOwner, match="owned by a runner that is just starting"):
        open_checkpoint(paths, kernel, create=True)
    assert kernel.calls["rest"] > 1, "it may be about to say who it is"
    first.append(me())
    kernel = Unrested()
    with pytest.raises(NotOwner, match=rf"task t-1 is owned by runner pid {os.getpid()} \(uid 0\)"):
        open_checkpoint(paths, kernel, create=True)
    assert not kernel.calls["rest"]
    first.close()
    open_checkpoint(paths, FaultyKernel(), create=True).close()


def test_a_lock_that_outlives_its_owner_for_a_moment_is_waited_for(paths: TaskPaths) -> None:
    """A coordinator that was being spawned when the owner died holds the lock until its exec is through."""
    first = open_checkpoint(paths, FaultyKernel(), create=True)
    first.append(owner(2**22 + 5))  # nobody

    class Released(Unrested):
        def rest(self, seconds: float) -> None:
            super().rest(seconds)
            if self.calls["rest"] == 3:
                first.close()

    kernel = Released()
    open_checkpoint(paths, kernel, create=True).close()
    assert kernel.calls["rest"] == 3


@pytest.mark.parametrize("field, value", [("boot", "other"), ("pidns", 1), ("start", 1)])
def test_who_is_alive_is_told_by_more_than_a_pid(field: str, value: object) -> None:
    kernel = FaultyKernel()
    assert is_alive(me(), kernel)
    assert not is_alive(structs.replace(me(), **{field: value}), kernel)


def test_a_refused_owner_leaks_no_descriptor(paths: TaskPaths) -> None:
    first = open_checkpoint(paths, FaultyKernel(), create=True)
    before = open_fds()
    with pytest.raises(NotOwner):
        open_checkpoint(paths, Unrested(), create=True)
    assert open_fds() == before
    first.close()


def test_a_file_replaced_while_we_waited_for_its_lock_is_not_owned(paths: TaskPaths) -> None:
    """The old owner compacts between our open and our lock: we hold a file that is nobody's any more."""
    open_checkpoint(paths, FaultyKernel(), create=True).close()

    class Replaced(FaultyKernel):
        fired = 0

        def lock(self, fd: int) -> bool:
            if not self.fired:
                self.fired = 1
                (paths.checkpoint / "runner.new").write_bytes(encode_record(owner(1)))
                (paths.checkpoint / "runner.new").rename(paths.runner)
            return super().lock(fd)

    kernel = Replaced()
    checkpoint = open_checkpoint(paths, kernel, create=True)
    assert kernel.fired and kernel.calls["lock"] == 2
    assert records_in(checkpoint) == [owner(1)]
    checkpoint.append(owner(2))
    checkpoint.close()
    assert reread(paths)[0] == [owner(1), owner(2)]


def test_no_checkpoint_is_one_clear_line(paths: TaskPaths) -> None:
    with pytest.raises(HostError, match="cannot find a checkpoint of task t-1"):
        open_checkpoint(paths, FaultyKernel(), create=False)


def test_a_directory_that_cannot_be_made_is_one_clear_line(paths: TaskPaths) -> None:
    fault = Fault("mkdir", error=errno.EROFS)
    with pytest.raises(HostError, match=r"cannot use the checkpoint directory .*: Read-only file system"):
        open_checkpoint(paths, FaultyKernel(fault), create=True)
    assert fault.fired


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o757])
def test_a_directory_that_others_may_write_is_not_trusted(paths: TaskPaths, mode: int) -> None:
    open_checkpoint(paths, FaultyKernel(), create=True).close()
    paths.checkpoint.chmod(mode)
    with pytest.raises(HostError, match=r"cannot trust .*others may write it"):
        open_checkpoint(paths, FaultyKernel(), create=True)


@pytest.mark.parametrize("which", ["checkpoint", "runner"])
def test_what_belongs_to_somebody_else_is_not_trusted(paths: TaskPaths, which: str) -> None:
    open_checkpoint(paths, FaultyKernel(), create=True).close()
    inode = getattr(paths, which).stat().st_ino

    class Foreign(FaultyKernel):
        def fstat(self, fd: int) -> os.stat_result:
            status = super().fstat(fd)
            if status.st_ino != inode:
                return status
            fields = list(status)
            fields[stat.ST_UID] = 4242
            return os.stat_result(fields)

    with pytest.raises(HostError, match=r"cannot trust .*: it belongs to uid 4242"):
        open_checkpoint(paths, Foreign(), create=True)


def test_links_in_the_place_of_the_checkpoint_are_not_followed(paths: TaskPaths, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    paths.checkpoint.parent.mkdir(parents=True)
    paths.checkpoint.symlink_to(elsewhere)
    with pytest.raises(HostError, match="cannot use the checkpoint directory"):
        open_checkpoint(paths, FaultyKernel(), create=True)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", ["runner", "wake"])
def test_links_inside_the_checkpoint_are_not_followed(paths: TaskPaths, tmp_path: Path, name: str) -> None:
    paths.checkpoint.mkdir(parents=True)
    (paths.checkpoint / name).symlink_to(tmp_path / "victim")
    with pytest.raises(HostError, match="cannot use"):
        open_checkpoint(paths, FaultyKernel(), create=True)
    assert not (tmp_path / "victim").exists()


def test_wake_must_be_a_fifo(paths: TaskPaths) -> None:
    paths.checkpoint.mkdir(parents=True)
    (paths.checkpoint / "wake").write_text("")
    with pytest.raises(HostError, match=r"cannot use .*wake: it is not a FIFO; remove it"):
        open_checkpoint(paths, FaultyKernel(), create=True)


def test_runner_must_be_a_file(paths: TaskPaths) -> None:
    paths.checkpoint.mkdir(parents=True)
    os.mkfifo(paths.runner)
    with pytest.raises(HostError, match="it is not a file"):
        open_checkpoint(paths, FaultyKernel(), create=True)


# ---- damage ------------------------------------------------------------------------------------------


def test_every_torn_tail_costs_its_line_and_nothing_else(paths: TaskPaths) -> None:
    """Whoever comes later must see what this owner saw: a torn line never comes back to life."""
    first, second = encode_record(starting(0, "old")), encode_record(starting(0, "new"))
    paths.checkpoint.mkdir(parents=True)
    for cut in range(1, len(first)):
        paths.runner.write_bytes(encode_record(owner()) + first[:cut])
        checkpoint = open_checkpoint(paths, FaultyKernel(), create=True)
        good, bad = checkpoint.load()
        assert [line.record for line in good] == [owner()]
        assert [b.offset for b in bad] == [len(encode_record(owner()))]
        checkpoint.append_raw(second)
        checkpoint.close()
        assert reread(paths)[0] == [owner(), starting(0, "new")], cut


def test_a_bad_line_in_the_middle_is_named_and_skipped(paths: TaskPaths) -> None:
    paths.checkpoint.mkdir(parents=True)
    line = encode_record(starting(0))
    paths.runner.write_bytes(
        encode_record(owner()) + line.replace(b'"n"', b'"x"') + b"\x00\xff\n" + encode_record(owner(2))
    )
    good, bad = reread(paths)
    assert good == [owner(), owner(2)]
    assert [b.reason for b in bad] == ["wrong checksum", "no checksum"]


@pytest.mark.parametrize(
    "code, text", [(errno.ENOSPC, "disk full"), (errno.EDQUOT, "disk full"), (errno.EIO, "Input/output")]
)
def test_an_append_that_fails_says_why_and_counts_nothing(paths: TaskPaths, code: int, text: str) -> None:
    fault = Fault("write", error=code)
    checkpoint = open_checkpoint(paths, FaultyKernel(fault), create=True)
    with pytest.raises(CannotRecord, match=f"cannot record.*{text}"):
        checkpoint.append(owner(1))
    assert fault.fired
    assert checkpoint.size == 0
    checkpoint.append(owner(2))
    assert records_in(checkpoint) == [owner(2)]
    checkpoint.close()


def test_every_short_write_costs_nothing_but_its_own_line(paths: TaskPaths) -> None:
    """Also in the same owner: the record that failed is not there later, whatever is written instead of it."""
    line = encode_record(starting(0, "old"))
    for cut in range(1, len(line)):
        fault = Fault("write", cut=cut)
        checkpoint = open_checkpoint(paths, FaultyKernel(fault), create=True)
        with pytest.raises(CannotRecord, match="disk full"):
            checkpoint.append_raw(line)
        assert fault.fired
        checkpoint.append(starting(0, "new"))
        assert checkpoint.size == paths.runner.stat().st_size
        checkpoint.close()
        assert reread(paths)[0] == [starting(0, "new")], cut
        paths.runner.unlink()


def test_of_several_lines_cut_short_the_whole_ones_stand(paths: TaskPaths) -> None:
    lines = [encode_record(starting(n)) for n in range(3)]
    fault = Fault("write", cut=len(lines[0]) + 10)
    checkpoint = open_checkpoint(paths, FaultyKernel(fault), create=True)
    with pytest.raises(CannotRecord):
        checkpoint.append_raw(b"".join(lines))
    checkpoint.append_raw(b"".join(lines))
    assert fault.fired
    assert records_in(checkpoint) == [starting(0), starting(0), starting(1), starting(2)]
    checkpoint.close()


# ---- replacing and finishing -------------------------------------------------------------------------


def test_replace_keeps_the_lock_and_appends_go_on(paths: TaskPaths) -> None:
    checkpoint = open_checkpoint(paths, FaultyKernel(), create=True)
    checkpoint.append(owner(1))
    checkpoint.replace(encode_record(owner(2)))
    with pytest.raises(NotOwner, match="pid 2"):
        open_checkpoint(paths, Unrested(), create=True)
    checkpoint.append(owner(3))
    assert checkpoint.size == paths.runner.stat().st_size
    checkpoint.close()
    assert reread(paths)[0] == [owner(2), owner(3)]
    assert not (paths.checkpoint / "runner.new").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("open", error=errno.ENOSPC, match=lambda args: args[0] == "runner.new"),
        Fault("write", nth=2, error=errno.ENOSPC),
        Fault("write", nth=2, cut=10),
        Fault("rename", error=errno.EIO),
    ],
    ids=["open", "write", "short", "rename"],
)
def test_a_replace_that_fails_leaves_everything_as_it_was(paths: TaskPaths, fault: Fault) -> None:
    kernel = FaultyKernel(fault)
    checkpoint = open_checkpoint(paths, kernel, create=True)
    checkpoint.append(owner(1))
    before = open_fds()
    with pytest.raises(CannotRecord):
        checkpoint.replace(encode_record(owner(2)))
    assert fault.fired
    assert open_fds() == before, "a descriptor leaked"
    assert not (paths.checkpoint / "runner.new").exists(), "it takes space on a full disk"
    checkpoint.append(owner(3))
    checkpoint.close()
    assert reread(paths)[0] == [owner(1), owner(3)]


def test_finish_is_idempotent_and_stamps_the_end(paths: TaskPaths) -> None:
    checkpoint = open_checkpoint(paths, FaultyKernel(), create=True)
    paths.active.write_text("{}")
    os.utime(paths.active, (5, 5))
    checkpoint.finish()
    ended = paths.finished.stat().st_mtime
    assert ended > 5 and not paths.active.exists()
    checkpoint.finish()
    assert paths.finished.stat().st_mtime == ended
    checkpoint.close()


@pytest.mark.parametrize("call", ["rename", "touch"])
def test_a_finish_that_fails_can_be_repeated(paths: TaskPaths, call: str) -> None:
    fault = Fault(call, error=errno.EIO)
    checkpoint = open_checkpoint(paths, FaultyKernel(fault), create=True)
    paths.active.write_text("{}")
    os.utime(paths.active, (5, 5))
    with pytest.raises(CannotRecord):
        checkpoint.finish()
    assert fault.fired
    checkpoint.finish()
    assert paths.finished.stat().st_mtime > 5
    checkpoint.close()


def test_inboxes_that_are_not_there_are_empty(paths: TaskPaths) -> None:
    checkpoint = open_checkpoint(paths, FaultyKernel(), create=True)
    assert checkpoint.read_inbox("p", 0) == b""
    assert checkpoint.inbox_size("p") == 0
    assert not checkpoint.inbox_is_locked("p")
    checkpoint.close()


@pytest.mark.parametrize("size", [0, 5, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20])
def test_an_inbox_is_read_to_its_end(paths: TaskPaths, size: int) -> None:
    checkpoint = open_checkpoint(paths, FaultyKernel(), create=True)
    paths.inbox("p").write_bytes(b"x" * size + b"end\n")
    assert len(checkpoint.read_inbox("p", 0)) == size + 4
    assert checkpoint.read_inbox("p", size) == b"end\n"
    checkpoint.close()


@pytest.mark.parametrize("call", ["open", "pread"])
def test_an_inbox_that_cannot_be_read_is_trouble_not_the_end(paths: TaskPaths, call: str) -> None:
    fault = Fault(call, error=errno.EMFILE, match=lambda args: call == "pread" or args[0] == "coordinator.p")
    kernel = FaultyKernel(fault)
    checkpoint = open_checkpoint(paths, kernel, create=True)
    paths.inbox("p").write_bytes(b"end\n")
    before = open_fds()
    with pytest.raises(CannotRecord, match=r"cannot read .*coordinator.p: Too many open files"):
        checkpoint.read_inbox("p", 0)
    assert fault.fired and open_fds() == before
    assert checkpoint.read_inbox("p", 0) == b"end\n"
    checkpoint.close()


def test_an_inbox_is_locked_while_a_coordinator_has_it(paths: TaskPaths) -> None:
    kernel = FaultyKernel()
    checkpoint = open_checkpoint(paths, kernel, create=True)
    paths.inbox("p").write_bytes(b"")
    fd = kernel.open(paths.inbox("p"), os.O_RDWR)
    assert not checkpoint.inbox_is_locked("p")
    assert kernel.lock(fd)
    assert checkpoint.inbox_is_locked("p")
    kernel.close(fd)
    assert not checkpoint.inbox_is_locked("p")
    checkpoint.close()


def test_released_and_unknown_lines_are_loaded(paths: TaskPaths) -> None:
    checkpoint = open_checkpoint(paths, FaultyKernel(disk_full(times=0)), create=True)
    checkpoint.append(Released(at=1.0, mono=1.0, pid=3))
    good, bad = checkpoint.load()
    assert isinstance(good[0], Line) and isinstance(good[0].record, Released) and not bad
    checkpoint.close()
