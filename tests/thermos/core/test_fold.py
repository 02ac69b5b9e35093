"""The fold: what each record does, what it must not do, and that a replay is the same as having been there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thermos.core.samples import (
    NAMES,
    any_record,
    exited,
    forked,
    gone,
    header,
    lost,
    owner,
    request,
    running,
    setup_failed,
    starting,
    status,
    stopped,
    whole_run,
)
from thermos.core import fold as fold_module
from thermos.core.fold import Applied, ProcessRecord, Run, TaskRecord, fold, replay, take_snapshot
from thermos.core.records import (
    AnyRecord,
    Line,
    Released,
    Request,
    decode_line,
    encode_record,
)
from thermos.core.states import TERMINAL_RUN, Outcome, ProcessState, TaskState

KILLED, LOST = TaskState.KILLED, TaskState.LOST


def through_bytes(record: AnyRecord) -> AnyRecord:
    line = decode_line(encode_record(record))
    assert isinstance(line, Line)
    assert line.record is not None
    return line.record


def outcomes(task: TaskRecord, *records: AnyRecord) -> list[Outcome]:
    return [fold(task, record)[1].outcome for record in records]


def the_run(task: TaskRecord, process: str = "p", number: int = 0) -> Run:
    run = task.run(process, number)
    assert run is not None
    return run


def image(task: TaskRecord) -> Any:
    """The whole state as plain data, to see whether anything changed."""
    return msgspec.to_builtins(task)


# --- one run ---------------------------------------------------------------------------------------------------------


def test_a_typical_task_from_header_to_success() -> None:
    task = TaskRecord()
    story: list[AnyRecord] = [
        header(1),
        owner(2),
        status(TaskState.ACTIVE, 3),
        *whole_run(at=10),
        status(TaskState.CLEANING, 20, stop_deadline=40, deadline=50),
        status(TaskState.FINALIZING, 21),
        *whole_run("last", at=22),
        status(TaskState.SUCCESS, 30),
        Released(at=31, mono=31, pid=10),
    ]
    assert set(outcomes(task, *story)) == {Outcome.CHANGED}
    assert task.state is TaskState.SUCCESS
    assert task.terminal
    assert task.released
    assert task.reason == "now SUCCESS"
    assert [h.state for h in task.history] == [
        TaskState.ACTIVE, TaskState.CLEANING, TaskState.FINALIZING, TaskState.SUCCESS
    ]  # fmt: skip
    assert (task.stop_deadline, task.deadline) == (40, 50)
    assert (task.active, task.unsettled) == ({}, {})
    assert list(task.processes) == ["p", "last"]
    run = the_run(task)
    assert (run.starting_at, run.forked_at, run.started_at, run.ended_at, run.ended_mono) == (10, 11, 12, 13, 13)
    assert (run.coordinator, run.coordinator_start, run.boot, run.pidns) == (100, 7, "boot-1", 4026531836)
    assert (run.pid, run.pid_start, run.nonce, run.offset) == (101, 8, "p-0", 0)
    assert (run.utime, run.stime, run.maxrss, run.code, run.signal) == (0.25, 0.5, 4096, 0, None)
    assert run.settled
    assert not run.damaged


def test_a_failed_run_keeps_its_exit_code_and_its_end() -> None:
    """The original lost both (spec/thermos.md §7.4, 3)."""
    task = replay(whole_run(code=3))
    run = the_run(task)
    assert (run.state, run.code, run.signal, run.ended_at, run.ended_mono) == (ProcessState.FAILED, 3, None, 13, 13)
    assert run.utime == 0.25
    snapshot = through_bytes(take_snapshot(task, 20, 20, 1))
    again = the_run(fold(TaskRecord(), snapshot)[0])
    assert (again.code, again.ended_at) == (3, 13)


ENDS: dict[str, tuple[AnyRecord, ProcessState, dict[str, Any]]] = {
    "exit 0": (exited(code=0), ProcessState.SUCCESS, {"code": 0, "signal": None}),
    "exit 1": (exited(code=1), ProcessState.FAILED, {"code": 1, "signal": None}),
    "exit 137": (exited(code=137), ProcessState.FAILED, {"code": 137, "signal": None}),
    "signal": (exited(code=None, signal=9), ProcessState.KILLED, {"code": None, "signal": 9}),
    "set-up": (setup_failed(seq=2), ProcessState.RUNNING, {"stage": ""}),  # can't be: it runs already
    "lost": (lost(at=13), ProcessState.LOST, {"detail": "its coordinator died", "lost": lost(at=13)}),
}


@pytest.mark.parametrize(("record", "state", "facts"), ENDS.values(), ids=ENDS.keys())
def test_how_a_run_ends(record: AnyRecord, state: ProcessState, facts: dict[str, Any]) -> None:
    task = replay([starting(), forked(), running(), record])
    run = the_run(task)
    assert run.state is state
    assert {name: getattr(run, name) for name in facts} == facts
    process = task.processes["p"]
    assert process.total == 1
    assert process.ended == (state in TERMINAL_RUN)
    counters = {
        ProcessState.SUCCESS: process.successes,
        ProcessState.FAILED: process.failures,
        ProcessState.KILLED: process.kills,
        ProcessState.LOST: process.losses,
    }
    assert counters == {s: int(s is state) for s in counters}
    assert task.active == ({} if run.terminal else {"p": 0})


def test_a_failed_set_up_says_where() -> None:
    task = replay([starting(), forked(), setup_failed()])
    run = the_run(task)
    assert (run.state, run.stage, run.errno, run.detail) == (ProcessState.FAILED, "cwd", 2, "no such")
    assert (run.ended_at, run.code, task.processes["p"].failures) == (12, None, 1)


def test_the_owner_may_record_a_failed_set_up_or_an_end_itself() -> None:
    """Records without a place among the coordinator's (seq -1)."""
    task = replay([starting(), setup_failed(seq=-1)])
    assert the_run(task).state is ProcessState.FAILED
    task = replay([starting(), forked(), running(), exited(seq=-1, code=0)])
    assert (the_run(task).state, the_run(task).seq, the_run(task).damaged) == (ProcessState.SUCCESS, 1, False)


