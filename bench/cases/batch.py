"""Chains and fan-out: N × `true` under a shell, from the exec of the runner to its end.

Supervisors have no notion of an end; they start N payloads once, and the time is until the last has begun.
"""

from __future__ import annotations

from bench.cases.base import Case, Figures, Options, bring_up, expect_success
from bench.contenders.base import Contender
from bench.figures import Figure
from bench.job import Job, Program, Skill
from bench.room import Room

_WALL = Figure("wall_s", "wall s", 3, has_ratio=True)
_CPU = Figure("cpu_s", "CPU s", 3, has_ratio=True)
_EACH = Figure("each_ms", "ms each", 2)
_PATIENCE_S = 300


def run_batch(contender: Contender, room: Room, count: int, *, chain: bool, limit: int) -> Figures:
    programs = tuple(Program(f"p{i}", ("true",)) for i in range(count))
    begun = room.begin(contender.command(Job(programs, room.directory, chain, limit)))
    end, code = room.wait_end(begun.pid, _PATIENCE_S)
    expect_success(room, code)
    wall = (end - begun.at) / 1e9
    return {"wall_s": wall, "cpu_s": room.accounting.cpu_s(), "each_ms": wall / count * 1000}


def start_once(contender: Contender, room: Room, count: int) -> Figures:
    programs = tuple(Program(f"p{i}", room.payload.mark(room.marks_path, str(i))) for i in range(count))
    begun = room.begin(contender.command(Job(programs, room.directory)))
    marks = bring_up(room, contender, begun, count)
    wall = (max(mark.at for mark in marks) - begun.at) / 1e9
    return {"wall_s": wall, "cpu_s": room.accounting.cpu_s(), "each_ms": wall / count * 1000}


def chain_case(count: int) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        return run_batch(contender, room, int(options.pick(count, count / 20)), chain=True, limit=0)

    return Case(f"chain-{count}", f"Chain of {count} × `true`", frozenset({Skill.BATCH}), (_WALL, _CPU, _EACH), measure)


def fanout_case(count: int, limit: int) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        number = int(options.pick(count, count / 20))
        if Skill.BATCH not in contender.skills:
            return start_once(contender, room, number)
        return run_batch(contender, room, number, chain=False, limit=limit)

    name = f"fanout-{count}" + (f"-of-{limit}" if limit else "")
    title = f"Fan-out of {count} × `true`, " + (f"{limit} at a time" if limit else "all at once")
    skills = frozenset({Skill.BATCH} if limit else {Skill.BATCH, Skill.START})
    return Case(name, title, skills, (_WALL, _CPU, _EACH), measure)


CASES = [chain_case(100), chain_case(1000), fanout_case(1000, 0), fanout_case(1000, 16)]
