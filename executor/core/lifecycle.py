"""One task from LAUNCH to its last status: what the executor does next, as one table of (phase, what happened).

    IDLE --launched--> PREPARING --sandbox ready--> STARTING --healthy--> RUNNING
                           |                            |                    |
                           |     kill, shutdown, unhealthy, limit, announcing failed, task over
                           |                            v                    v
                           |                        LEAVING   checks stop, the announcement is taken back
                           |                            v     (a task that is over goes straight on to FLUSHING)
                           |                        QUITTING  POST /quitquitquit: whoever handles it gets its time
                           |                            v
                           |                        ABORTING  POST /abortabortabort, likewise
                           |                            v
                           |                        TERMINATING  the runner kills politely, finalizers run
                           |                            v
                           |                        KILLING   SIGKILL; then the task is given up
                           '--failed, killed-->     FLUSHING  the last status is said and waits to be acknowledged, and
                                                        |     the announcement of a task that is over to be taken back
                                                        v
                                                      ENDED

Every wait has a deadline. The last status is said exactly once; it is the task's own when the task was over before
anybody wanted it to end, otherwise what the trigger says. TASK_STARTING comes first, TASK_RUNNING once at most.

Source: spec/thermos.md §4.2, §4.3, §4.8, without the defects 5, 7 and 14 of §7.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct, structs

from mesos.core.messages import TaskState


class Phase(StrEnum):
    IDLE = "idle"
    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    LEAVING = "leaving"
    QUITTING = "quitting"
    ABORTING = "aborting"
    TERMINATING = "terminating"
    KILLING = "killing"
    FLUSHING = "flushing"
    ENDED = "ended"


class Happened(StrEnum):
    """Kinds of events."""

    LAUNCHED = "launched"
    UNREADABLE = "unreadable"  # what was launched can't be understood; `text` says why
    KILL = "kill"  # KILL of our task; `text` is the message of the last status
    SHUTDOWN = "shutdown"  # the executor shall end, with its task
    SANDBOX_READY = "sandbox ready"
    SANDBOX_FAILED = "sandbox failed"
    RUNNER_FAILED = "runner failed"  # the task could not be begun; `state` and `text` say how it ends
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"  # or a limit exceeded, or the announcement impossible: `text` says what
    TASK_OVER = "task over"  # the runner is done; `state` and `text` are what it says of itself
    CHECKS_STOPPED = "checks stopped"
    HANDLED = "handled"  # the application answered the endpoint of the phase well
    UNHANDLED = "unhandled"  # it did not, or there is nobody
    ACKNOWLEDGED = "acknowledged"  # every status was acknowledged
    AWAY = "away"  # instead of a tick: the deadline has come, and there is no agent that could acknowledge anything
    TICK = "tick"  # the deadline has come


class Event(Struct, frozen=True):
    what: Happened
    text: str = ""
    state: TaskState | None = None


class Waits(Struct, frozen=True):
    """Seconds. `http` says whether the task has a port for the HTTP lifecycle."""

    idle_s: float = 10.0
    sandbox_s: float = 600.0
    stop_s: float = 120.0  # bound of each phase of stopping
    leave_s: float = 10.0  # for the checks to stop and the announcement to be taken back
    finalization_s: float = 30.0
    flush_s: float = 60.0  # an agent that lives acknowledges at once; a lost word is said again after 10
    kill_s: float = 15.0
    http: bool = False
    endpoint_s: float = 2.0  # for the answer of an endpoint
    graceful_s: float = 5.0
    shutdown_s: float = 5.0


# --- actions -----------------------------------------------------------------------------------------------------


class Say(Struct, frozen=True):
    """Send this status."""

    state: TaskState
    message: str = ""


class Do(StrEnum):
    """Actions without arguments."""

    PREPARE = "prepare the sandbox"
    START = "start the runner, then the checks"
    STOP_CHECKS = "stop the checks and take the announcement back"
    POST_GRACEFUL = "post to the graceful shutdown endpoint"
    POST_SHUTDOWN = "post to the shutdown endpoint"
    TERMINATE = "let the runner kill the task politely"
    KILL = "let the runner kill everything now"
    GIVE_UP = "let the runner record the task as lost"
    END = "stop the driver and end the process"


Action = Say | Do


class Life(Struct, frozen=True):
    """The machine's state. `deadline` is mono; `outcome` is what will be said last, once it is known."""

    phase: Phase = Phase.IDLE
    deadline: float | None = None
    outcome: Say | None = None
    parting: float | None = None  # mono: while FLUSHING the checks are waited for, but no longer than until then