def test_a_kill_receipt_changes_no_state() -> None:
    task = replay([starting(), forked(), running()])
    assert outcomes(task, stopped()) == [Outcome.NOTE]
    assert (the_run(task).state, the_run(task).receipt) == (ProcessState.RUNNING, stopped())
    assert outcomes(task, exited(seq=3, code=None, signal=15)) == [Outcome.CHANGED]
    assert the_run(task).receipt == stopped()


# --- what can't be, comes twice, or comes too late -------------------------------------------------------------------


def test_a_repeated_record_changes_nothing() -> None:
    story = [header(), status(TaskState.ACTIVE), *whole_run(), gone()]
    task = replay(story)
    before = image(task)
    assert set(outcomes(task, *story)) == {Outcome.NOOP}
    assert image(task) == before


LATE: list[AnyRecord] = [forked(seq=2), running(seq=2), exited(seq=2, code=0), setup_failed(seq=2)]


@pytest.mark.parametrize("record", LATE, ids=lambda r: type(r).__name__)
def test_what_comes_after_lost_is_a_note(record: AnyRecord) -> None:
    task = replay([starting(), forked(), running(), lost()])
    run = the_run(task)
    before = msgspec.structs.replace(run, seq=2)
    counters = msgspec.structs.replace(task.processes["p"])
    assert fold(task, record)[1] == Applied(Outcome.NOTE, run)
    assert run == before
    assert task.processes["p"] == counters
    assert (task.active, task.unsettled) == ({}, {})
    assert outcomes(task, record) == [Outcome.NOOP]


def test_lost_comes_too_late_as_well() -> None:
    task = replay(whole_run())
    assert outcomes(task, lost()) == [Outcome.NOTE]
    assert (the_run(task).state, the_run(task).lost) == (ProcessState.SUCCESS, None)
    assert task.processes["p"].losses == 0


