"""What the monkey breaks next: a choice by chance among what can be broken now. Pure: chance is a number in [0, 1).

It never takes more than half of the agents away at a time, and what it took away it gives back as often as it breaks
something else, so that a cluster under its hands limps but never stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A verb of `aurora local chaos` and what it is about."""

    verb: str
    agent: int | None = None
    task: str = ""

    @property
    def words(self) -> str:
        target = self.task or ("" if self.agent is None else str(self.agent))
        return f"{self.verb} {target}".strip()


@dataclass(frozen=True, slots=True)
class Situation:
    """`agents`: the state of each; `tasks`: ids of those that executors run."""

    agents: Sequence[str]
    tasks: Sequence[str]
    master_up: bool = True


#: verb -> how often it is taken, of those that are possible.
WEIGHTS: dict[str, int] = {
    "kill-scheduler": 3,
    "kill-observer": 1,
    "restart-master": 1,
    "kill-agent": 2,
    "partition-agent": 2,
    "start-agent": 4,
    "heal": 4,
    "kill-executor": 2,
    "kill-task": 4,
}


def possible(now: Situation) -> dict[str, list[Fault]]:
    """Verb -> every way to do it."""
    up = [number for number, state in enumerate(now.agents) if state == "up"]
    down = [number for number, state in enumerate(now.agents) if state == "down"]
    cut_off = [number for number, state in enumerate(now.agents) if state == "cut off"]
    expendable = up if len(up) > (len(now.agents) + 1) // 2 else []
    faults = {
        "kill-scheduler": [Fault("kill-scheduler")],
        "kill-observer": [Fault("kill-observer")],
        "restart-master": [Fault("restart-master")] if now.master_up else [],
        "kill-agent": [Fault("kill-agent", number) for number in expendable],
        "partition-agent": [Fault("partition-agent", number) for number in expendable],
        "start-agent": [Fault("start-agent", number) for number in down],
        "heal": [Fault("heal", number) for number in cut_off],
        "kill-executor": [Fault("kill-executor", task=task) for task in sorted(now.tasks)],
        "kill-task": [Fault("kill-task", task=task) for task in sorted(now.tasks)],
    }
    return {verb: ways for verb, ways in faults.items() if ways}


def choose(now: Situation, chance: Callable[[], float]) -> Fault:
    """Two numbers are drawn: which verb, and which way."""
    ways = possible(now)
    at = chance() * sum(WEIGHTS[verb] for verb in ways)
    verb = ""
    for verb in ways:
        at -= WEIGHTS[verb]
        if at < 0:
            break
    return ways[verb][int(chance() * len(ways[verb]))]


def repairs(now: Situation) -> list[Fault]:
    """What gives everything back."""
    given = [] if now.master_up else [Fault("start-master")]
    given += [Fault("start-agent", number) for number, state in enumerate(now.agents) if state == "down"]
    return given + [Fault("heal", number) for number, state in enumerate(now.agents) if state == "cut off"]
