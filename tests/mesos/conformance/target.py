"""A Mesos to be tested: the real one from the kit, or our embedded one. The same verbs, so that the same tests run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[3]

#: Where the executor of these tests is. It is started by agents, as any executor.
SLEEPER = Path(__file__).with_name("sleeper.py")


#: Of every agent; {i} is its number.
ATTRIBUTES = "host:agent{i};rack:r{i};slots:3"
RESOURCES = "cpus:4;mem:4096;disk:8192;ports:[{first}-{last}]"

#: Every cluster, whatever run and worker it is of, has ports of its own: for its masters and agents PORTS_PER_CLUSTER,
#: and for tasks TASK_PORTS of each agent.
PORTS_PER_CLUSTER = 120
TASK_PORTS = 25
FIRST_PORT = int(os.environ.get("MESOS_TEST_PORT", "15100"))
CLUSTERS = range(FIRST_PORT, FIRST_PORT + 40 * PORTS_PER_CLUSTER, PORTS_PER_CLUSTER)


def task_ports(cluster_port: int, agent: int) -> tuple[int, int]:
    """First and last of an agent's ports; no two clusters share any, whatever run they are of."""
    first = 20000 + (cluster_port - 15000) // PORTS_PER_CLUSTER * 4 * TASK_PORTS + agent * TASK_PORTS
    return first, first + TASK_PORTS - 1


def resources_of(cluster_port: int, agents: int) -> list[str]:
    """The resources of each agent."""
    spans = [task_ports(cluster_port, agent) for agent in range(agents)]
    return [RESOURCES.format(first=first, last=last) for first, last in spans]


@dataclass(frozen=True)
class Wanted:
    """What a test wants of its cluster."""

    agents: int = 2
    masters: int = 1
    credentials: Mapping[str, str] = field(default_factory=dict)
    attributes: str | tuple[str, ...] = ATTRIBUTES


class Target(Protocol):
    """A running Mesos. Numbers are those of agents and masters, from 0."""

    real: bool
    agents: int
    masters: int
    port: int  # the first of the cluster's
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
