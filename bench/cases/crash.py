"""Crashes: kill -9 of the supervisor, with a death while it is away, and of what stands between it and a process."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from bench.cases.base import Case, Figures, Options, bring_up
from bench.contenders.base import Contender
from bench.contenders.ours import Ours
from bench.figures import Figure
from bench.job import Job, Program, Skill
from bench.proc import is_alive
from bench.room import Failed, Mark, Room

_PATIENCE_S = 20.0


def _holding_job(room: Room, count: int) -> Job:
    hold = room.payload.hold
    programs = tuple(Program(f"p{i}", hold(room.marks_path, str(i)), keep=True) for i in range(count))
    return Job(programs, room.directory)


def copies(marks: list[Mark]) -> int:
    """How many processes live of ids that have more than one, beyond the first of each."""
    alive = [mark.ident for mark in marks if is_alive(mark.pid)]
    return len(alive) - len(set(alive))


def supervisor_killed(contender: Contender, room: Room, options: Options) -> Figures:
    """kill -9 of the supervisor, then of one process; the same command is given again at once."""
    count = int(options.pick(20, 3))
    job = _holding_job(room, count)
    begun = room.begin(contender.command(job))
    first = {mark.ident: mark for mark in bring_up(room, contender, begun, count)}
    time.sleep(1.5)
    os.kill(contender.main_pid(room, begun), signal.SIGKILL)
    room.wait_gone([begun.pid], 5)
    survivors = sum(is_alive(mark.pid) for mark in first.values())
    died_at = time.monotonic_ns()
    if is_alive(first["0"].pid):
        os.kill(first["0"].pid, signal.SIGKILL)
    again = room.begin(contender.recover(job))
    owned = wait_owned(contender, job, again.at) if isinstance(contender, Ours) else None
    replaced = _replacement(room, "0", died_at, first["0"].pid)
    time.sleep(options.pick(4, 0.5))
    return {
        "survivors": survivors / count,
        "owned_ms": owned,
        "replaced_ms": (replaced.at - died_at) / 1e6 if replaced else None,
        "duplicates": copies(room.marks()),
        "lost": sum(not is_alive(mark.pid) for ident, mark in first.items() if ident != "0"),
    }


def keeper_restarts(contender: Contender, room: Room, options: Options) -> Figures:
    """kill -9 of a runner in the background: nobody gives a command, its keeper starts another."""
    job = _holding_job(room, int(options.pick(20, 3)))
    command = contender.daemon(job) if isinstance(contender, Ours) else None
    if command is None or not isinstance(contender, Ours):
        raise Failed("`thermos run --daemon` does not exist here")
    begun = room.begin(command)
    first = bring_up(room, contender, begun, len(job.programs))
    runner = owner_pid(contender.checkpoint(job))
    time.sleep(1.0)
    killed_at = time.monotonic_ns()
    os.kill(runner, signal.SIGKILL)
    owned = wait_owned(contender, job, killed_at)
    time.sleep(options.pick(2, 0.5))
    dead = sum(not is_alive(mark.pid) for mark in first)
    return {"owned_ms": owned, "duplicates": copies(room.marks()), "lost": dead}


def helper_killed(contender: Contender, room: Room, options: Options) -> Figures:
    """kill -9 of the process between the supervisor and one that it keeps."""
    job = _holding_job(room, 3)
    begun = room.begin(contender.command(job))
    first = {mark.ident: mark for mark in bring_up(room, contender, begun, 3)}
    time.sleep(1.5)
    helper = contender.helper_pid(first["0"].pid, contender.main_pid(room, begun))
    if helper is None:
        raise Failed("it has no such process")
    killed_at = time.monotonic_ns()
    os.kill(helper, signal.SIGKILL)
    replaced = _replacement(room, "0", killed_at, first["0"].pid)
    time.sleep(options.pick(2, 0.3))
    living = [mark for mark in room.marks() if mark.ident == "0" and is_alive(mark.pid)]
    return {"replaced_ms": (replaced.at - killed_at) / 1e6 if replaced else None, "copies": len(living)}


def _replacement(room: Room, ident: str, after: int, but: int) -> Mark | None:
    """The first start of `ident` after that moment that is not the process `but`; None if it never comes."""
    try:
        return room.wait_marks("S", 1, _PATIENCE_S, where=lambda m: m.ident == ident and m.at > after and m.pid != but)[
            0
        ]
    except Failed:
        return None


def _owner_records(path: Path) -> list[dict[str, float]]:
    """Complete `owner` records of a checkpoint."""
    lines = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
    return [json.loads(line[9:]) for line in lines if b'"kind":"owner"' in line[:40]]


def owner_pid(path: Path) -> int:
    return int(_owner_records(path)[-1]["pid"])


def wait_owned(contender: Ours, job: Job, after_ns: int) -> float:
    """Milliseconds from then to the moment that stands in the next owner's record."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for record in _owner_records(contender.checkpoint(job)):
            if record["mono"] * 1e9 > after_ns:
                return (record["mono"] * 1e9 - after_ns) / 1e6
        time.sleep(0.005)
    raise Failed(f"nobody owned the task again within {_PATIENCE_S:g} s")


_REPLACED = Figure("replaced_ms", "death replaced after ms", 0)
_DUPLICATES = Figure("duplicates", "duplicates", 0)
_OWNED = Figure("owned_ms", "task owned again after ms", 0)
_LOST = Figure("lost", "processes lost", 0)

CASES = [
    Case(
        "crash-supervisor",
        "`kill -9` of the supervisor of 20 and of one process; the same command again",
        frozenset({Skill.CRASH}),
        (Figure("survivors", "survivors of 1", 2), _OWNED, _REPLACED, _DUPLICATES, _LOST),
        supervisor_killed,
    ),
    Case(
        "crash-runner",
        "`kill -9` of a runner in the background; nobody does anything",
        frozenset({Skill.KEEPER}),
        (_OWNED, _DUPLICATES, _LOST),
        keeper_restarts,
    ),
    Case(
        "crash-helper",
        "`kill -9` of the coordinator (s6-supervise, runsv) of one process",
        frozenset({Skill.CRASH}),
        (_REPLACED, Figure("copies", "copies alive", 0)),
        helper_killed,
    ),
]
