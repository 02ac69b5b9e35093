"""Whole lives of tasks on a pretended host: how they end, when, and what was done on the way.

All times are seconds since the beginning. Without scripts a process ends well after one second; a stopped one leaves
after a quarter of a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thermos.core.harness import EPOCH, FAILS, FOREVER, STUBBORN, UNDEAD, Host, Script, final, host, process
from thermos.clock import Now
from thermos.core.actions import Decision, EnterState, GiveUp, KillRun, StartRun, StopRun
from thermos.core.fold import TaskRecord
from thermos.core.lifecycle import FINAL_SHARE, KILL_PATIENCE, Lifecycle
from thermos.core.records import Request
from thermos.core.states import ProcessState, TaskState
from thermos.model import ProcessSpec, TaskSpec

ACTIVE, CLEANING, FINALIZING = TaskState.ACTIVE, TaskState.CLEANING, TaskState.FINALIZING
SUCCESS, FAILED, KILLED, LOST = TaskState.SUCCESS, TaskState.FAILED, TaskState.KILLED, TaskState.LOST
P = ProcessState


# --- natural ends ----------------------------------------------------------------------------------------------------


def test_an_empty_task_succeeds_at_once() -> None:
    h = host()
    assert h.run() is SUCCESS
    assert h.phases() == [ACTIVE, CLEANING, FINALIZING, SUCCESS]
    assert h.elapsed == 0


def test_success_takes_as_long_as_the_processes_and_not_longer() -> None:
    h = host("a", "b", order=(("a", "b"),))
    assert h.run() is SUCCESS
    assert h.elapsed == 2
    assert (h.when(StartRun, "a"), h.when(StartRun, "b")) == ([0], [1])
    assert h.when(StopRun) == h.when(KillRun) == []
    assert h.task.reason == "all processes finished"


def test_a_failed_process_fails_the_task_and_stops_the_others() -> None:
    h = host("a", "b", a=FAILS, b=FOREVER)
    assert h.run() is FAILED
    assert (h.when(StopRun, "b"), h.elapsed) == ([1], 1.25)
    assert h.states("b") == [P.KILLED]
    assert h.task.reason == "1 failed process: a"


def test_62_the_failure_limit_keeps_later_processes_from_starting() -> None:
    h = host("a", "b", "c", order=(("b", "c"),), a=replace(FAILS, lasts=0.5))
    assert h.run() is FAILED
    assert h.states("c") == []


@pytest.mark.parametrize(("allowed", "result"), [(0, SUCCESS), (1, FAILED), (2, FAILED), (3, SUCCESS)])
def test_61_max_failures_of_the_task_counts_failed_processes(allowed: int, result: TaskState) -> None:
    h = host("a", process("b", max_failures=2, min_duration=0), "c", max_failures=allowed, a=FAILS, b=FAILS)
    assert h.run() is result
    if result is SUCCESS:
        assert h.states("b") == [P.FAILED, P.FAILED]
        assert h.task.reason == "complete, 2 failed"


def test_57_what_waits_for_a_failed_process_fails_the_task_whatever_it_allows() -> None:
    h = host("a", "b", "c", order=(("a", "b"),), max_failures=0, a=FAILS, c=Script(lasts=9))
    assert h.run() is FAILED
    assert (h.elapsed, h.states("b"), h.states("c")) == (9, [], [P.SUCCESS])
    assert h.task.reason == "the remaining processes wait for a failed one: a"


def test_57_an_ephemeral_does_not_keep_a_deadlocked_task_alive() -> None:
    h = host("a", "b", process("log", ephemeral=True), order=(("a", "b"),), max_failures=0, a=FAILS, log=FOREVER)
    assert h.run(60) is FAILED
    assert h.elapsed == 1.25


def test_67_68_a_killed_or_lost_run_is_repeated_and_no_failure() -> None:
    h = host("a", a=[Script(code=None), Script(lost=True), Script()])
    assert h.run() is SUCCESS
    assert h.states("a") == [P.KILLED, P.LOST, P.SUCCESS]
    assert h.when(StartRun) == [0, 6, 12]


def test_a_failed_set_up_is_a_failure() -> None:
    h = host("a", a=Script(setup_fails=True))
    assert (h.run(), h.states("a"), h.elapsed) == (FAILED, [P.FAILED], 0)


def test_60_a_process_is_tried_as_often_as_it_may_fail() -> None:
    h = host(process("a", max_failures=3, min_duration=2), a=[FAILS, FAILS, Script()])
    assert h.run() is SUCCESS
    assert h.when(StartRun) == [0, 3, 6]


def test_54_a_task_of_ephemerals_succeeds_at_once_and_starts_none() -> None:
    h = host(process("e", ephemeral=True), process("d", ephemeral=True, daemon=True), e=FOREVER)
    assert (h.run(), h.elapsed) == (SUCCESS, 0)
    assert h.task.processes == {}


def test_66_ephemerals_are_stopped_when_the_rest_is_done() -> None:
    h = host("a", process("e", ephemeral=True, daemon=True), e=FOREVER)
    assert h.run() is SUCCESS
    assert (h.when(StopRun, "e"), h.states("e"), h.elapsed) == ([1], [P.KILLED], 1.25)


def test_55_a_daemon_goes_on_until_it_fails() -> None:
    h = host(process("d", daemon=True, min_duration=1), d=[Script(), Script(), FAILS])
    assert h.run() is FAILED
    assert (h.states("d"), h.elapsed) == ([P.SUCCESS, P.SUCCESS, P.FAILED], 5)


def test_55_a_daemon_keeps_the_task_alive() -> None:
    h = host("a", process("d", daemon=True), d=FOREVER)
    assert h.run(1e6) is ACTIVE
    assert h.next_wake is None


def test_59_the_run_limit_ends_a_daemon() -> None:
    h = host(process("d", daemon=True, max_failures=0, min_duration=0), run_limit=100)
    assert h.run() is FAILED
    assert h.task.processes["d"].total == 100


def test_63_max_concurrency_one() -> None:
    h = host(*"abc", max_concurrency=1)
    assert h.run() is SUCCESS
    assert [h.when(StartRun, n) for n in "abc"] == [[0], [1], [2]]
    assert h.rounds < 30


# --- final processes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("script", "result"), [(Script(), SUCCESS), (FAILS, FAILED)])
def test_64_final_processes_run_in_order_after_success_and_after_failure(script: Script, result: TaskState) -> None:
    h = host("a", final("y"), final("x"), order=(("x", "y"),), a=script)
    assert h.run() is result
    assert (h.when(StartRun, "x"), h.when(StartRun, "y"), h.elapsed) == ([1], [2], 3)
    assert h.phases() == [ACTIVE, CLEANING, FINALIZING, result]


def test_64_final_processes_run_after_a_kill() -> None:
    h = host("a", final("x"), a=FOREVER)
    h.at(7, h.kill)
    assert h.run() is KILLED
    assert (h.when(StopRun, "a"), h.when(StartRun, "x"), h.states("x")) == ([7], [7.25], [P.SUCCESS])


def test_64_failed_finalizers_change_nothing_and_are_tried_as_often_as_they_may() -> None:
    h = host("a", final("x", max_failures=2, min_duration=0), final("y"), final("z"), order=(("x", "y"),), x=FAILS)
    assert h.run() is SUCCESS
    assert h.states("x") == [P.FAILED, P.FAILED]
    assert (h.states("y"), h.states("z")) == ([], [P.SUCCESS])
    assert h.elapsed == 3


def test_64_finalizers_are_skipped_when_the_budget_is_exhausted() -> None:
    """CLEANING may take until it gives up; with 8 s for all, that is longer than the budget."""
    h = host("a", final("x"), wait=8, a=UNDEAD)
    h.at(1, h.kill)
    assert h.run() is KILLED
    assert (h.when(KillRun), h.when(GiveUp)) == ([1 + 4], [1 + 4 + KILL_PATIENCE])
    assert h.states("x") == []
    assert h.phases() == [ACTIVE, CLEANING, KILLED]


def test_65_a_finalizer_that_takes_too_long_is_killed_and_the_result_stays() -> None:
    h = host("a", final("x"), x=FOREVER)
    assert h.run() is SUCCESS
    assert h.when(KillRun, "x") == [1 + 30]
    assert h.states("x") == [P.KILLED]
    assert h.elapsed == 31


def test_an_undead_finalizer_is_given_up() -> None:
    h = host("a", final("x"), x=UNDEAD)
    assert h.run() is SUCCESS
    assert (h.when(KillRun), h.when(GiveUp)) == ([31], [31 + KILL_PATIENCE])
    assert h.states("x") == [P.LOST]


def test_an_ephemeral_finalizer_is_not_waited_for() -> None:
    h = host("a", final("x"), final("log", ephemeral=True), log=FOREVER)
    assert h.run() is SUCCESS
    assert (h.when(KillRun, "log"), h.elapsed) == ([2], 2)


def test_max_concurrency_holds_for_final_processes_by_themselves() -> None:
    h = host("a", *(final(n) for n in "xyz"), max_concurrency=1)
    assert h.run() is SUCCESS
    assert h.elapsed == 4


# --- deadlines -------------------------------------------------------------------------------------------------------

BUDGETS = {
    "no finalizers: all of it": (30, False, None, True, (30, 30)),
    "finalizers: all but ten seconds": (30, True, None, True, (20, 30)),
    "a short one: half": (8, True, None, True, (4, 8)),
    "just twenty": (20, True, None, True, (10, 20)),
    "none": (0, True, None, True, (0, 0)),
    "the grace of the request": (30, True, 60.0, True, (50, 60)),
    "a short grace": (30, True, 3.0, True, (1.5, 3)),
    "a grace without finalizers": (30, True, 60.0, False, (60, 60)),
    "no grace": (30, True, 0.0, True, (0, 0)),
    "a request without grace": (30, True, None, False, (30, 30)),
}


@pytest.mark.parametrize(("wait", "finals", "grace", "finalize", "budget"), BUDGETS.values(), ids=BUDGETS.keys())
def test_budgets(wait: float, finals: bool, grace: float | None, finalize: bool, budget: tuple[float, float]) -> None:
    h = host("a", *([final("x")] if finals else []), wait=wait)
    asked = None if finalize and grace is None else Request(at=1, mono=1, want=KILLED, grace=grace, finalize=finalize)
    assert h.life.budget(asked) == budget
    if asked is None:
        assert h.life.stop_wait == budget[0]


def test_losing_has_no_budget_and_ten_seconds_are_what_finalizers_are_left() -> None:
    assert host("a", final("x")).life.budget(Request(at=1, mono=1, want=LOST, grace=99.0)) == (0, 0)
    assert FINAL_SHARE == 10


@pytest.mark.parametrize(("finals", "killed_at"), [(False, 30), (True, 20)])
def test_69_a_process_that_ignores_the_stop_is_killed_at_the_deadline(finals: bool, killed_at: float) -> None:
    h = host("a", *([final("x")] if finals else []), a=STUBBORN)
    h.at(5, h.kill)
    assert h.run() is KILLED
    assert (h.when(StopRun), h.when(KillRun)) == ([5], [5 + killed_at])
    assert h.states("x") == [P.SUCCESS] * finals
    assert h.elapsed == 5 + killed_at + finals


def test_what_cannot_be_killed_is_given_up_and_the_task_ends() -> None:
    h = host("a", "b", a=UNDEAD, b=FOREVER)
    h.at(1, h.kill)
    assert h.run() is KILLED
    assert (h.when(KillRun), h.when(GiveUp)) == ([31], [31 + KILL_PATIENCE])
    assert (h.states("a"), h.states("b")) == ([P.LOST], [P.KILLED])
    assert h.task.processes["a"].runs[0].detail == "it could not be killed"


def test_finalization_wait_zero_kills_at_once() -> None:
    h = host("a", "b", wait=0, a=FAILS, b=STUBBORN)
    assert h.run() is FAILED
    assert (h.when(StopRun), h.when(KillRun), h.elapsed) == ([], [1], 1)


# --- requests --------------------------------------------------------------------------------------------------------


def test_kill_before_anything_started() -> None:
    h = host("a", final("x"))
    h.kill()
    assert h.run() is KILLED
    assert h.states("a") == []
    assert h.phases() == [ACTIVE, CLEANING, FINALIZING, KILLED]


def test_kill_without_finalizers_ends_right_after_cleaning() -> None:
    h = host("a", final("x"), a=FOREVER)
    h.at(1, lambda: h.kill(finalize=False))
    assert (h.run(), h.elapsed, h.phases()) == (KILLED, 1.25, [ACTIVE, CLEANING, KILLED])


def test_lose_kills_at_once_and_skips_finalizers() -> None:
    h = host("a", final("x"), a=STUBBORN)
    h.at(1, h.lose)
    assert h.run() is LOST
    assert (h.when(StopRun), h.when(KillRun), h.elapsed, h.states("x")) == ([], [1], 1, [])


def test_95_killing_again_changes_nothing() -> None:
    h = host("a", final("x"), a=STUBBORN)
    for second in (5, 6, 7):
        h.at(second, h.kill)
    assert h.run() is KILLED
    assert (h.when(StopRun), h.when(KillRun), h.elapsed) == ([5], [25], 26)
    assert h.when(EnterState) == [0, 5, 25, 26]


def test_a_kill_during_cleaning_tightens_the_deadlines() -> None:
    h = host("a", "b", a=FAILS, b=STUBBORN)
    h.at(3, lambda: h.kill(grace=2))
    assert h.run() is KILLED
    assert (h.when(StopRun), h.when(KillRun), h.elapsed) == ([1], [5], 5)


def test_a_kill_during_cleaning_never_stretches_them() -> None:
    h = host("a", "b", a=FAILS, b=STUBBORN)
    h.at(3, lambda: h.kill(grace=600))
    assert h.run() is KILLED
    assert h.when(KillRun) == [31]


def test_a_kill_during_finalizing_tightens_the_deadline_and_never_stretches_it() -> None:
    for grace, killed_at in ((2, 5), (600, 31), (0, 3)):
        h = host("a", final("x"), x=STUBBORN)
        h.at(3, lambda h=h, grace=grace: h.kill(grace=grace))  # type: ignore[misc]
        assert h.run() is KILLED
        assert h.when(KillRun) == [killed_at]


def test_force_after_kill() -> None:
    h = host("a", final("x"), a=STUBBORN)
    h.at(5, h.kill)
    h.at(6, lambda: h.kill(grace=0, finalize=False))
    assert h.run() is KILLED
    assert (h.when(StopRun), h.when(KillRun), h.elapsed, h.states("x")) == ([5], [6], 6, [])


def test_force_during_finalizing_kills_the_finalizer() -> None:
    h = host("a", final("x"), x=FOREVER)
    h.at(5, lambda: h.kill(finalize=False))
    assert h.run() is KILLED
    assert (h.when(KillRun, "x"), h.elapsed) == ([5], 5)


def test_finalizers_stay_forbidden_when_a_shorter_grace_follows() -> None:
    h = host("a", final("x"), a=STUBBORN)
    h.at(5, lambda: h.kill(grace=60, finalize=False))
    h.at(6, lambda: h.kill(grace=4))
    assert h.run() is KILLED
    assert h.when(KillRun) == [10]
    assert h.states("x") == []


@pytest.mark.parametrize("second", [6, 26])
def test_lose_after_kill(second: int) -> None:
    """During CLEANING and during FINALIZING."""
    h = host("a", final("x"), a=STUBBORN, x=FOREVER)
    h.at(5, h.kill)
    h.at(second, h.lose)
    assert (h.run(), h.elapsed) == (LOST, second)
    assert h.when(KillRun)[-1] == second


def test_kill_after_lose_changes_nothing() -> None:
    h = host("a", a=UNDEAD)
    h.at(1, h.lose)
    h.at(2, lambda: h.kill(grace=0, finalize=False))
    assert h.run() is LOST
    assert h.elapsed == 1 + KILL_PATIENCE


def test_a_request_decides_while_the_task_is_not_over() -> None:
    h = host("a", final("x"), x=Script(lasts=5))
    h.at(3, h.kill)
    assert (h.run(), h.elapsed, h.states("x")) == (KILLED, 6, [P.SUCCESS])


def test_a_request_after_the_end_is_too_late() -> None:
    h = host("a")
    assert h.run() is SUCCESS
    h.kill()
    h.settle()
    assert h.task.state is SUCCESS
    assert h.life.decide(h.task, Now(h.now, h.now)) == Decision()


# --- a full disk -----------------------------------------------------------------------------------------------------


def test_with_a_full_disk_nothing_starts_and_nothing_spins() -> None:
    h = host("a", "b")
    h.allow_starts(False)
    h.at(50, lambda: h.allow_starts(True))
    assert h.run(40) is ACTIVE
    assert (h.when(StartRun), h.next_wake) == ([], None)
    assert (h.run(), h.when(StartRun), h.elapsed) == (SUCCESS, [50, 50], 51)


def test_with_a_full_disk_what_runs_is_stopped_all_the_same() -> None:
    h = host("a", final("x"), a=FOREVER)
    h.at(1, lambda: h.allow_starts(False))
    h.at(2, h.kill)
    assert h.run() is KILLED
    assert (h.when(StopRun), h.states("x")) == ([2], [])
    assert h.elapsed == 2 + 30, "the finalizers had their time"


def test_with_a_full_disk_a_finalizer_starts_as_soon_as_there_is_room() -> None:
    h = host("a", final("x"))
    h.at(0.5, lambda: h.allow_starts(False))
    h.at(9, lambda: h.allow_starts(True))
    assert (h.run(), h.when(StartRun, "x"), h.elapsed) == (SUCCESS, [9], 10)


# --- lingering daemons -----------------------------------------------------------------------------------------------


def test_daemons_left_behind_do_not_delay_the_next_run() -> None:
    h = host("a", "b", order=(("a", "b"),), a=Script(daemons=100), b=Script(lasts=3))
    h.run(3)
    assert h.when(StartRun, "b") == [1]
    assert h.task.unsettled == {"a": [0]}


def test_daemons_left_behind_are_stopped_and_waited_for() -> None:
    h = host("a", final("x"), a=Script(daemons=float("inf"), daemons_polite=4))
    assert h.run() is SUCCESS
    assert (h.when(StopRun, "a"), h.when(StartRun, "x"), h.elapsed) == ([1], [5], 6)
    assert h.task.unsettled == {}


def test_daemons_of_every_run_are_stopped() -> None:
    h = host(process("a", max_failures=3), a=replace(FAILS, daemons=float("inf")))
    assert h.run() is FAILED
    assert [(a.process, a.run) for _, a in h.done if isinstance(a, StopRun)] == [("a", 0), ("a", 1), ("a", 2)]


def test_stubborn_daemons_are_killed_at_the_deadline() -> None:
    h = host("a", a=Script(daemons=float("inf"), daemons_polite=None))
    assert h.run() is SUCCESS
    assert (h.when(StopRun), h.when(KillRun), h.elapsed) == ([1], [31], 31)


def test_undead_daemons_do_not_keep_the_task() -> None:
    h = host("a", a=Script(daemons=float("inf"), daemons_polite=None, dies=False))
    assert h.run() is SUCCESS
    assert (h.when(GiveUp), h.elapsed) == ([], 31 + KILL_PATIENCE)
    assert h.states("a") == [P.SUCCESS]


def test_daemons_of_a_finalizer_are_killed() -> None:
    h = host("a", final("x"), x=Script(daemons=float("inf"), daemons_polite=None))
    assert (h.run(), h.when(KillRun, "x"), h.elapsed) == (SUCCESS, [2], 2)


def test_daemons_that_left_by_themselves_are_forgotten() -> None:
    h = host("a", "b", order=(("a", "b"),), a=Script(daemons=0.5), b=Script(lasts=3))
    assert (h.run(), h.when(StopRun)) == (SUCCESS, [])


# --- decisions -------------------------------------------------------------------------------------------------------


def test_the_first_decision_is_to_begin() -> None:
    life = Lifecycle(TaskSpec(name="t"))
    assert life.decide(TaskRecord(), Now(1, 1)) == Decision((EnterState(ACTIVE),))


def test_the_deadlines_stand_in_the_cleaning_record_and_are_monotonic() -> None:
    h = host("a", final("x"))
    h.run()
    cleaning = h.task.history[1]
    assert (cleaning.state, cleaning.stop_deadline, cleaning.deadline) == (CLEANING, EPOCH + 21, EPOCH + 31)


def test_a_new_owner_tells_everything_again_and_keeps_the_deadlines() -> None:
    h = host("a", "b", a=STUBBORN, b=STUBBORN)
    h.at(5, h.kill)
    h.at(9, h.restart_owner)
    assert h.run() is KILLED
    assert (h.when(StopRun, "a"), h.when(KillRun, "a")) == ([5, 9], [35])


@pytest.mark.parametrize("size", [100, 500])
def test_stopping_many_costs_one_action_each_and_no_walk_for_each_exit(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted: how many live runs were walked over from the kill to the end."""
    walked = 0

    class Walked(dict[str, int]):
        def items(self):  # type: ignore[no-untyped-def]
            nonlocal walked
            for item in super().items():
                walked += 1
                yield item

    names = [f"p{i}" for i in range(size)]
    h = host(*names)
    h.check = False
    h.scripts = {n: [Script(lasts=None, polite=0.1 + i / 1000)] for i, n in enumerate(names)}
    h.run(1)
    h.task.active = Walked(h.task.active)
    h.rounds = 0
    h.at(2, h.kill)
    assert h.run() is KILLED
    assert len(h.when(StopRun)) == size
    assert walked == size
    assert h.rounds <= size + 10


