"""What reaches the owner from coordinators: pokes through the FIFO, records in inboxes, and everything forged."""

from __future__ import annotations

import os
import zlib

import pytest

from tests.thermos.host.conftest import MakeStage
from tests.thermos.host.faults import Fault
from tests.thermos.host.puppets import Stage, kinds, process
from thermos.core.records import (
    Exited,
    Forked,
    Gone,
    Lost,
    Owner,
    Request,
    Running,
    SetupFailed,
    Starting,
    TaskStatus,
    encode_record,
)
from thermos.core.states import ProcessState, TaskState


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """`a` and `b` run; nothing is to be read."""
    stage = make_stage(process("a"), process("b"))
    stage.own()
    for name in "ab":
        stage.puppet(name).come_up()
    stage.look()
    return stage


def state_of(stage: Stage, name: str, run: int = 0) -> ProcessState:
    assert stage.runner is not None
    found = stage.runner.task.run(name, run)
    assert found is not None
    return found.state


def test_a_poke_names_the_inbox_that_is_read(stage: Stage) -> None:
    before = stage.kernel.calls["open"]
    stage.puppet("b").say(Exited, code=0)
    stage.look()
    assert state_of(stage, "b") is ProcessState.SUCCESS
    assert stage.kernel.calls["open"] == before + 1, "only the inbox that grew is opened"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"no number\n",
        b"-1\n",
        b"99\n",
        b"0",
        b"\x00\xff\xb2\n",
        b"9" * 5000 + b"\n",
        b"x" * 65536,
        b"0\n" * 32768,
    ],
    ids=["empty", "text", "negative", "beyond", "torn", "binary", "huge", "full", "many"],
)
def test_garbage_in_the_fifo_loses_no_record_and_harms_nothing(stage: Stage, garbage: bytes) -> None:
    """A poke that was dropped because the FIFO was full, or drowned in garbage: what it told of is found."""
    stage.kernel.poke(garbage)
    stage.puppet("a").write(encode_record(_exited("a", seq=2)), poke=False)
    runner = stage.look()
    if garbage in (b"\n", b"0"):
        stage.kernel.poke(b"0\n")
        stage.look()
    assert state_of(stage, "a") is ProcessState.SUCCESS
    assert not runner.trouble and not runner.done


def test_a_fifo_that_is_full_wakes_the_owner_anyway(stage: Stage) -> None:
    fd = os.open(stage.paths.checkpoint / "wake", os.O_RDWR | os.O_NONBLOCK)
    while True:
        try:
            os.write(fd, b"1\n" * 2048)
        except BlockingIOError:
            break
    os.close(fd)
    stage.puppet("a").write(encode_record(_exited("a", seq=2)), poke=False)
    stage.look()
    assert state_of(stage, "a") is ProcessState.SUCCESS


def _exited(name: str, run: int = 0, seq: int = 2, code: int | None = 0) -> Exited:
    return Exited(at=1.0, mono=1.0, process=name, run=run, seq=seq, code=code, signal=None if code is not None else 9)


@pytest.mark.parametrize("cut", [1, 8, 9, 30, -2, -1])
def test_a_torn_tail_of_an_inbox_waits_for_the_whole_line(stage: Stage, cut: int) -> None:
    line = encode_record(_exited("a"))
    puppet = stage.puppet("a")
    puppet.write(line[:cut])
    stage.look()
    assert state_of(stage, "a") is ProcessState.RUNNING
    puppet.write(b"\n" + line)
    stage.look()
    assert state_of(stage, "a") is ProcessState.SUCCESS
    assert kinds(stage.records()).count("exited") == 1


def test_a_line_that_lacked_only_its_lf_counts_once(stage: Stage) -> None:
    line = encode_record(_exited("a", code=3))
    stage.puppet("a").write(line[:-1])
    stage.look()
    assert state_of(stage, "a") is ProcessState.RUNNING
    stage.puppet("a").write(b"\n" + line)
    stage.look()
    assert stage.runner is not None
    assert stage.runner.task.processes["a"].failures == 1


