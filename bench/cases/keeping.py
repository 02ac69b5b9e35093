"""Keeping processes running: bringing many up, holding them, replacing one that was killed, restarting, stopping."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time

from bench.cases.base import Case, Figures, Options, bring_up
from bench.contenders.base import Contender
from bench.figures import Figure
from bench.job import Job, Program, Skill
from bench.proc import is_alive, memory_of
from bench.room import Failed, Room

_SETTLE_S = 4.0
_random = random.Random(7)


def supervise(contender: Contender, room: Room, options: Options, count: int) -> Figures:
    """`count` sleepers: all up, memory of everything but them, CPU while nothing happens."""
    sleep = room.payload.sleep
    programs = tuple(Program(f"p{i}", sleep(room.marks_path, str(i)), keep=True) for i in range(count))
    begun = room.begin(contender.command(Job(programs, room.directory)))
    marks = bring_up(room, contender, begun, count)
    up_cpu = room.accounting.cpu_s()
    time.sleep(options.pick(_SETTLE_S, 0.5))
    payloads = {mark.pid for mark in marks}
    memory = memory_of(room.supervisors(payloads))
    before, began = room.accounting.cpu_s(), time.monotonic()
    time.sleep(options.pick(10, 0.5))
    idle = (room.accounting.cpu_s() - before) / (time.monotonic() - began)
    alive = sum(map(is_alive, payloads))
    if alive != count:
        raise Failed(f"{alive} of {count} are alive; {room.tail()}")
    return {
        "count": count,
        "up_s": (max(mark.at for mark in marks) - begun.at) / 1e9,
        "first_s": (min(mark.at for mark in marks) - begun.at) / 1e9,
        "up_cpu_s": up_cpu,
        "pss_mib": memory.pss / 1024,
        "uss_mib": memory.uss / 1024,
        "processes": memory.processes,
        "idle_percent": idle * 100,
    }


def kill_one(contender: Contender, room: Room, options: Options) -> Figures:
    """SIGKILL at a random moment, until the replacement's first instruction."""
    program = Program("p0", room.payload.hold(room.marks_path, "0"), keep=True)
    begun = room.begin(contender.command(Job((program,), room.directory)))
    pid = bring_up(room, contender, begun, 1)[-1].pid
    latencies = []
    for _ in range(int(options.pick(8, 2))):
        time.sleep(1.2 + _random.random() * 0.6)  # peers wait when a process lived for less than a second
        killed_at = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        mark = room.wait_marks("S", 1, 30, where=lambda mark, after=killed_at: mark.at > after)[0]  # type: ignore[misc]
        latencies.append((mark.at - killed_at) / 1e6)
        pid = mark.pid
    return {"latency_ms": statistics.median(latencies), "worst_ms": max(latencies)}


def restart_rate(contender: Contender, room: Room, options: Options) -> Figures:
    """A program that exits 0 at once."""
    program = Program("p0", room.payload.mark(room.marks_path, "0"), keep=True)
    begun = room.begin(contender.command(Job((program,), room.directory)))
    bring_up(room, contender, begun, 1)
    cpu, count = room.accounting.cpu_s(), len(room.marks())
    time.sleep(options.pick(6, 1.5))
    marks = room.marks()
    span = (marks[-1].at - marks[0].at) / 1e9
    burnt = room.accounting.cpu_s() - cpu
    started = max(len(marks) - count, 1)
    return {"per_s": (len(marks) - 1) / span if span else 0.0, "cpu_ms": burnt / started * 1000}


def stop(contender: Contender, room: Room, options: Options, count: int) -> Figures:
    """Processes that end on SIGTERM; from the request until all are gone, and until the supervisor is."""
    hold = room.payload.hold
    programs = tuple(Program(f"p{i}", hold(room.marks_path, str(i)), keep=True) for i in range(count))
    job = Job(programs, room.directory)
    begun = room.begin(contender.command(job))
    pids = [mark.pid for mark in bring_up(room, contender, begun, count)]
    time.sleep(options.pick(2, 0.5))
    main, cpu, asked = contender.main_pid(room, begun), room.accounting.cpu_s(), time.monotonic_ns()
    contender.begin_stop(room, job, begun)
    gone = room.wait_gone(pids, 60)
    main_gone = room.wait_gone([main], 60)
    return {
        "gone_ms": (gone - asked) / 1e6,
        "all_ms": (max(gone, main_gone) - asked) / 1e6,
        "cpu_s": max(0.0, room.accounting.cpu_s() - cpu),
        "polite": len({mark.ident for mark in room.marks("T")}),
    }


def supervise_case(count: int) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        return supervise(contender, room, options, max(1, int(options.pick(count, count / 20))))

    figures = (
        Figure("up_s", "all up s", 2, has_ratio=True),
        Figure("up_cpu_s", "CPU s until up", 2, has_ratio=True),
        Figure("pss_mib", "PSS MiB", 1),
        Figure("uss_mib", "USS MiB", 1),
        Figure("processes", "processes beside the sleepers", 0),
        Figure("idle_percent", "idle CPU %", 2),
    )
    return Case(f"supervise-{count}", f"{count} sleepers kept running", frozenset({Skill.KEEP}), figures, measure)


def stop_case(count: int) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        return stop(contender, room, options, int(options.pick(count, count / 20)))

    figures = (
        Figure("gone_ms", "all processes gone ms", 1, has_ratio=True),
        Figure("all_ms", "supervisor gone too ms", 1),
        Figure("cpu_s", "CPU s", 3),
        Figure("polite", "got SIGTERM", 0),
    )
    return Case(f"stop-{count}", f"Stop of {count} that end on SIGTERM", frozenset({Skill.STOP}), figures, measure)


CASES = [
    *(supervise_case(count) for count in (1, 100, 500)),
    Case(
        "kill-one",
        "`kill -9` of a process, until its replacement's first instruction",
        frozenset({Skill.KEEP}),
        (Figure("latency_ms", "median ms", 2, has_ratio=True), Figure("worst_ms", "worst ms", 1)),
        kill_one,
    ),
    Case(
        "restarts",
        "A process that exits 0 at once",
        frozenset({Skill.KEEP}),
        (Figure("per_s", "restarts/s", 1, has_ratio=True), Figure("cpu_ms", "CPU ms each", 2, has_ratio=True)),
        restart_rate,
    ),
    stop_case(100),
]
