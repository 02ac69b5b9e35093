"""What a decision may ask for: frozen values, performed by the runner alone, in the order in which they stand.

One decision holds actions of one kind: a state is recorded before anything is decided in it, and nothing starts in a
step that ends something.
"""

from __future__ import annotations

from msgspec import Struct

from thermos.core.states import TaskState


class EnterState(Struct, frozen=True):
    """Record that the task is in `state` now; deadlines are mono seconds, 0 where they don't matter."""

    state: TaskState
    reason: str = ""
    stop_deadline: float = 0
    deadline: float = 0


class GiveUp(Struct, frozen=True):
    """Record a run as LOST that can't be killed."""

    process: str
    run: int
    reason: str


class KillRun(Struct, frozen=True):
    """Everything of this run has to go now."""

    process: str
    run: int


class StopRun(Struct, frozen=True):
    """This run shall leave politely."""

    process: str
    run: int


class StartRun(Struct, frozen=True):
    """The next run of this process begins."""

    process: str


Action = EnterState | GiveUp | KillRun | StopRun | StartRun


class Decision(Struct, frozen=True):
    """What to do now, and when (mono) to ask again if nothing happens; None: only an event can change anything."""

    actions: tuple[Action, ...] = ()
    next_wake: float | None = None