def test_a_gap_marks_the_run_as_damaged_and_the_later_fact_counts() -> None:
    task = replay([starting(), forked()])
    assert outcomes(task, exited(seq=2, code=4)) == [Outcome.CHANGED]
    run = the_run(task)
    assert (run.state, run.code, run.pid, run.damaged, run.seq) == (ProcessState.FAILED, 4, 0, True, 2)
    assert outcomes(task, running(seq=1)) == [Outcome.NOOP]  # what was mirrored is behind us
    assert run.damaged


def test_a_damaged_run_stays_one_after_a_snapshot() -> None:
    task = replay([starting(), running(seq=1)])
    assert the_run(task).damaged
    assert the_run(fold(TaskRecord(), through_bytes(take_snapshot(task, 1, 1, 1)))[0]).damaged


UNKNOWN: list[AnyRecord] = [forked("x"), running("p", 7), exited("x"), gone("x"), lost("p", 1), stopped("x")]


@pytest.mark.parametrize("record", UNKNOWN, ids=lambda r: type(r).__name__)
def test_records_of_unknown_runs_are_illegal(record: AnyRecord) -> None:
    task = replay([starting(), forked()])
    before = image(task)
    assert fold(task, record)[1] == Applied(Outcome.ILLEGAL, None)
    assert image(task) == before


def test_runs_are_numbered_one_after_another() -> None:
    task = TaskRecord()
    assert outcomes(task, starting(run=1)) == [Outcome.ILLEGAL]
    assert task.active == {}
    assert outcomes(task, starting(run=0)) == [Outcome.CHANGED]
    assert outcomes(task, starting(run=0)) == [Outcome.NOOP]
    assert outcomes(task, starting(run=0, nonce="another")) == [Outcome.ILLEGAL]
    assert the_run(task).nonce == "p-0"
    assert outcomes(task, starting(run=1)) == [Outcome.ILLEGAL]  # 0 is still active
    assert outcomes(task, exited(seq=-1)) == [Outcome.CHANGED]
    assert outcomes(task, starting(run=2), starting(run=0)) == [Outcome.ILLEGAL, Outcome.NOOP]
    assert outcomes(task, starting(run=1)) == [Outcome.CHANGED]
    assert task.active == {"p": 1}
    assert task.processes["p"].last is the_run(task, number=1)
    assert outcomes(task, starting(run=0)) == [Outcome.ILLEGAL]


def test_processes_do_not_mix() -> None:
    task = replay([starting("a"), starting("b"), forked("a"), running("a"), exited("a", code=1)])
    assert (the_run(task, "a").state, the_run(task, "b").state) == (ProcessState.FAILED, ProcessState.WAITING)
    assert task.active == {"b": 0}
    assert (task.processes["a"].failures, task.processes["b"].failures) == (1, 0)


# --- lingering -------------------------------------------------------------------------------------------------------


def test_a_run_whose_daemons_live_on_is_unsettled_until_they_are_gone() -> None:
    task = replay([*whole_run(daemons=2), *whole_run(run=1, at=20, daemons=1)])
    assert task.active == {}
    assert task.unsettled == {"p": [0, 1]}
    run = the_run(task)
    assert (run.terminal, run.settled, run.daemons) == (True, False, 2)
    assert fold(task, gone())[1] == Applied(Outcome.CHANGED, run)
    assert run.settled
    assert task.unsettled == {"p": [1]}
    assert outcomes(task, stopped(run=1, seq=3), gone(run=1, seq=4)) == [Outcome.NOTE, Outcome.CHANGED]
    assert task.unsettled == {}


def test_the_owner_may_say_that_they_are_gone() -> None:
    task = replay([*whole_run(daemons=2), gone(seq=-1)])
    assert (task.unsettled, the_run(task).settled) == ({}, True)


def test_gone_twice_is_only_noted() -> None:
    task = replay([*whole_run(daemons=1), gone()])
    assert outcomes(task, gone(seq=-1)) == [Outcome.NOTE]
    assert task.unsettled == {}


def test_a_lost_run_leaves_nothing_unsettled() -> None:
    task = replay([starting(), forked(), running(), lost()])
    assert (task.unsettled, the_run(task).settled) == ({}, True)


# --- the task --------------------------------------------------------------------------------------------------------


