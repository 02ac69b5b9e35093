"""The fault switchboard: rules that drop, delay, double or hold back what masters, agents, schedulers, executors say.

Everything that the embedded Mesos carries is shown to `Faults.decide` as a `Parcel`; the first rule that fits acts on
it, and counts that it did. A test that injects a fault asserts `rule.fired`: a fault that never happened proves
nothing.

What an act means depends on the way. Between masters and agents a message is lost, late (what follows overtakes it),
there twice, or there after the next one of the same pair. An event to a scheduler or an executor likewise, within its
stream. A call over HTTP that is dropped has its connection broken without an answer; a doubled one is handled twice and
answered once; one that is held waits for the next call of the same caller. Nothing is held longer than `HOLD_S`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mesos.core.messages import Message

#: Seconds that a parcel waits for another one that shall overtake it.
HOLD_S = 5.0


class Way(StrEnum):
    """From whom to whom."""

    TO_MASTER = "from an agent to the master"
    TO_AGENT = "from the master to an agent"
    TO_SCHEDULER = "from the master to a scheduler"
    FROM_SCHEDULER = "from a scheduler to the master"
    TO_EXECUTOR = "from an agent to an executor"
    FROM_EXECUTOR = "from an executor to an agent"


class Act(StrEnum):
    DROP = "drop"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"


@dataclass(frozen=True, slots=True)
class Parcel:
    """`kind` is the name of a message between master and agent ("StatusUpdate"), else the type of the call or event
    ("ACKNOWLEDGE", "OFFERS"). `agent` is the agent's number; a scheduler's parcels have none."""

    way: Way
    message: Message
    agent: int | None = None
    framework_of_stream: str = ""
    executor_of_stream: str = ""

    @property
    def kind(self) -> str:
        between = self.way in (Way.TO_MASTER, Way.TO_AGENT)
        return type(self.message).__name__ if between else str(getattr(self.message, "type", ""))

    @property
    def framework(self) -> str:
        return self.framework_of_stream or _first(self.message, _FRAMEWORK)

    @property
    def executor(self) -> str:
        return self.executor_of_stream or _first(self.message, _EXECUTOR)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`copies` go on their way after `delay_s`; or, `held`, after the next parcel of the same pair."""

    copies: int = 1
    delay_s: float = 0.0
    held: bool = False


PASS = Verdict()


@dataclass(slots=True, eq=False)
class Rule:
    """What shall happen to which parcels, at most `times` (None: until it is removed), each with this `chance`."""

    way: Way
    act: Act
    kind: str | None = None
    agent: int | None = None
    framework: str | None = None
    executor: str | None = None
    match: Callable[[Any], bool] | None = None
    times: int | None = None
    delay_s: float = 0.0
    chance: float = 1.0
    fired: int = field(default=0, init=False)

    def fits(self, parcel: Parcel) -> bool:
        return (
            (self.times is None or self.fired < self.times)
            and parcel.way is self.way
            and self.agent in (None, parcel.agent)
            and self.kind in (None, parcel.kind)
            and (self.framework is None or self.framework == parcel.framework)
            and (self.executor is None or self.executor == parcel.executor)
            and (self.match is None or self.match(parcel.message))
        )

    def verdict(self) -> Verdict:
        match self.act:
            case Act.DROP:
                return Verdict(copies=0)
            case Act.DELAY:
                return Verdict(delay_s=self.delay_s)
            case Act.DUPLICATE:
                return Verdict(copies=2)
            case Act.REORDER:
                return Verdict(held=True)


class Faults:
    """All rules, in the order in which they were added. `random` gives numbers in [0, 1) for rules of chance."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._rules: list[Rule] = []

    def __bool__(self) -> bool:
        """Is there any rule? Without one nobody makes parcels."""
        return bool(self._rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(self._rules)

    def drop(self, way: Way, **which: Any) -> Rule:
        return self.add(Rule(way, Act.DROP, **which))

    def delay(self, way: Way, seconds: float, **which: Any) -> Rule:
        return self.add(Rule(way, Act.DELAY, delay_s=seconds, **which))

    def duplicate(self, way: Way, **which: Any) -> Rule:
        return self.add(Rule(way, Act.DUPLICATE, **which))

    def reorder(self, way: Way, **which: Any) -> Rule:
        return self.add(Rule(way, Act.REORDER, **which))

    def partition(self, agent: int) -> tuple[Rule, Rule]:
        """Nothing between this agent and any master, until both rules are removed."""
        return self.drop(Way.TO_MASTER, agent=agent), self.drop(Way.TO_AGENT, agent=agent)

    def add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def remove(self, *rules: Rule) -> None:
        """What was held or delayed already goes on. Rules that are not there (any more) are no error."""
        self._rules = [rule for rule in self._rules if rule not in rules]

    def clear(self) -> None:
        self._rules.clear()

    def decide(self, parcel: Parcel) -> Verdict:
        for rule in self._rules:
            if rule.fits(parcel) and (rule.chance >= 1.0 or self._random() < rule.chance):
                rule.fired += 1
                return rule.verdict()
        return PASS


#: Where a message names its framework and its executor: paths of attributes, the first that leads anywhere counts.
_FRAMEWORK = (
    ("framework_id", "value"),
    ("framework", "id", "value"),
    ("subscribe", "framework_info", "id", "value"),
    ("subscribed", "framework_id", "value"),
)
_EXECUTOR = (
    ("executor_id", "value"),
    ("status", "executor_id", "value"),
    ("task", "executor", "executor_id", "value"),
    ("executor", "executor_id", "value"),
    ("update", "status", "executor_id", "value"),
    ("message", "executor_id", "value"),
    ("shutdown", "executor_id", "value"),
    ("failure", "executor_id", "value"),
)


def _first(message: Message, paths: tuple[tuple[str, ...], ...]) -> str:
    for path in paths:
        value: Any = message
        for name in path:
            value = getattr(value, name, None)
            if value is None:
                break
        if isinstance(value, str):
            return value
    return ""