# --- random tasks against an oracle that knows nothing of time -------------------------------------------------------


@dataclass
class Case:
    spec: TaskSpec
    scripts: dict[str, list[Script]]
    requests: list[tuple[float, TaskState, float | None, bool]] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    full_disk: tuple[float, float] | None = None


@st.composite
def run_scripts(draw: st.DrawFn, daemon: bool, may_stay: bool) -> list[Script]:
    """How the runs of a process go. A daemon fails in the end, else the task had none; who may stay may stay."""
    runs = [
        Script(
            lasts=draw(st.sampled_from([0.0, 0.5, 3.0])),
            code=draw(st.sampled_from([0, 0, 1, None])),
            lost=draw(st.integers(0, 9)) == 0,
            setup_fails=draw(st.integers(0, 9)) == 0,
            polite=draw(st.sampled_from([0.0, 0.5, None])),
            dies=draw(st.integers(0, 9)) > 0,
            daemons=draw(st.sampled_from([None, None, None, 2.0, float("inf")])),
            daemons_polite=draw(st.sampled_from([0.5, None])),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    last = FAILS if daemon else Script(lasts=1.0)
    if may_stay:
        last = draw(st.sampled_from([last, FOREVER, STUBBORN]))
    return [*runs, last]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    processes: list[ProcessSpec] = []
    scripts: dict[str, list[Script]] = {}
    slots = draw(st.sampled_from([0, 0, 1, 2]))
    for i in range(draw(st.integers(0, 6))):
        daemon, ephemeral = draw(st.sampled_from([(False, False)] * 4 + [(True, False), (False, True), (True, True)]))
        processes.append(
            ProcessSpec(
                name=f"p{i}",
                cmdline="x",
                max_failures=draw(st.integers(int(daemon), 3)),
                daemon=daemon,
                ephemeral=ephemeral,
                min_duration=draw(st.sampled_from([0, 1, 5])),
                final=draw(st.integers(0, 3)) == 0,
            )
        )
        scripts[f"p{i}"] = draw(run_scripts(daemon, ephemeral and not slots))
    edges = pairs(processes)
    order = draw(st.lists(st.sampled_from(edges), max_size=6)) if edges else []
    spec = TaskSpec(
        name="t",
        processes=tuple(draw(st.permutations(processes))),
        order=tuple((a.name, b.name) for a, b in order),
        max_failures=draw(st.integers(0, 2)),
        max_concurrency=slots,
        finalization_wait=draw(st.sampled_from([0, 1, 8, 30])),
    )
    moments = st.sampled_from([0.0, 0.25, 1.0, 2.0, 7.5, 20.0])
    requests = draw(
        st.lists(
            st.tuples(
                moments, st.sampled_from([KILLED, KILLED, LOST]), st.sampled_from([None, 0.0, 3.0]), st.booleans()
            ),
            max_size=2,
        )
    )
    full = draw(st.one_of(st.none(), st.tuples(moments, st.sampled_from([25.0, 50.0]))))
    return Case(spec, scripts, requests, draw(st.lists(moments, max_size=2)), full)


def pairs(processes: list[ProcessSpec]) -> list[tuple[ProcessSpec, ProcessSpec]]:
    """The edges that a task may have."""
    return [
        (a, b)
        for i, a in enumerate(processes)
        for b in processes[i + 1 :]
        if a.final is b.final and not a.daemon and (b.ephemeral or not a.ephemeral)
    ]


def ends_well(spec: ProcessSpec, scripts: list[Script]) -> bool:
    """Would this process, left alone, finish?"""
    failures = 0
    for script in [*scripts, *[scripts[-1]] * 10]:
        if script.setup_fails or (not script.lost and script.code not in (0, None)):
            failures += 1
            if spec.max_failures and failures >= spec.max_failures:
                return spec.ephemeral
        elif not script.lost and script.code == 0 and not spec.daemon:
            return True
    raise AssertionError("a script that leads nowhere")


def natural_result(case: Case) -> TaskState:
    """What becomes of the task if nobody asks for its end."""
    needed = {p.name: p for p in case.spec.processes if not p.final and not p.ephemeral}
    before: dict[str, set[str]] = {name: set() for name in needed}
    for a, b in case.spec.order:
        if a in needed and b in needed:
            before[b].add(a)
    finished: set[str] = set()
    failed: set[str] = set()
    while todo := [n for n in needed if n not in finished | failed and before[n] <= finished]:
        for name in todo:
            (finished if ends_well(needed[name], case.scripts[name]) else failed).add(name)
    if case.spec.max_failures and len(failed) >= case.spec.max_failures:
        return FAILED
    return SUCCESS if finished | failed == set(needed) else FAILED


@settings(deadline=None, max_examples=150)
@given(cases())
def test_every_task_ends_as_the_oracle_says(case: Case) -> None:
    h = Host(case.spec, case.scripts)
    for second, want, grace, finalize in case.requests:
        ask = h.lose if want is LOST else lambda h=h, g=grace, f=finalize: h.kill(g, finalize=f)
        h.at(second, ask)
    for second in case.restarts:
        h.at(second, h.restart_owner)
    if case.full_disk:
        h.at(case.full_disk[0], lambda: h.allow_starts(False))
        h.at(case.full_disk[1], lambda: h.allow_starts(True))
    result = h.run()
    assert result is (h.task.request.want if h.task.request is not None else natural_result(case))
    assert h.task.active == {}
    if any(r[1] is LOST for r in case.requests) and h.task.request is not None and h.task.request.want is not LOST:
        assert all(EPOCH + r[0] > h.now for r in case.requests if r[1] is LOST), "only one that came too late is lost"
    (cleaning,) = h.when(CLEANING)
    assert h.elapsed <= cleaning + 30 + KILL_PATIENCE * 2, "the end took longer than it may"
    check_history(h)


def check_history(h: Host) -> None:
    assert h.when(ACTIVE) == [0]
    stopped_at = h.when(StopRun) + h.when(KillRun)
    cleaning = h.when(CLEANING)[0]
    assert all(at >= cleaning for at in stopped_at)
    for moment in h.when(GiveUp):
        assert any(moment >= at + KILL_PATIENCE for at in h.when(KillRun))
    deadlines = [(a.stop_deadline, a.deadline) for _, a in h.done if isinstance(a, EnterState) and a.deadline]
    for (stop, end), (next_stop, next_end) in pairwise(deadlines):
        assert next_stop <= stop, "a deadline was stretched"
        assert next_end <= end, "a deadline was stretched"