def test_an_impossible_state_of_the_task_is_skipped() -> None:
    task = replay([status(TaskState.ACTIVE)])
    before = image(task)
    assert outcomes(task, status(TaskState.SUCCESS), status(TaskState.FINALIZING, deadline=9)) == [
        Outcome.ILLEGAL, Outcome.ILLEGAL
    ]  # fmt: skip
    assert image(task) == before


def test_nothing_follows_the_end_of_a_task() -> None:
    task = replay([status(TaskState.ACTIVE), status(TaskState.KILLED)])
    before = image(task)
    late: list[AnyRecord] = [
        status(TaskState.CLEANING, stop_deadline=7, deadline=9),
        status(TaskState.SUCCESS),
        request(),
    ]
    assert outcomes(task, *late) == [Outcome.NOTE] * 3
    assert image(task) == before


def test_entering_the_same_state_again_changes_at_most_the_deadlines() -> None:
    task = replay([status(TaskState.ACTIVE), status(TaskState.CLEANING, stop_deadline=30, deadline=40)])
    assert outcomes(task, request(KILLED, 5.0)) == [Outcome.CHANGED]
    assert task.request_pending
    assert outcomes(task, status(TaskState.CLEANING, 9)) == [Outcome.NOOP]
    assert (task.stop_deadline, task.deadline, task.request_pending) == (30, 40, True)
    assert outcomes(task, status(TaskState.CLEANING, 9, stop_deadline=10, deadline=12)) == [Outcome.NOOP]
    assert (task.stop_deadline, task.deadline, task.request_pending) == (10, 12, False)
    assert [h.at for h in task.history] == [1, 1]


def test_the_header_stands_once() -> None:
    task = replay([header(1)])
    same = msgspec.structs.replace(header(9), hostname="renamed", log_dir="elsewhere")
    assert outcomes(task, same) == [Outcome.NOOP]
    for other in (header(task_id="t-2"), header(uid=0), msgspec.structs.replace(header(), ports={}),
                  msgspec.structs.replace(header(), sandbox="/other")):  # fmt: skip
        assert outcomes(task, other) == [Outcome.ILLEGAL]
    assert task.header == header(1)


def test_owners_come_and_go() -> None:
    task = replay([owner(1, pid=10), Released(at=2, mono=2, pid=10)])
    assert (task.owner, task.released) == (owner(1, pid=10), True)
    assert outcomes(task, owner(3, pid=11)) == [Outcome.CHANGED]
    assert (task.owner, task.released) == (owner(3, pid=11), False)


REQUESTS = {
    "the first": ([], request(), True),
    "again": ([request()], request(at=5), False),
    "the same grace": ([request(grace=5.0)], request(grace=5.0), False),
    "quicker": ([request(grace=5.0)], request(grace=1.0), True),
    "slower": ([request(grace=5.0)], request(grace=9.0), False),
    "a number where there was none": ([request()], request(grace=60.0), True),
    "no number where there was one": ([request(grace=5.0)], request(), False),
    "without finalizers": ([request()], request(finalize=False), True),
    "with finalizers again": ([request(finalize=False)], request(), False),
    "lose after kill": ([request()], request(LOST), True),
    "lose after force": ([request(grace=0.0, finalize=False)], request(LOST), True),
    "kill after lose": ([request(LOST)], request(grace=0.0, finalize=False), False),
    "lose again": ([request(LOST)], request(LOST), False),
}


@pytest.mark.parametrize(("before", "new", "changes"), REQUESTS.values(), ids=REQUESTS.keys())
def test_only_a_stronger_request_counts(before: Sequence[AnyRecord], new: Request, changes: bool) -> None:
    task = replay([status(TaskState.ACTIVE), *before])
    task.request_pending = False
    asked = task.request
    assert outcomes(task, new) == [Outcome.CHANGED if changes else Outcome.NOOP]
    assert task.request_pending is changes
    assert task.request == (new if changes else asked)


