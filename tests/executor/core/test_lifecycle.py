"""The executor's table: the whole square, the stories of the specification, and what holds for any sequence."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.core.lifecycle import (
    ALIVE,
    DURING_INITIALIZATION,
    STOPPING,
    TABLE,
    Action,
    Decision,
    Do,
    Event,
    Happened,
    Life,
    Phase,
    Say,
    Waits,
    begin,
    step,
    within,
)
from mesos.core.messages import TERMINAL_STATES, TaskState

P, H = Phase, Happened

#: Where each pair leads to; what is missing changes nothing. Written down a second time, independently of the table.
EXPECTED = {
    (P.IDLE, H.LAUNCHED): P.PREPARING, (P.IDLE, H.UNREADABLE): P.FLUSHING, (P.IDLE, H.SHUTDOWN): P.ENDED,
    (P.IDLE, H.TICK): P.ENDED,
    (P.PREPARING, H.SANDBOX_READY): P.STARTING, (P.PREPARING, H.SANDBOX_FAILED): P.FLUSHING,
    (P.PREPARING, H.TICK): P.FLUSHING, (P.PREPARING, H.KILL): P.FLUSHING, (P.PREPARING, H.SHUTDOWN): P.FLUSHING,
    (P.STARTING, H.RUNNER_FAILED): P.FLUSHING, (P.STARTING, H.HEALTHY): P.RUNNING,
    (P.STARTING, H.TASK_OVER): P.FLUSHING, (P.STARTING, H.KILL): P.LEAVING, (P.STARTING, H.SHUTDOWN): P.LEAVING,
    (P.STARTING, H.UNHEALTHY): P.LEAVING,
    (P.RUNNING, H.TASK_OVER): P.FLUSHING, (P.RUNNING, H.KILL): P.LEAVING, (P.RUNNING, H.SHUTDOWN): P.LEAVING,
    (P.RUNNING, H.UNHEALTHY): P.LEAVING,
    (P.LEAVING, H.CHECKS_STOPPED): P.QUITTING, (P.LEAVING, H.TICK): P.QUITTING, (P.LEAVING, H.TASK_OVER): P.FLUSHING,
    (P.QUITTING, H.HANDLED): P.QUITTING, (P.QUITTING, H.UNHANDLED): P.ABORTING, (P.QUITTING, H.TICK): P.ABORTING,
    (P.QUITTING, H.TASK_OVER): P.FLUSHING,
    (P.ABORTING, H.HANDLED): P.ABORTING, (P.ABORTING, H.UNHANDLED): P.TERMINATING, (P.ABORTING, H.TICK): P.TERMINATING,
    (P.ABORTING, H.TASK_OVER): P.FLUSHING,
    (P.TERMINATING, H.TICK): P.KILLING, (P.TERMINATING, H.TASK_OVER): P.FLUSHING,
    (P.KILLING, H.TICK): P.FLUSHING, (P.KILLING, H.TASK_OVER): P.FLUSHING,
    (P.FLUSHING, H.ACKNOWLEDGED): P.ENDED, (P.FLUSHING, H.TICK): P.ENDED, (P.FLUSHING, H.AWAY): P.FLUSHING,
    (P.FLUSHING, H.CHECKS_STOPPED): P.FLUSHING,
    **{(phase, what): phase for phase in STOPPING for what in (H.KILL, H.SHUTDOWN)},
}  # fmt: skip

#: Within a phase only these begin a new wait.
RENEWS = (H.HANDLED, H.AWAY)

WAITS = Waits(http=True)


@pytest.mark.parametrize(("phase", "what"), list(itertools.product(Phase, Happened)))
def test_the_whole_square(phase: Phase, what: Happened) -> None:
    life = Life(phase, 0.0, Say(TaskState.KILLED, "asked"))
    decision = step(life, Event(what, "text"), WAITS, 0.0)
    expected = EXPECTED.get((phase, what))
    if expected is None:
        assert decision.life is life and not decision.actions
        assert (phase, what) not in TABLE
    else:
        assert decision.life.phase is expected


@pytest.mark.parametrize("phase", [p for p in Phase if p not in (*ALIVE, P.ENDED)])
def test_every_wait_has_a_deadline_and_a_way_on(phase: Phase) -> None:
    assert (phase, H.TICK) in TABLE
    leads_here = [(p, w) for (p, w), after in EXPECTED.items() if after is phase and (p is not phase or w in RENEWS)]
    for before, what in leads_here:
        decision = step(Life(before, 0.0, Say(TaskState.KILLED)), Event(what), WAITS, 0.0)
        assert decision.life.deadline is not None and decision.life.deadline > 0


def test_a_deadline_that_has_not_come_changes_nothing() -> None:
    life = begin(100.0, WAITS)
    assert step(life, Event(H.TICK), WAITS, 109.9).life is life
    assert step(life, Event(H.TICK), WAITS, 110.0).life.phase is P.ENDED


def drive(waits: Waits, *events: Event) -> tuple[Life, list[Action]]:
    """Every event at the deadline of what was before it, where it is a tick; a second later otherwise."""
    life, actions, now = begin(0.0, waits), [], 0.0
    for event in events:
        now = max(now, life.deadline or now) if event.what is H.TICK else now + 0.01
        decision = step(life, event, waits, now)
        life = decision.life
        actions += decision.actions
    return life, actions


LAUNCH = Event(H.LAUNCHED)
READY = Event(H.SANDBOX_READY)
TICK = Event(H.TICK)
STOPPED = Event(H.CHECKS_STOPPED)
KILL = Event(H.KILL, "Instructed to kill task.")
UP = [Say(TaskState.STARTING), Do.PREPARE, Do.START]


def test_a_task_that_ends_by_itself() -> None:
    over = Event(H.TASK_OVER, "Task finished.", TaskState.FINISHED)
    life, actions = drive(WAITS, LAUNCH, READY, Event(H.HEALTHY, "ok"), over, STOPPED, Event(H.ACKNOWLEDGED))
    said = Say(TaskState.FINISHED, "Task finished.")
    assert actions == [*UP, Say(TaskState.RUNNING, "ok"), Do.STOP_CHECKS, said, Do.END]
    assert life.phase is P.ENDED


def test_a_fast_task_goes_from_starting_to_its_end() -> None:
    _, actions = drive(WAITS, LAUNCH, READY, Event(H.TASK_OVER, "Task failed.", TaskState.FAILED), TICK)
    assert actions == [*UP, Do.STOP_CHECKS, Say(TaskState.FAILED, "Task failed."), Do.END]


@pytest.mark.parametrize("before", [[], [KILL]], ids=["by itself", "while it leaves"])
def test_the_announcement_of_a_task_that_is_over_is_waited_for(before: list[Event]) -> None:
    """Who went at once would leave a member that sends people to nobody until its session times out."""
    over = Event(H.TASK_OVER, "Task finished.", TaskState.FINISHED)
    life, actions = drive(WAITS, LAUNCH, READY, *before, over, Event(H.ACKNOWLEDGED))
    assert life.phase is P.FLUSHING and Do.END not in actions and isinstance(actions[-1], Say)
    assert step(life, Event(H.ACKNOWLEDGED), WAITS, 1.0).life == life  # asked after each turn
    parted = step(life, STOPPED, WAITS, 1.0).life
    assert step(parted, Event(H.ACKNOWLEDGED), WAITS, 1.0).actions == (Do.END,)
    assert life.deadline is not None and life.deadline <= 0.1 + WAITS.leave_s
    assert step(life, TICK, WAITS, life.deadline).actions == (Do.END,)


def test_an_acknowledgement_is_waited_for_when_the_announcement_has_gone() -> None:
    life, _ = drive(WAITS, LAUNCH, READY, Event(H.TASK_OVER, "x", TaskState.FINISHED), STOPPED)
    assert life.phase is P.FLUSHING and life.deadline is not None and life.deadline > WAITS.flush_s
    assert step(life, Event(H.ACKNOWLEDGED), WAITS, 1.0).actions == (Do.END,)


@pytest.mark.parametrize(
    ("what", "state"),
    [(H.KILL, TaskState.KILLED), (H.SHUTDOWN, TaskState.KILLED), (H.UNHEALTHY, TaskState.FAILED)],
)
@pytest.mark.parametrize("before", [[], [Event(H.HEALTHY, "ok")]], ids=["starting", "running"])
def test_what_wants_its_end_wins_over_healthy_and_over_what_comes_later(
    before: list[Event], what: Happened, state: TaskState
) -> None:
    """§4.3: a terminal word wins at once and sticks; another may come in the same moment or later."""
    later = [Event(H.HEALTHY, "ok"), KILL, Event(H.SHUTDOWN, "down"), Event(H.UNHEALTHY, "sick")]
    over = Event(H.TASK_OVER, "Task finished.", TaskState.FINISHED)
    _, actions = drive(Waits(), LAUNCH, READY, *before, Event(what, "first"), *later, STOPPED, *later, over, *later)
    said = [action for action in actions if isinstance(action, Say)]
    assert said[-1] == Say(state, "first")
    assert [s.state for s in said] == [TaskState.STARTING, *([TaskState.RUNNING] if before else []), state]


def test_running_is_said_once() -> None:
    _, actions = drive(WAITS, LAUNCH, READY, *[Event(H.HEALTHY, "Task is healthy.")] * 3)
    assert actions == [*UP, Say(TaskState.RUNNING, "Task is healthy.")]


@pytest.mark.parametrize("stop_s", [0.5, 3.0, 40.0, 1000.0])
def test_the_stop_timeout_bounds_every_phase_before_the_last(stop_s: float) -> None:
    """--stop-timeout-in-secs; what is shorter by itself stays as it is."""
    waits = Waits(http=True, stop_s=stop_s, finalization_s=100.0, graceful_s=30.0, shutdown_s=20.0)
    life = step(Life(P.RUNNING), KILL, waits, 0.0).life
    lasted: dict[Phase, float] = {}
    now = 0.0
    while life.phase is not P.FLUSHING:
        life = step(life, Event(H.HANDLED), waits, now).life
        assert life.deadline is not None
        lasted[life.phase] = life.deadline - now
        now = life.deadline
        life = step(life, TICK, waits, now).life
    assert lasted == {
        P.LEAVING: min(waits.leave_s, stop_s),
        P.QUITTING: min(30.0, stop_s),
        P.ABORTING: min(20.0, stop_s),
        P.TERMINATING: min(115.0, stop_s),
        P.KILLING: waits.kill_s,
    }


def test_a_kill_goes_all_the_way_down() -> None:
    _, actions = drive(WAITS, LAUNCH, READY, KILL, *[TICK] * 8)
    assert actions == [
        *UP, Do.STOP_CHECKS, Do.POST_GRACEFUL, Do.POST_SHUTDOWN, Do.TERMINATE, Do.KILL, Do.GIVE_UP,
        Say(TaskState.KILLED, "Instructed to kill task."), Do.END,
    ]  # fmt: skip


def test_without_an_http_port_nobody_is_asked() -> None:
    _, actions = drive(Waits(), LAUNCH, READY, KILL, Event(H.CHECKS_STOPPED))
    assert actions == [*UP, Do.STOP_CHECKS, Do.TERMINATE]


def test_an_endpoint_that_is_not_handled_costs_no_wait() -> None:
    _, actions = drive(WAITS, LAUNCH, READY, KILL, Event(H.CHECKS_STOPPED), Event(H.UNHANDLED), Event(H.UNHANDLED))
    assert actions[-3:] == [Do.POST_GRACEFUL, Do.POST_SHUTDOWN, Do.TERMINATE]


def test_an_endpoint_that_is_handled_gets_its_time() -> None:
    life, _ = drive(WAITS, LAUNCH, READY, KILL, Event(H.CHECKS_STOPPED))
    waiting = step(life, Event(H.HANDLED), WAITS, 50.0)
    assert waiting.next_wake == 50.0 + WAITS.graceful_s
    over = step(waiting.life, Event(H.TASK_OVER, "x", TaskState.FINISHED), WAITS, 51.0)
    assert over.actions == (Say(TaskState.KILLED, "Instructed to kill task."),)  # what stopped it counts


def test_a_kill_before_the_sandbox_is_ready_starts_nothing() -> None:
    """Defect 7 of the original: it started the runner all the same."""
    _, actions = drive(WAITS, LAUNCH, KILL, READY, Event(H.HEALTHY), TICK)
    assert actions == [Say(TaskState.STARTING), Do.PREPARE, Say(TaskState.KILLED, DURING_INITIALIZATION), Do.END]


def test_an_unhealthy_task_fails() -> None:
    _, actions = drive(Waits(), LAUNCH, READY, Event(H.UNHEALTHY, "Failed health check! no"), TICK, TICK, TICK)
    assert Say(TaskState.FAILED, "Failed health check! no") in actions


def test_a_last_word_waits_for_an_agent_that_is_away() -> None:
    life, _ = drive(WAITS, LAUNCH, READY, Event(H.TASK_OVER, "x", TaskState.FINISHED))
    for _ in range(100):
        decision = step(life, Event(H.AWAY), WAITS, life.deadline or 0.0)
        assert decision.life.phase is P.FLUSHING and not decision.actions
        life = decision.life
    assert step(life, Event(H.ACKNOWLEDGED), WAITS, life.deadline or 0.0).actions == (Do.END,)


@pytest.mark.parametrize("budget", [0.5, 3.0, 5.0, 60.0, 1000.0])
@pytest.mark.parametrize("http", [False, True])
def test_all_waits_fit_into_a_budget(budget: float, http: bool) -> None:
    waits = within(Waits(http=http), budget)
    life = step(Life(P.RUNNING), KILL, waits, 0.0).life
    while life.phase is not P.FLUSHING:
        life = step(life, Event(H.HANDLED), waits, life.deadline or 0.0).life  # the slowest of all
        now = life.deadline or 0.0
        life = step(life, TICK, waits, now).life
    assert now <= max(budget, 0.125) or budget > 100
    assert (waits == Waits(http=http)) == (budget > 100)
    assert budget > 100 or waits.flush_s <= budget * 0.2


@pytest.mark.parametrize("phase", STOPPING)
@pytest.mark.parametrize("what", [H.KILL, H.SHUTDOWN])
def test_asked_again_with_less_patience_it_hurries(phase: Phase, what: Happened) -> None:
    """An agent that shuts us down in the middle of a kill does not wait as long as we would."""
    life = Life(phase, 100.0, Say(TaskState.KILLED, "first"))
    assert step(life, Event(what, "again"), WAITS, 99.0) == Decision(life), "never stretched"
    hurried = step(life, Event(what, "again"), within(WAITS, 5.0), 50.0)
    assert hurried.life.phase is phase and hurried.life.outcome == life.outcome
    assert hurried.actions == ((Do.TERMINATE,) if phase is P.TERMINATING else ())
    life, now = hurried.life, 50.0
    while life.phase is not P.FLUSHING:
        now = life.deadline or now
        life = step(life, TICK, within(WAITS, 5.0), now).life
    assert now <= 55.0


def test_killing_twice_is_killing_once() -> None:
    once = drive(WAITS, LAUNCH, READY, KILL, *[TICK] * 8)[1]
    twice = drive(WAITS, LAUNCH, READY, KILL, KILL, TICK, Event(H.SHUTDOWN, "x"), *[TICK] * 8)[1]
    assert once == twice


_events = st.builds(
    Event, st.sampled_from(Happened), st.just("text"), st.sampled_from([TaskState.FINISHED, TaskState.FAILED])
)


@given(st.lists(_events, max_size=40), st.booleans())
def test_any_sequence_says_one_last_word(events: list[Event], http: bool) -> None:
    life, actions = drive(Waits(http=http), *events)
    said = [action.state for action in actions if isinstance(action, Say)]
    last = [state for state in said if state in TERMINAL_STATES]
    assert len(last) == (life.phase in (P.FLUSHING, P.ENDED) and life.outcome is not None)
    assert said.count(TaskState.RUNNING) <= 1
    if said and said != last:
        assert said[0] is TaskState.STARTING
    assert actions.count(Do.START) <= 1 and actions.count(Do.END) <= 1
    if Do.START in actions and last and life.phase in STOPPING:
        assert Do.STOP_CHECKS in actions


@given(st.lists(_events, max_size=40))
def test_patience_alone_leads_to_the_end(events: list[Event]) -> None:
    life, _ = drive(Waits(http=True), *events)
    if life.phase in ALIVE:
        life = step(life, KILL, WAITS, 1e6).life
    for _ in range(8):
        life = step(life, TICK, WAITS, life.deadline or 0.0).life
    assert life.phase is P.ENDED