FORGED = {
    "another process's": Exited(at=1.0, mono=1.0, process="b", run=0, seq=2, code=3),
    "a process that does not exist": Exited(at=1.0, mono=1.0, process="zz", run=0, seq=2, code=3),
    "a later run": Exited(at=1.0, mono=1.0, process="a", run=7, seq=2, code=3),
    "a negative run": Exited(at=1.0, mono=1.0, process="a", run=-1, seq=2, code=3),
    "said before": Running(at=1.0, mono=1.0, process="a", run=0, seq=0, pid=1, start=1),
    "without a sequence": Exited(at=1.0, mono=1.0, process="a", run=0, code=3),
    "an owner": Owner(at=1.0, mono=1.0, pid=1, start=1, uid=0, boot="x", pidns=1),
    "a task state": TaskStatus(at=1.0, mono=1.0, state=TaskState.KILLED),
    "a request": Request(at=1.0, mono=1.0, want=TaskState.KILLED),
    "a start": Starting(at=1.0, mono=1.0, process="a", run=1, nonce="x", offset=0),
    "a loss": Lost(at=1.0, mono=1.0, process="a", run=0, seq=2, reason="forged"),
    "a huge sequence": Gone(at=1.0, mono=1.0, process="a", run=0, seq=2**60),
    "a sequence that no coordinator reaches": Gone(at=1.0, mono=1.0, process="a", run=0, seq=1000),
}


@pytest.mark.parametrize("record", FORGED.values(), ids=FORGED)
def test_forged_records_in_an_inbox_change_nothing(stage: Stage, record: object) -> None:
    """And what the coordinator really says afterwards still counts."""
    before = stage.paths.runner.read_bytes()
    stage.puppet("a").write(encode_record(record))  # type: ignore[arg-type]
    runner = stage.look()
    assert stage.paths.runner.read_bytes() == before
    assert state_of(stage, "a") is ProcessState.RUNNING and runner.state is TaskState.ACTIVE
    stage.puppet("a").exited(0)
    stage.look()
    assert state_of(stage, "a") is ProcessState.SUCCESS


def test_garbage_and_unknown_kinds_in_an_inbox_are_skipped(stage: Stage) -> None:
    body = b'{"kind":"from the future","at":1.0,"mono":1.0,"process":"a","run":0,"seq":2}'

    stage.puppet("a").write(b"\x00" * 1000 + b"\n" + b"%08x %s\n" % (zlib.crc32(body), body) + b"deadbeef {}\n")
    stage.puppet("a").exited(4)
    runner = stage.look()
    assert runner.task.processes["a"].failures == 1
    assert runner.task.processes["a"].runs[0].code == 4


def test_a_pid_in_a_forged_record_is_no_pid(make_stage: MakeStage) -> None:
    """Numbers that no pid can have must not stop the owner."""
    for pid in (0, -1, 2**31, 2**60):
        stage = make_stage(process("a", max_failures=0))
        runner = stage.own()
        stage.puppet("a").forked(pid=pid)
        stage.look()
        assert not runner.done and not stage.kernel.signalled


def test_records_are_mirrored_byte_for_byte_and_in_order(stage: Stage) -> None:
    for name in "ab":
        stage.puppet(name).exited(0)
    stage.look()
    mirrored = stage.paths.runner.read_bytes()
    for name in "ab":
        inbox = stage.paths.inbox(name).read_bytes()
        position = -1
        for line in inbox.splitlines(keepends=True):
            assert mirrored.count(line) == 1
            assert mirrored.index(line) > position
            position = mirrored.index(line)


def test_the_coordinator_of_a_set_up_that_failed_is_believed(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"))
    stage.own()
    puppet = stage.puppet("a")
    puppet.forked()
    puppet.say(SetupFailed, stage="cwd", errno=2)
    puppet.die(0)
    runner = stage.look()
    assert runner.state is TaskState.FAILED
    run = runner.task.processes["a"].runs[0]
    assert (run.stage, run.errno, run.state) == ("cwd", 2, ProcessState.FAILED)


def test_reading_an_inbox_that_fails_is_tried_again(stage: Stage) -> None:

    fault = Fault("open", error=24, match=lambda args: args[0] == "coordinator.a")
    stage.kernel.faults.append(fault)
    stage.puppet("a").exited(0)
    runner = stage.look()
    assert fault.fired == 1
    assert "cannot read" in runner.trouble and "Too many open files" in runner.trouble
    stage.until_wake()
    assert not runner.trouble and state_of(stage, "a") is ProcessState.SUCCESS


def test_forked_is_in_the_story_of_every_run(stage: Stage) -> None:
    assert {r.process for r in stage.records() if isinstance(r, Forked)} == {"a", "b"}
