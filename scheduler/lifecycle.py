"""What the scheduler as a whole is doing: one of the original's states, and since when.

    PREPARING_STORAGE ─▶ STORAGE_PREPARED ─▶ LEADER_AWAITING_REGISTRATION ─▶ ACTIVE
            └──────────────────┴──────────────────────┴───────────────────────┴─▶ DEAD

Lost connections change nothing here: whoever was ACTIVE once knows what to do.

Source: spec/scheduler.md §8.3. IDLE is gone: without other schedulers nobody waits to be elected.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from thermos.errors import Bug


class LifecycleState(StrEnum):
    PREPARING_STORAGE = "PREPARING_STORAGE"
    STORAGE_PREPARED = "STORAGE_PREPARED"
    LEADER_AWAITING_REGISTRATION = "LEADER_AWAITING_REGISTRATION"
    ACTIVE = "ACTIVE"
    DEAD = "DEAD"


_S = LifecycleState

#: What may follow; staying is always possible.
NEXT: dict[LifecycleState, frozenset[LifecycleState]] = {
    _S.PREPARING_STORAGE: frozenset({_S.STORAGE_PREPARED, _S.DEAD}),
    _S.STORAGE_PREPARED: frozenset({_S.LEADER_AWAITING_REGISTRATION, _S.DEAD}),
    _S.LEADER_AWAITING_REGISTRATION: frozenset({_S.ACTIVE, _S.DEAD}),
    _S.ACTIVE: frozenset({_S.DEAD}),
    _S.DEAD: frozenset(),
}


class Lifecycle:
    """`now`: monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.state = LifecycleState.PREPARING_STORAGE
        self.since = now()

    def move(self, to: LifecycleState) -> None:
        """Raises Bug for what can't follow."""
        if to is self.state:
            return
        if to not in NEXT[self.state]:
            raise Bug(f"the scheduler can't go from {self.state} to {to}")
        self.state, self.since = to, self._now()

    @property
    def is_active(self) -> bool:
        """It is registered, and was since it began."""
        return self.state is LifecycleState.ACTIVE
