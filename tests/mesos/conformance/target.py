"""A Mesos to be tested: the real one from the kit, or our embedded one. The same verbs, so that the same tests run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[3]

#: Where the executor of these tests is. It is started by agents, as any executor.
SLEEPER = Path(__file__).with_name("sleeper.py")


#: Of every agent; {i} is its number, {p0} and {p1} its ports (31000 + 100 i and the 99 after it).
ATTRIBUTES = "host:agent{i};rack:r{i};slots:3"
RESOURCES = "cpus:4;mem:4096;disk:8192;ports:[{p0}-{p1}]"


@dataclass(frozen=True)
class Wanted:
    """What a test wants of its cluster."""

    agents: int = 2
    masters: int = 1
    credentials: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """A running Mesos. Numbers are those of agents and masters, from 0."""

    real: bool
    agents: int
    master_url: str
    leader_text: str  # what a scheduler is told: an address, or zk://

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def kill_agent(self, number: int) -> None: ...
    async def start_agent(self, number: int) -> None: ...
    async def shutdown_agent(self, number: int) -> None: ...
    async def forget_agent(self, number: int) -> None: ...
    async def agent_is_up(self, number: int) -> bool: ...
    async def kill_master(self, number: int = 0) -> None: ...
    async def start_master(self, number: int = 0) -> None: ...
    async def leader(self) -> int | None: ...
    def url_of_master(self, number: int) -> str: ...
    def agent_url(self, number: int) -> str: ...
    def agent_work_dir(self, number: int) -> Path: ...
