"""What is said about each process and the task, from records and plan alone."""

from __future__ import annotations

import pytest

from client.thermos.view import graph_levels
from tests.client.tasks import Played, spec
from tests.thermos.core import samples
from thermos.clock import Now
from thermos.core.doing import Doing
from thermos.core.records import Exited, Restart, Stopped
from thermos.core.states import TaskState
from thermos.model import ProcessSpec, TaskSpec


def test_a_blocked_process_says_by_whom() -> None:
    played = Played(spec("a", "b", "c", order=[["a", "c"], ["b", "c"]]))
    assert played.row("c") == (Doing.BLOCKED, "waits for a, b")
    played.play(*samples.whole_run("a"))
    assert played.note("c") == "waits for b"
    played.play(*samples.whole_run("b"))
    assert played.row("c") == (Doing.READY, "about to start")


def test_a_process_under_way() -> None:
    played = Played(spec("p"), samples.starting())
    assert played.row("p") == (Doing.RUNNING, "starting")
    played.play(samples.forked(), samples.running())
    row = played.view.rows(played.task, Now(20.0, 20.0))[0]
    assert (row.doing, row.state, row.run, row.pid, row.seconds, row.ticks) == (
        Doing.RUNNING, "RUNNING", 0, 101, 8.0, True,
    )  # fmt: skip


def test_the_end_of_a_run_stops_its_clock() -> None:
    played = Played(spec("p"), *samples.whole_run())
    row = played.view.rows(played.task, Now(99.0, 99.0))[0]
    assert (row.doing, row.state, row.pid, row.seconds, row.ticks) == (Doing.DONE, "SUCCESS", 0, 1.0, False)


@pytest.mark.parametrize(
    ("record", "note"),
    [
        (samples.exited(code=3), "exit code 3"),
        (samples.setup_failed(), "could not start (cwd: no such)"),
    ],
)
def test_a_failed_process_says_how(record: Exited, note: str) -> None:
    played = Played(spec("p"), samples.starting(), samples.forked(), record)
    assert played.row("p") == (Doing.FAILED, note)


def test_a_retry_says_when_and_which_failure_it_was() -> None:
    retrying = TaskSpec(
        name="t", processes=(ProcessSpec(name="p", cmdline="", max_failures=3, min_duration=5),), max_failures=1
    )
    played = Played(retrying, *samples.whole_run(code=2))  # ended at 13
    assert played.row("p", at=15.5) == (Doing.RETRY, "exit code 2; retry in 3 s (failure 1 of 3)")


def test_killed_and_lost_runs_are_repeated_without_being_counted() -> None:
    played = Played(spec("p"), *samples.whole_run(code=None, signal=9))
    assert played.note("p", at=14) == "killed by SIGKILL (signal 9); retry in 4 s"
    played = Played(spec("p"), samples.starting(), samples.forked(), samples.lost())
    assert played.note("p", at=15).startswith("lost: its coordinator died; retry in 5 s")


def test_a_daemon_starts_again() -> None:
    assert Played(spec("daemon"), *samples.whole_run("daemon")).row("daemon", at=14) == (Doing.RETRY, "again in 4 s")


def test_what_was_asked_to_restart_waits_for_nothing() -> None:
    asked = Restart(at=12.5, mono=12.5, process="p", run=0)
    begun = [samples.starting(), samples.forked(), samples.running()]
    played = Played(spec("p"), *begun, asked, samples.exited(code=None, signal=15))
    assert played.row("p", at=13.5) == (Doing.RETRY, "again: about to start")


def test_an_ephemeral_failure_is_not_needed() -> None:
    played = Played(spec("ephemeral", "p"), *samples.whole_run("ephemeral", code=1))
    assert played.row("ephemeral") == (Doing.DONE, "exit code 1, not needed")


def test_waiting_for_a_slot_is_said() -> None:
    played = Played(spec("a", "b", max_concurrency=1), samples.starting("a"))
    played.life.regular.update(played.task.processes["a"])
    assert played.row("b") == (Doing.READY, "waits for one of 1 slot")


def test_final_processes_wait_for_the_end() -> None:
    played = Played(spec("p", "final_1", "final_2", order=[["final_1", "final_2"]]))
    assert played.note("final_1") == "runs at the end"
    assert played.note("final_2") == "waits for final_1"


def test_what_never_ran_and_what_was_stopped() -> None:
    stop = Stopped(at=13.0, mono=13.0, process="a", run=0, seq=2, why="stop", signal=15, signalled=1, left=1)
    end = Exited(at=13.0, mono=13.0, process="a", run=0, seq=3, code=None, signal=15)
    played = Played(spec("a", "b", order=[["a", "b"]]), samples.starting("a"), samples.forked("a"))
    played.play(samples.status(TaskState.CLEANING, at=12.0, stop_deadline=30.0, deadline=30.0), stop, end)
    assert played.row("a") == (Doing.STOPPED, "stopped")
    assert played.row("b") == (Doing.IDLE, "not run")


def test_the_headline_counts_and_says_what_is_waited_for() -> None:
    played = Played(spec("a", "b", "c", order=[["a", "b"]]), *samples.whole_run("a"), samples.starting("c"))
    headline = played.view.headline(played.task, Now(20.0, 20.0))
    assert (headline.state, headline.counts, headline.note, headline.seconds) == (
        "ACTIVE", "1 of 3 done, 1 running", "", 19.0,
    )  # fmt: skip
    played.play(samples.status(TaskState.CLEANING, at=20.0, stop_deadline=26.0, deadline=30.0))
    assert played.view.headline(played.task, Now(22.0, 22.0)).note == "stopping 1 process, kill in 4 s"
    played.play(samples.exited("c", code=None, signal=15), samples.status(TaskState.FINALIZING, at=23.0))
    assert played.view.headline(played.task, Now(24.0, 24.0)).note == "final processes have 6 s more"
    played.play(samples.status(TaskState.FAILED, at=25.0))
    headline = played.view.headline(played.task, Now(99.0, 99.0))
    assert (headline.seconds, headline.ticks) == (24.0, False)


def test_levels_are_the_longest_way_and_need_no_recursion() -> None:
    diamond = spec("a", "b", "c", "d", order=[["a", "b", "d"], ["a", "d"], ["c", "d"]])
    assert graph_levels(diamond) == {"a": 0, "b": 1, "c": 0, "d": 2}
    names = [f"p{i}" for i in range(10_000)]
    assert graph_levels(spec(*names, order=[names]))["p9999"] == 9999


def test_too_many_rows_leave_the_dull_ones_out() -> None:
    names = [f"p{i}" for i in range(20)]
    played = Played(spec(*names), *samples.whole_run("p7", code=1), samples.starting("p3"))
    for name in names[8:]:
        played.play(*samples.whole_run(name))
    shown = [row.process for row in played.view.rows(played.task, Now(20.0, 20.0), 4)]
    assert shown[:1] == ["p0"]
    assert {"p3", "p7"} <= set(shown)
    assert len(shown) == 4
