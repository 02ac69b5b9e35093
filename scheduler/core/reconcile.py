"""When the master is asked what it knows: about our tasks, in portions, and about all that it has.

    explicit   the tasks that have an agent, a portion every few seconds: what the master does not know is lost
    implicit   of everything: what runs and should not is killed

Both come after a while and then again and again. After a subscription that is not the first, and after a start with
tasks, the explicit one comes at once, since what was said in between was said to nobody; and soon, when a turn was
taken back: not everything that is said is said again.

Source: spec/scheduler.md §8.4. Time is monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from thermos.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ReconciliationRules:
    """`spread_s`: the implicit one comes so much later, by chance, so that many schedulers do not ask at once."""

    initial_delay_s: float = 60.0
    explicit_interval_s: float = 3600.0
    implicit_interval_s: float = 3600.0
    spread_s: float = 1800.0
    batch: int = 1000
    batch_gap_s: float = 5.0

    def __post_init__(self) -> None:
        if self.batch < 1 or min(self.explicit_interval_s, self.implicit_interval_s) <= 0:
            raise ConfigError("cannot reconcile so: intervals and the size of a batch must be more than nothing")


class Due(StrEnum):
    """What is to be done now: list the tasks that have an agent (and say `ask` of them); send the next portion; send
    the question without tasks."""

    LIST = "list"
    PORTION = "portion"
    IMPLICIT = "implicit"


class Reconciler:
    """Asks nothing as long as there is no subscription."""

    def __init__(self, rules: ReconciliationRules, now: float, chance: Callable[[], float]) -> None:
        self._rules = rules
        self._is_subscribed = False
        self._explicit_at = now + rules.initial_delay_s
        self._implicit_at = now + rules.initial_delay_s + chance() * rules.spread_s
        self._waiting: deque[str] = deque()
        self._portion_at = now

    @property
    def waiting(self) -> int:
        """Tasks that the master is still to be asked about."""
        return len(self._waiting)

    def subscribed(self, now: float, at_once: bool) -> None:
        self._is_subscribed = True
        if at_once:
            self._explicit_at = now

    def doubted(self, now: float) -> None:
        """Something that was said is forgotten: the explicit one comes soon."""
        self._explicit_at = min(self._explicit_at, now + self._rules.batch_gap_s)

    def disconnected(self) -> None:
        """Nobody is asked until there is a connection again."""
        self._is_subscribed = False

    def ask(self, task_ids: Iterable[str], now: float) -> None:
        """About these, behind those that wait already."""
        if not self._waiting:
            self._portion_at = max(self._portion_at, now)
        self._waiting.extend(task_ids)

    def due(self, now: float) -> Due | None:
        """Call it until there is nothing more."""
        if not self._is_subscribed:
            return None
        if self._explicit_at <= now:
            self._explicit_at = now + self._rules.explicit_interval_s
            self._waiting.clear()  # they are in the new list, too
            return Due.LIST
        if self._waiting and self._portion_at <= now:
            return Due.PORTION
        if self._implicit_at <= now:
            self._implicit_at = now + self._rules.implicit_interval_s
            return Due.IMPLICIT
        return None

    def portion(self, now: float) -> list[str]:
        """Takes the next ones."""
        taken = [self._waiting.popleft() for _ in range(min(self._rules.batch, len(self._waiting)))]
        self._portion_at = now + self._rules.batch_gap_s
        return taken

    def next_wake(self) -> float | None:
        if not self._is_subscribed:
            return None
        at = min(self._explicit_at, self._implicit_at)
        return min(at, self._portion_at) if self._waiting else at