def test_a_stronger_request_takes_nothing_back() -> None:
    task = replay([request(grace=60.0, finalize=False), request(grace=5.0)])
    assert task.request is not None
    assert (task.request.grace, task.request.finalize) == (5.0, False)
    task = replay([request(grace=5.0), request(grace=60.0, finalize=False)])
    assert task.request is not None
    assert (task.request.grace, task.request.finalize) == (5.0, False)


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_the_last_hundred_runs_are_kept_and_all_are_counted() -> None:
    task = replay(r for n in range(1000) for r in whole_run(run=n, at=10 * n))
    process = task.processes["p"]
    assert (process.total, process.successes, process.ended) == (1000, 1000, 1000)
    assert list(process.runs) == list(range(900, 1000))
    assert outcomes(task, exited(run=5)) == [Outcome.ILLEGAL]


def test_failed_runs_are_kept_three_times_as_long() -> None:
    task = replay(r for n in range(1000) for r in whole_run(run=n, at=10 * n, code=int(n % 10 == 0)))
    process = task.processes["p"]
    assert (process.failures, process.successes) == (100, 900)
    assert list(process.runs) == [*range(700, 900, 10), *range(900, 1000)]


def test_of_failures_only_at_most_three_hundred_are_kept() -> None:
    task = replay(r for n in range(1000) for r in whole_run(run=n, at=10 * n, code=1))
    assert list(task.processes["p"].runs) == list(range(700, 1000))


def test_runs_that_linger_are_kept() -> None:
    task = replay(r for n in range(500) for r in whole_run(run=n, at=10 * n, daemons=int(n == 3)))
    assert list(task.processes["p"].runs) == [3, *range(400, 500)]
    assert outcomes(task, gone(run=3)) == [Outcome.CHANGED]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0, 1, None])), max_size=8))
def test_the_number_of_kept_runs_is_bounded_in_every_pattern(blocks: list[tuple[int, int | None]]) -> None:
    keep, task = 5, TaskRecord()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_module, "KEEP_RUNS", keep)
        for code in (code for length, code in blocks for _ in range(length)):
            number = task.processes["p"].total if task.processes else 0
            for record in whole_run(run=number, code=code, signal=None if code is not None else 9):
                fold(task, record)
            process = task.processes["p"]
            assert len(process.runs) <= 3 * keep + 1
            assert set(range(max(0, process.total - keep), process.total)) <= set(process.runs)
            assert list(process.runs) == sorted(process.runs)


# --- replay and snapshot ---------------------------------------------------------------------------------------------


@st.composite
def stories(draw: st.DrawFn) -> list[AnyRecord]:
    """Mostly what really happens, of three processes at once, with anything else strewn in."""
    state: dict[str, tuple[int, int]] = dict.fromkeys(NAMES, (0, 0))  # run, step
    story: list[AnyRecord] = []
    for clock in range(draw(st.integers(0, 25))):
        at = 100.0 + clock
        if draw(st.integers(0, 4)) == 0:
            story.append(draw(any_record()))
            continue
        name = draw(st.sampled_from(NAMES))
        run, step = state[name]
        end = draw(st.integers(0, 5))
        if step == 0:
            story.append(starting(name, run, at))
        elif end == 5:
            story.append(lost(name, run, at))
            step = 3
        elif step == 1:
            story.append(forked(name, run, at))
        elif step == 2:
            story.append(setup_failed(name, run, at) if end == 4 else running(name, run, at))
            step += end == 4
        else:
            code = end if end < 3 else None
            story.append(exited(name, run, at, code=code, signal=None if end < 3 else 9, daemons=int(end == 2)))
        state[name] = (run + 1, 0) if step == 3 else (run, step + 1)
    return story


def check_invariants(task: TaskRecord) -> None:
    active, unsettled = {}, {}
    for name, process in task.processes.items():
        assert process.name == name
        last = process.last
        assert last is not None
        assert last.number == process.total - 1
        assert process.ended == process.total - (not last.terminal)
        assert all(run.terminal for run in process.runs.values() if run is not last)
        assert all(number == run.number and run.process == name for number, run in process.runs.items())
        if not last.terminal:
            active[name] = last.number
        lingering = [run.number for run in process.runs.values() if run.terminal and not run.settled]
        if lingering:
            unsettled[name] = lingering
        for run in process.runs.values():
            assert (run.ended_at > 0) == run.terminal
            assert (run.code is None and run.signal is None) or run.state in (
                ProcessState.SUCCESS, ProcessState.FAILED, ProcessState.KILLED
            )  # fmt: skip
    assert task.active == active
    assert {name: sorted(numbers) for name, numbers in task.unsettled.items()} == unsettled
    assert (task.history[-1].state if task.history else None) is task.state


