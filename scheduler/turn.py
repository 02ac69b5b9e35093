"""One turn of the scheduler: what is decided at one moment, in one transaction, and what is to be done outside then.

    turn = Turn(store.trial(), now)
    engine.statuses(turn, batch)          # changes memory, collects effects
    await store.commit(turn.trial)        # durable
    for effect in turn.effects: perform   # only now

Nothing of a turn waits. Whoever decides something in a turn sees what was decided before it in the same turn.
"""

from __future__ import annotations

from scheduler.core.effects import Effect
from scheduler.store.ops import Op
from scheduler.store.trial import Trial
from thermos.clock import Now


class Turn:
    def __init__(self, trial: Trial, now: Now) -> None:
        self.trial = trial
        self.now = now
        self.effects: list[Effect] = []

    @property
    def now_ms(self) -> int:
        """Wall time, as records have it."""
        return int(self.now.wall * 1000)

    def apply(self, op: Op) -> None:
        """In memory at once. Raises Bug for what can't be."""
        self.trial.apply(op)

    def tell(self, effect: Effect) -> None:
        """To be performed after the commit, behind what was told before."""
        self.effects.append(effect)