class Decision(Struct, frozen=True):
    life: Life
    actions: tuple[Action, ...] = ()

    @property
    def next_wake(self) -> float | None:
        return self.life.deadline


Handler = Callable[[Life, Event, Waits, float], Decision]

DURING_INITIALIZATION = "Task killed during initialization."


def within(waits: Waits, budget_s: float) -> Waits:
    """The same waits, shortened so that all of them together end before `budget_s` seconds are over."""
    asking = (2 * waits.endpoint_s + waits.graceful_s + waits.shutdown_s) if waits.http else 0.0
    total = waits.leave_s + asking + min(waits.finalization_s + waits.kill_s, waits.stop_s) + waits.kill_s
    usable = max(0.1, budget_s * 0.8)
    if total <= usable:
        return waits
    share = usable / total
    return structs.replace(
        waits,
        leave_s=waits.leave_s * share,
        endpoint_s=waits.endpoint_s * share,
        graceful_s=waits.graceful_s * share,
        shutdown_s=waits.shutdown_s * share,
        finalization_s=waits.finalization_s * share,
        kill_s=waits.kill_s * share,
        flush_s=min(waits.flush_s, budget_s * 0.2),
    )


def begin(now: float, waits: Waits) -> Life:
    """An executor that was just started; an idle one ends."""
    return Life(Phase.IDLE, now + waits.idle_s)


