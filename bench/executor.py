"""What our executor costs on a Mesos of this machine: `python -m bench.executor WHAT KIND COUNT [BUNDLE]`, figures as
JSON.

`start`, `start-real`: from ACCEPT to TASK_RUNNING of COUNT tasks, one after the other, on the embedded Mesos or on a
real one; KIND is `kit` (the 60-line executor that real Mesos was tried with, of the folder that $MESOS_KIT names),
`bundle` (ours as agents fetch it, unpacked before), `fresh` (unpacked for each task) or `source`.
`memory`, `announced`: COUNT tasks of one process each, without and with an announcer (and a ZooKeeper of its own).
`processes`: one task of COUNT processes.

The frameworks and the Mesos are those of the tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import structs

from bench.proc import Memory, descendants, memory_of, program_of
from config.schema import Announcer, Job, Process, Resources, Task
from mesos.core import scheduler_api as api
from mesos.core.messages import CommandInfo, Offer, TaskInfo, TaskState
from mesos.local.cluster import LocalCluster
from tests.executor.e2e.aurora import Aurora
from tests.executor.payloads import assigned_json
from tests.mesos.conformance.framework import launching
from tests.mesos.conformance.real import RealMesos, build_kit, kit_folder
from tests.mesos.conformance.target import Wanted
from tests.mesos.zookeeper import ZooKeeperServer, is_installed

#: Runs beside each other are on different ports.
PORT = 14200 + os.getpid() % 80 * 10
#: A python3 on PATH may be a script that looks for another one.
PYTHON = f"THERMOS_PYTHON={shlex.quote(os.path.realpath(sys.executable))}"
ROOMY = "cpus:64;mem:131072;disk:131072;ports:[{p0}-{p1}]"
PATIENCE_S = 60.0
#: Seconds until what only starting needs has been given back.
SETTLE_S = 3.0

Figures = dict[str, float]


def expect(is_so: object, otherwise: str) -> None:
    if not is_so:
        raise SystemExit(f"bench.executor: {otherwise}")


@dataclass(frozen=True)
class Launched:
    """How an executor of some kind is started."""

    kind: str
    bundle: Path | None
    scratch: Path

    def command(self, flags: str = "") -> str:
        match self.kind:
            case "kit":
                kit = kit_folder()
                expect(kit is not None, "there is no kit: set MESOS_KIT to its folder")
                return f"exec {sys.executable} {kit}/verify/executor.py"
            case "bundle":
                return f"{PYTHON} exec {self._bundle()} --bundle-cache {self.scratch / 'cache'} --nosetuid {flags}"
            case "fresh":
                return f"{PYTHON} exec {self._bundle()} --nosetuid {flags}"
            case _:
                return f"exec {sys.executable} -m executor.main --nosetuid {flags}"

    def _bundle(self) -> str:
        expect(self.bundle is not None and self.bundle.is_file(), "no bundle was named: `make executor` makes one")
        return shlex.quote(str(self.bundle))

    def warm(self) -> None:
        if self.kind == "bundle":
            words = [str(self.bundle), "--bundle-unpack", "--bundle-cache", str(self.scratch / "cache")]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def job_of(processes: int = 1, announced: bool = False) -> Job:
    """It has no health check: it runs as soon as it was started."""
    port = " # {{thermos.ports[http]}}" if announced else ""
    return Job(
        cluster="rz1",
        role="www",
        environment="bench",
        name="sleepers",
        task=Task(
            name="sleepers",
            processes=[Process(name=f"p{i}", cmdline=f"exec sleep 1000{port}") for i in range(processes)],
            resources=Resources(cpu=0.01, ram=16 * 2**20, disk=16 * 2**20),
        ),
        **({"announce": Announcer(primary_port="http")} if announced else {}),
    )


class Embedded:
    """As much of `Target` as a framework needs."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.leader_text = cluster.master_url


@asynccontextmanager
async def a_mesos(scratch: Path, real: bool) -> AsyncIterator[Any]:
    if real:
        kit = kit_folder()
        expect(kit is not None, "there is no kit: set MESOS_KIT to its folder")
        assert kit is not None
        build_kit(kit)
        target = RealMesos(kit, scratch / "mesos", PORT, Wanted(agents=1))
        try:
            await target.start()
            yield target
        finally:
            await target.stop()
    else:
        async with LocalCluster(scratch / "mesos", PORT, agents=1, resources=ROOMY) as cluster:
            yield Embedded(cluster)


def has_room(offer: Offer) -> bool:
    """What the last task has given back may be offered apart from the rest."""
    return any(r.name == "cpus" and r.scalar is not None and r.scalar.value >= 1 for r in offer.resources)


