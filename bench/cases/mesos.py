"""Mesos' messages beside bare `json.loads` of the same bytes, and a cluster that is only simulated.

Each run is a process of its own (`python -m bench.mesos`), which prints its figures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.cases.base import Case, Figures, Options, expect_success
from bench.contenders.bare import Bare
from bench.contenders.base import Contender
from bench.figures import Figure
from bench.job import Command, Skill
from bench.room import Room

_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_PATIENCE_S = 600
_AGENTS = Figure("agents", "agents", 0)

_OFFERS = (
    _AGENTS,
    Figure("mib", "MiB", 2),
    Figure("decode_ms", "read ms", 2, has_ratio=True),
    Figure("each_us", "µs each", 2),
    Figure("encode_ms", "write ms", 2, has_ratio=True),
)
_SIMULATION = (
    _AGENTS,
    Figure("agent_kib", "KiB per agent", 2),
    Figure("register_us", "µs per registration", 1),
    Figure("offers_ms", "first offers ms", 0),
    Figure("tasks_per_s", "tasks per s", 0),
    Figure("idle_us", "µs per agent and virtual minute", 2),
)


def run_in_child(room: Room, what: str, count: int) -> Figures:
    begun = room.begin(Command((sys.executable, "-m", "bench.mesos", what, str(count)), {"PYTHONPATH": _ROOT}))
    _, code = room.wait_end(begun.pid, _PATIENCE_S)
    expect_success(room, code)
    figures: Figures = json.loads(room.out_path.read_text())
    return figures


def offers_case(count: int) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        what = "bare" if isinstance(contender, Bare) else "offers"
        return run_in_child(room, what, int(options.pick(count, count / 20)))

    title = f"Offers of {count} agents in one event: framed, decoded, dispatched; bare: `json.loads` of the same bytes"
    return Case(f"mesos-offers-{count}", title, frozenset({Skill.MESSAGES}), _OFFERS, measure)


def simulation_case(count: int) -> Case:
    def measure(contender: Contender, room: Room, options: Options) -> Figures:
        return run_in_child(room, "simulate", int(options.pick(count, count / 20)))

    title = f"{count} simulated agents in one process"
    return Case(f"mesos-simulation-{count}", title, frozenset({Skill.SIMULATE}), _SIMULATION, measure)


CASES = [offers_case(n) for n in (100, 1000, 10000)] + [simulation_case(n) for n in (1000, 10000, 30000)]