def step(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """What to do about `event` at `now` (mono). Events that have no row are of no consequence in that phase."""
    handler = TABLE.get((life.phase, event.what))
    too_early = event.what in (Happened.TICK, Happened.AWAY) and (life.deadline is None or now < life.deadline)
    if handler is None or too_early:
        return Decision(life)
    return handler(life, event, waits, now)


# --- rows --------------------------------------------------------------------------------------------------------


def _prepare(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(Life(Phase.PREPARING, now + waits.sandbox_s), (Say(TaskState.STARTING), Do.PREPARE))


def _start(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(Life(Phase.STARTING), (Do.START,))


def _run(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(structs.replace(life, phase=Phase.RUNNING), (Say(TaskState.RUNNING, event.text),))


def _fail_early(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return _flush(life, Say(event.state or TaskState.FAILED, event.text), waits, now)


def _unreadable(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return _flush(life, Say(TaskState.FAILED, event.text), waits, now)


def _sandbox_late(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return _flush(life, Say(TaskState.FAILED, "Timed out waiting for sandbox to initialize!"), waits, now)


def _kill_early(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return _flush(life, Say(TaskState.KILLED, DURING_INITIALIZATION), waits, now)


def _stop(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """Somebody wants the end of a task that runs."""
    state = TaskState.FAILED if event.what is Happened.UNHEALTHY else TaskState.KILLED
    outcome = Say(state, event.text)
    return Decision(Life(Phase.LEAVING, now + min(waits.leave_s, waits.stop_s), outcome), (Do.STOP_CHECKS,))


def _over(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """The task ended by itself: its own word counts. Taking the announcement back is begun before anybody is told."""
    outcome = Say(event.state or TaskState.LOST, event.text)
    decision = _flush(life, outcome, waits, now)
    return Decision(
        structs.replace(decision.life, parting=now + min(waits.leave_s, waits.stop_s)),
        (Do.STOP_CHECKS, *decision.actions),
    )


def _ended_meanwhile(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """The task is over while it was being stopped: what stopped it counts."""
    assert life.outcome is not None
    return _flush(life, life.outcome, waits, now)


def _ended_while_leaving(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """Likewise; the checks have not said yet that they have stopped."""
    decision = _ended_meanwhile(life, event, waits, now)
    return Decision(structs.replace(decision.life, parting=life.deadline), decision.actions)


def _hurry(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """Asked again, perhaps with less patience: what is under way may be shortened, never stretched."""
    assert life.deadline is not None
    lasts = {
        Phase.LEAVING: min(waits.leave_s, waits.stop_s),
        Phase.QUITTING: min(max(waits.endpoint_s, waits.graceful_s), waits.stop_s),
        Phase.ABORTING: min(max(waits.endpoint_s, waits.shutdown_s), waits.stop_s),
        Phase.TERMINATING: min(waits.finalization_s + waits.kill_s, waits.stop_s),
        Phase.KILLING: waits.kill_s,
    }[life.phase]
    if now + lasts >= life.deadline:
        return Decision(life)
    again = (Do.TERMINATE,) if life.phase is Phase.TERMINATING else ()  # the runner's grace is shorter, too
    return Decision(structs.replace(life, deadline=now + lasts), again)


def _quit(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    if not waits.http:
        return _terminate(life, event, waits, now)
    return Decision(structs.replace(life, phase=Phase.QUITTING, deadline=now + waits.endpoint_s), (Do.POST_GRACEFUL,))


def _wait_for_quit(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(structs.replace(life, deadline=now + min(waits.graceful_s, waits.stop_s)))


def _abort(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(structs.replace(life, phase=Phase.ABORTING, deadline=now + waits.endpoint_s), (Do.POST_SHUTDOWN,))


def _wait_for_abort(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(structs.replace(life, deadline=now + min(waits.shutdown_s, waits.stop_s)))


def _terminate(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    deadline = now + min(waits.finalization_s + waits.kill_s, waits.stop_s)
    return Decision(structs.replace(life, phase=Phase.TERMINATING, deadline=deadline), (Do.TERMINATE,))


def _kill(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(structs.replace(life, phase=Phase.KILLING, deadline=now + waits.kill_s), (Do.KILL,))


def _give_up(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    assert life.outcome is not None
    decision = _flush(life, life.outcome, waits, now)
    return Decision(decision.life, (Do.GIVE_UP, *decision.actions))


def _end(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(Life(Phase.ENDED, None, life.outcome), (Do.END,))


def _acknowledged(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """An announcement that is not taken back would outlive us by its session's timeout."""
    if life.parting is None or now >= life.parting:
        return _end(life, event, waits, now)
    return Decision(structs.replace(life, deadline=life.parting))


def _parted(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    return Decision(structs.replace(life, parting=None))


def _wait_on(life: Life, event: Event, waits: Waits, now: float) -> Decision:
    """The agent is away: nothing may get lost, so there is more patience. (The driver gives up in the end.)"""
    return Decision(structs.replace(life, deadline=now + max(waits.flush_s, 0.1)))


def _flush(life: Life, outcome: Say, waits: Waits, now: float) -> Decision:
    return Decision(Life(Phase.FLUSHING, now + waits.flush_s, outcome), (outcome,))


_P, _H = Phase, Happened

#: Phases in which the task runs and nobody wants its end yet.
ALIVE = (_P.STARTING, _P.RUNNING)

#: Phases in which a running task is being stopped.
STOPPING = (_P.LEAVING, _P.QUITTING, _P.ABORTING, _P.TERMINATING, _P.KILLING)

#: THE table. What is not in it is of no consequence: a late answer, a health check's word while stopping, …
TABLE: Mapping[tuple[Phase, Happened], Handler] = {
    (_P.IDLE, _H.LAUNCHED): _prepare,
    (_P.IDLE, _H.UNREADABLE): _unreadable,
    (_P.IDLE, _H.SHUTDOWN): _end,
    (_P.IDLE, _H.TICK): _end,
    (_P.PREPARING, _H.SANDBOX_READY): _start,
    (_P.PREPARING, _H.SANDBOX_FAILED): _fail_early,
    (_P.PREPARING, _H.TICK): _sandbox_late,
    (_P.PREPARING, _H.KILL): _kill_early,
    (_P.PREPARING, _H.SHUTDOWN): _kill_early,
    (_P.STARTING, _H.RUNNER_FAILED): _fail_early,
    (_P.STARTING, _H.HEALTHY): _run,
    **{(phase, _H.TASK_OVER): _over for phase in ALIVE},
    **{(phase, what): _stop for phase in ALIVE for what in (_H.KILL, _H.SHUTDOWN, _H.UNHEALTHY)},
    **{(phase, _H.TASK_OVER): _ended_meanwhile for phase in STOPPING},
    (_P.LEAVING, _H.TASK_OVER): _ended_while_leaving,
    **{(phase, what): _hurry for phase in STOPPING for what in (_H.KILL, _H.SHUTDOWN)},
    (_P.LEAVING, _H.CHECKS_STOPPED): _quit,
    (_P.LEAVING, _H.TICK): _quit,
    (_P.QUITTING, _H.HANDLED): _wait_for_quit,
    (_P.QUITTING, _H.UNHANDLED): _abort,
    (_P.QUITTING, _H.TICK): _abort,
    (_P.ABORTING, _H.HANDLED): _wait_for_abort,
    (_P.ABORTING, _H.UNHANDLED): _terminate,
    (_P.ABORTING, _H.TICK): _terminate,
    (_P.TERMINATING, _H.TICK): _kill,
    (_P.KILLING, _H.TICK): _give_up,
    (_P.FLUSHING, _H.ACKNOWLEDGED): _acknowledged,
    (_P.FLUSHING, _H.CHECKS_STOPPED): _parted,
    (_P.FLUSHING, _H.TICK): _end,
    (_P.FLUSHING, _H.AWAY): _wait_on,
}
