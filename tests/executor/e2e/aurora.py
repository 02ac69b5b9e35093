"""A framework of about a hundred lines that launches instances of Aurora jobs with our executor: what a scheduler does
at the least."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.core.compile import required_ports
from config.loader import load_jobs
from mesos.core.messages import (
    AllocationInfo,
    CommandInfo,
    Environment,
    ExecutorID,
    ExecutorInfo,
    Offer,
    Resource,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
    Variable,
    ranges,
    scalar,
)
from tests.executor.payloads import assigned_json
from tests.mesos.conformance.asking import until
from tests.mesos.conformance.framework import Framework, allocated, launching, number_of
from tests.mesos.conformance.target import ROOT

#: Processes run as whoever runs the tests: roles like `www` are no users here.
FLAGS = ("--nosetuid",)

PROGRAM = ("-m", "executor.main")


def job_of(example: str, **binds: str) -> Any:
    """The one job of an example."""
    (job,) = load_jobs(ROOT / "examples" / example, binds=[f"{name}={value}" for name, value in binds.items()]).jobs
    return job


class Aurora(Framework):
    async def run(
        self,
        job: Any,
        task_id: str,
        *,
        instance: int = 0,
        offer: Offer | None = None,
        flags: Sequence[str] = (),
        data: bytes | None = None,
        variables: Sequence[Variable] = (),
        nosetuid: bool = True,
    ) -> tuple[Offer, dict[str, int]]:
        """Launch an instance on an agent that has no other of ours; its offer and its ports."""
        offer = offer or await self.offer()
        names = required_ports(job)
        ports = dict(zip(names, free_ports(offer, len(names)), strict=True))
        payload = assigned_json(task_id, job, instance=instance, ports=ports, host=offer.hostname)
        flags = [*(FLAGS if nosetuid else ()), *flags]
        task = self.thermos(offer, task_id, payload if data is None else data, ports, flags, variables)
        await self.operate(offer, launching(task), refuse_seconds=3600.0)
        return offer, ports

    def thermos(
        self,
        offer: Offer,
        task_id: str,
        data: bytes,
        ports: dict[str, int],
        flags: Sequence[str] = (),
        variables: Sequence[Variable] = (),
    ) -> TaskInfo:
        role = offer.allocation_info.role if offer.allocation_info else ""
        wanted: list[Resource] = [scalar("cpus", 0.1), scalar("mem", 64), scalar("disk", 64)]
        if ports:
            wanted.append(ranges("ports", *((port, port) for port in sorted(ports.values()))))
        environment = Environment(variables=(Variable(name="PYTHONPATH", value=str(ROOT)), *variables))
        executor = ExecutorInfo(
            type="CUSTOM",
            executor_id=ExecutorID(value=f"thermos-{task_id}"),
            framework_id=self.id,
            name="AuroraExecutor",
            command=CommandInfo(
                value=f"exec {sys.executable} -m executor.main {' '.join(flags)}", environment=environment
            ),
            resources=allocated([scalar("cpus", 0.1), scalar("mem", 32)], role),
        )
        return TaskInfo(
            name=task_id,
            task_id=TaskID(value=task_id),
            agent_id=offer.agent_id,
            data=data,
            resources=tuple(
                Resource(
                    name=r.name,
                    type=r.type,
                    scalar=r.scalar,
                    ranges=r.ranges,
                    allocation_info=AllocationInfo(role=role),
                )
                for r in wanted
            ),
            executor=executor,
        )

    def said_of(self, task_id: str) -> list[TaskStatus]:
        """Every status of a task, each once, in order."""
        said = [e.update.status for e in self.heard.events if e.update is not None]
        mine = {s.uuid or id(s): s for s in said if s.task_id.value == task_id}
        return list(mine.values())

    def states_of(self, task_id: str) -> list[TaskState]:
        return [TaskState(s.state) for s in self.said_of(task_id)]


def free_ports(offer: Offer, count: int) -> list[int]:
    spans = [span for r in offer.resources if r.ranges is not None for span in r.ranges.range]
    ports = [port for span in spans for port in range(span.begin, span.end + 1)]
    assert len(ports) >= count
    return ports[:count]


def run_directory(work_dir: Path, framework: Framework, offer: Offer, task_id: str) -> Path:
    """Where an executor of ours runs; `work_dir` is the agent's."""
    executors = work_dir / "slaves" / offer.agent_id.value / "frameworks" / framework.id.value / "executors"
    (run,) = [d for d in (executors / f"thermos-{task_id}" / "runs").iterdir() if d.name != "latest"]
    return run


def processes_with(text: str) -> list[int]:
    """Pids whose command line or environment has it: what a task left behind, for example."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        if text.encode() in read_of(pid, "cmdline") + read_of(pid, "environ"):
            found.append(pid)
    return found


def read_of(pid: int, name: str) -> bytes:
    """A file of /proc; nothing when the process is no more."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


async def nothing_is_left(text: str, timeout_s: float = 30.0) -> None:
    async def look() -> bool:
        return not processes_with(text)

    await until(look, f"end of everything with {text!r}", timeout_s)


async def answers(port: int) -> bool:
    """Somebody speaks HTTP there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line.startswith(b"HTTP/1.") and b" 200 " in line


__all__ = ["Aurora", "answers", "job_of", "nothing_is_left", "number_of", "processes_with", "read_of", "run_directory"]
