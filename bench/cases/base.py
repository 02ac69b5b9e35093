"""What a case is: which contenders it is for, and how one run of one of them is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.contenders.base import Contender
from bench.figures import Figure
from bench.job import Skill
from bench.payload import Payload
from bench.room import Begun, Failed, Mark, Room

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Options:
    """How large and how long."""

    work: Path
    log_work: Path
    payload: Payload
    quick: bool = False
    keep: bool = False
    prefer_tree: bool = False

    def pick(self, full: float, quick: float) -> float:
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Case:
    """`measure` is called in a fresh room."""

    name: str
    title: str
    skills: frozenset[Skill]  # any of these will do
    figures: tuple[Figure, ...]
    measure: Callable[[Contender, Room, Options], Figures]
    on_tmpfs: bool = False

    def is_for(self, contender: Contender) -> bool:
        return bool(self.skills & contender.skills)


def bring_up(room: Room, contender: Contender, begun: Begun, count: int, patience_s: float = 120) -> list[Mark]:
    """The marks of the first instruction of `count` programs."""
    marks = room.wait_marks("S", count, patience_s)
    if contender.daemonises:
        room.wait_end(begun.pid, patience_s)
    return marks


def expect_success(room: Room, code: int) -> None:
    if code != 0:
        raise Failed(f"exit code {code}; {room.tail()}")
