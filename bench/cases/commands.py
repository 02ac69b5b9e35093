"""How long a command takes to say anything: `thermos --help` beside `python -c pass`."""

from __future__ import annotations

import statistics

from bench.cases.base import Case, Figures, Options, expect_success
from bench.contenders.bare import Bare
from bench.contenders.base import Contender
from bench.contenders.ours import Ours
from bench.figures import Figure
from bench.job import Skill
from bench.room import Failed, Room


def help_time(contender: Contender, room: Room, options: Options) -> Figures:
    """The median of several; the first (cold) one does not count."""
    if not isinstance(contender, Bare | Ours):
        raise Failed("it has no such command")
    walls = []
    for _ in range(int(options.pick(11, 3))):
        begun = room.begin(contender.help_command())
        end, code = room.wait_end(begun.pid, 60)
        expect_success(room, code)
        walls.append((end - begun.at) / 1e6)
    return {"wall_ms": statistics.median(walls[1:])}


CASES = [
    Case(
        "help",
        "`thermos --help`, and `python -c pass`",
        frozenset({Skill.HELP}),
        (Figure("wall_ms", "wall ms", 1, has_ratio=True),),
        help_time,
    )
]