def visible(process: ProcessRecord) -> tuple[Any, ...]:
    states = [(n, r.state, r.ended_at) for n, r in process.runs.items()]
    return process.total, process.successes, process.failures, process.kills, process.losses, states


def visible_all(task: TaskRecord) -> dict[str, Any]:
    return {name: visible(p) for name, p in task.processes.items()}


@settings(deadline=None, max_examples=60)
@given(stories())
def test_no_record_whatever_breaks_the_state_and_only_changed_changes_it(story: list[AnyRecord]) -> None:
    task = TaskRecord()
    for record in story:
        before = visible_all(task)
        old_state, was_terminal = task.state, task.terminal
        done = [run for p in task.processes.values() for run in p.runs.values() if run.terminal]
        ends = [(run.state, run.code, run.signal, run.ended_at) for run in done]
        task, applied = fold(task, record)
        if applied.outcome is not Outcome.CHANGED:
            assert visible_all(task) == before
            assert task.state is old_state
        assert ends == [(run.state, run.code, run.signal, run.ended_at) for run in done]
        assert not was_terminal or task.state is old_state
        if applied.run is not None:
            assert task.run(applied.run.process, applied.run.number) is applied.run
    check_invariants(task)


@settings(deadline=None, max_examples=60)
@given(stories())
def test_a_replay_of_the_bytes_is_the_state_of_who_was_there(story: list[AnyRecord]) -> None:
    live = TaskRecord()
    for record in story:
        live, _ = fold(live, record)
    assert replay(map(through_bytes, story)) == live
    twice = replay([r for record in story for r in (record, record)])
    assert visible_all(twice) == visible_all(live), "a record that is mirrored twice counts once"


@settings(deadline=None, max_examples=60)
@given(stories(), st.integers(0, 30), st.integers(0, 30))
def test_a_snapshot_anywhere_changes_nothing(story: list[AnyRecord], first: int, second: int) -> None:
    live, cut = TaskRecord(), TaskRecord()
    for i, record in enumerate(story):
        for when in (first, second):
            if i == when:
                snapshot = take_snapshot(cut, 5, 5, 0.0)
                kept = encode_record(snapshot)
                cut, applied = fold(TaskRecord(), through_bytes(snapshot))
                assert applied == Applied(Outcome.CHANGED)
                assert encode_record(take_snapshot(cut, 5, 5, 0.0)) == kept
        live, one = fold(live, record)
        cut, other = fold(cut, record)
        assert one.outcome is other.outcome
    assert cut == live
    assert [list(p.runs) for p in cut.processes.values()] == [list(p.runs) for p in live.processes.values()]


def test_a_snapshot_is_no_part_of_the_state_it_was_taken_of() -> None:
    task = replay([starting(), forked()])
    snapshot = take_snapshot(task, 5, 5, 4)
    fold(task, running())
    assert the_run(fold(TaskRecord(), snapshot)[0]).state is ProcessState.FORKED
    copy = fold(TaskRecord(), snapshot)[0]
    fold(copy, running())
    assert the_run(fold(TaskRecord(), snapshot)[0]).state is ProcessState.FORKED


def test_a_snapshot_replaces_what_was_before_and_says_since_when_the_history_is_whole() -> None:
    task = replay(whole_run())
    assert task.complete_since == 0
    snapshot = through_bytes(take_snapshot(task, 90, 80, 70))
    after = replay([*whole_run("gone"), snapshot, *whole_run(run=1, at=100)])
    assert after.complete_since == 70
    assert list(after.processes) == ["p"]
    assert (after.processes["p"].total, after.processes["p"].successes) == (2, 2)


def test_an_instance_shares_nothing_with_the_next() -> None:
    replay([starting(), request(), status(TaskState.ACTIVE)])
    assert image(TaskRecord()) == {}