class Launcher:
    """A framework that launches tasks of one kind of executor."""

    def __init__(self, framework: Aurora, launched: Launched) -> None:
        self.framework, self.launched = framework, launched

    def task(self, offer: Offer, task_id: str, job: Job, flags: str, ports: dict[str, int]) -> TaskInfo:
        data = assigned_json(task_id, job, ports=ports, host=offer.hostname)
        made = self.framework.thermos(offer, task_id, b"" if self.launched.kind == "kit" else data, ports)
        assert made.executor is not None and made.executor.command is not None
        command: CommandInfo = structs.replace(made.executor.command, value=self.launched.command(flags))
        return structs.replace(made, executor=structs.replace(made.executor, command=command))

    async def launch(self, task_id: str, job: Job, flags: str = "", ports: dict[str, int] | None = None) -> float:
        """Seconds from ACCEPT to TASK_RUNNING."""
        offer = await self.framework.offer(has_room)
        task = self.task(offer, task_id, job, flags, ports or {})
        begun = time.perf_counter()
        await self.framework.operate(offer, launching(task))
        await self.framework.status(task_id, TaskState.RUNNING, timeout_s=PATIENCE_S)
        return time.perf_counter() - begun

    async def kill(self, task_id: str) -> None:
        (status,) = [s for s in self.framework.said_of(task_id) if s.state == TaskState.RUNNING]
        await self.framework.call(api.kill(status.task_id, status.agent_id))
        await self.framework.status(task_id, TaskState.KILLED, timeout_s=PATIENCE_S)


async def measure_start(launched: Launched, count: int, real: bool = False) -> Figures:
    """The first one warms caches and does not count."""
    launched.warm()
    took = []
    async with a_mesos(launched.scratch, real) as target, Aurora(target) as framework:
        launcher = Launcher(framework, launched)
        for number in range(count + 1):
            took.append(await launcher.launch(f"t{number}", job_of()))
            await launcher.kill(f"t{number}")
    counted = sorted(took[1:])
    return {
        "running_ms": statistics.median(counted) * 1000,
        "best_ms": counted[0] * 1000,
        "worst_ms": counted[-1] * 1000,
        "count": count,
    }


async def measure_memory(launched: Launched, count: int, processes: int = 1, announced: bool = False) -> Figures:
    """Everything below us but the processes under test, which sleep."""
    launched.warm()
    flags, zookeeper = "", None
    if announced:
        expect(is_installed(), "there is no ZooKeeper here")
        zookeeper = ZooKeeperServer(launched.scratch / "zookeeper")
        zookeeper.start()
        flags = f"--announcer-ensemble {zookeeper.address}"
    try:
        async with a_mesos(launched.scratch, real=False) as target, Aurora(target) as framework:
            launcher = Launcher(framework, launched)
            job = job_of(processes, announced)
            for number in range(count):
                await launcher.launch(f"t{number}", job, flags, {"http": 31000 + number} if announced else {})
            await wait_until(lambda: sleepers() == count * processes, "not all processes came up")
            if announced:
                await wait_until(lambda: joined(launched.scratch) == count, "not all tasks were announced")
            await asyncio.sleep(SETTLE_S)
            return figures_of(count)
    finally:
        if zookeeper is not None:
            zookeeper.stop()


def sleepers() -> int:
    return sum(program_of(stat.pid) == "sleep" for stat in descendants(os.getpid()))


def joined(scratch: Path) -> int:
    files = (scratch / "mesos").glob("agent0/work/slaves/*/frameworks/*/executors/*/runs/*/executor.json")
    states = [json.loads(file.read_text()) for file in files if "latest" not in file.parts]
    return sum(state["announcer"] is not None and state["announcer"]["state"] == "joined" for state in states)


async def wait_until(look: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        expect(time.monotonic() < deadline, otherwise)
        await asyncio.sleep(0.1)


def figures_of(count: int) -> Figures:
    ours = [s.pid for s in descendants(os.getpid()) if s.is_alive and program_of(s.pid) not in ("sleep", "java")]
    executors = [pid for pid in ours if program_of(pid).startswith("python")]
    coordinators = [pid for pid in ours if pid not in executors]
    expect(len(executors) == count, f"{len(executors)} executors are alive, not {count}")
    whole, minds = memory_of(ours), memory_of(executors)
    rest: Memory = memory_of(coordinators)
    return {
        "count": count,
        "pss_mib": whole.pss / count / 1024,
        "uss_mib": whole.uss / count / 1024,
        "executor_mib": minds.pss / count / 1024,
        "coordinators": len(coordinators),
        "coordinators_kib": rest.pss,
        "total_kib": whole.pss,
    }


async def measure_processes(launched: Launched, count: int) -> Figures:
    """One task with a process, and one with `count`: what each further one costs."""
    one = await measure_memory(launched, 1)
    many = await measure_memory(launched, 1, processes=count)
    return {
        "count": count,
        "each_kib": (many["total_kib"] - one["total_kib"]) / (count - 1),
        "pss_mib": many["pss_mib"],
    }


Measure = Callable[[Launched, int], Awaitable[Figures]]
MEASURES: dict[str, Measure] = {
    "start": measure_start,
    "start-real": lambda launched, count: measure_start(launched, count, real=True),
    "memory": measure_memory,
    "announced": lambda launched, count: measure_memory(launched, count, announced=True),
    "processes": measure_processes,
}
KINDS = ("kit", "bundle", "fresh", "source")


def main(argv: list[str]) -> int:
    if len(argv) not in (3, 4) or argv[0] not in MEASURES or argv[1] not in KINDS or not argv[2].isdigit():
        print(f"usage: python -m bench.executor {'|'.join(MEASURES)} {'|'.join(KINDS)} COUNT [BUNDLE]", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-executor-") as scratch:
        launched = Launched(argv[1], Path(argv[3]).absolute() if len(argv) == 4 else None, Path(scratch))
        figures = asyncio.run(MEASURES[argv[0]](launched, int(argv[2])))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
