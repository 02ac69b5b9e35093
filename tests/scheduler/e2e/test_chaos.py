"""Everything that can be killed is, again and again, and messages are lost or doubled; then there is peace, and every
instance runs once.

Chance is seeded; how it meets with time is not, so each run is another one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

from mesos.local.cluster import LocalCluster
from mesos.local.core.protocol import RunTask
from mesos.local.faults import Way
from scheduler.core.model import JobKey
from tests.executor.e2e.aurora import processes_with
from tests.mesos.conformance.embedded import EmbeddedMesos
from tests.mesos.conformance.target import Target
from tests.scheduler.e2e.scheduled import RUNNING, PartitionPolicy, Scheduled, executors_of, job_of

#: Seconds of trouble.
TROUBLE_S = 12.0

#: So that peace comes within seconds.
QUICK = {
    "reconciliation_initial_delay": 2.0,
    "reconciliation_explicit_interval": 5.0,
    "reconciliation_implicit_interval": 7.0,
    "reconciliation_schedule_spread": 1.0,
    "transient_task_state_timeout": 15.0,
    "initial_task_kill_retry_interval": 2.0,
}


class Monkey:
    """`done` counts what it did."""

    def __init__(self, mesos: Target, cluster: LocalCluster, store: Path, rim: AsyncExitStack) -> None:
        self.done: Counter[str] = Counter()
        self._mesos, self._cluster, self._store, self._rim = mesos, cluster, store, rim
        self._random = Random(7)
        self._down: set[int] = set()
        self.scheduled: Scheduled
        self.keys: list[JobKey] = []

    async def begin(self) -> None:
        await self.start_scheduler()
        policies = (None, PartitionPolicy(reschedule=True, delay_secs=2), PartitionPolicy(reschedule=False))
        for number, policy in enumerate(policies):
            more = {"partition_policy": policy} if policy is not None else {}
            self.keys.append(await self.scheduled.create(job_of(f"job{number}", instances=2, **more)))

    async def start_scheduler(self) -> None:
        self.scheduled = Scheduled(self._mesos, self._store, **QUICK)
        await self._rim.enter_async_context(self.scheduled)

    async def trouble(self) -> None:
        deeds = [
            self.agent_killed, self.agent_started, self.master_killed, self.executor_killed, self.instance_restarted,
            self.scheduler_killed, self.message_lost, self.message_doubled,
        ]  # fmt: skip
        self._random.shuffle(deeds)
        end = time.monotonic() + TROUBLE_S
        while time.monotonic() < end or len(self.done) < len(deeds) or not self.fired():
            for deed in deeds:
                await deed()
                self.done[deed.__name__] += 1
                await asyncio.sleep(self._random.uniform(0, 0.4))

    def fired(self) -> int:
        """How many messages were lost or doubled."""
        return sum(rule.fired for rule in self._cluster.faults.rules)

    async def peace(self) -> None:
        self._cluster.faults.clear()
        while self._down:
            await self._cluster.start_agent(self._down.pop())

    # -- deeds

    async def agent_killed(self) -> None:
        number = self._random.randrange(self._mesos.agents)
        if number not in self._down:
            await self._cluster.kill_agent(number)
            self._down.add(number)

    async def agent_started(self) -> None:
        if self._down:
            await self._cluster.start_agent(self._down.pop())

    async def master_killed(self) -> None:
        await self._cluster.kill_master()
        await self._cluster.start_master()

    async def executor_killed(self) -> None:
        tasks = [task for key in self.keys for task in self.scheduled.active(key)]
        pids = [pid for task in tasks for pid in executors_of(task.id)]
        if pids:
            os.kill(self._random.choice(pids), signal.SIGKILL)

    async def instance_restarted(self) -> None:
        key = self._random.choice(self.keys)
        await self.scheduled.restart(key, [self.scheduled.active(key)[0].assigned_task.instance_id])

    async def scheduler_killed(self) -> None:
        """Between two turns, wherever these are; what waits to be told to the master is not."""
        await self.scheduled.cancel()
        await self.start_scheduler()

    async def message_lost(self) -> None:
        """But no launch on its way to an agent: with real Mesos that can't be without the agent's being away, too; the
        master would go on to say that it starts."""
        self._cluster.faults.drop(
            self._way(), chance=0.5, times=3, match=lambda message: not isinstance(message, RunTask)
        )

    async def message_doubled(self) -> None:
        self._cluster.faults.duplicate(self._way(), chance=0.5, times=3)

    def _way(self) -> Way:
        return self._random.choice((Way.TO_MASTER, Way.TO_AGENT, Way.FROM_SCHEDULER))


async def test_trouble_and_peace(embedded_of_four: EmbeddedMesos, tmp_path: Path) -> None:
    mesos, cluster = embedded_of_four, embedded_of_four.cluster
    async with AsyncExitStack() as rim:
        monkey = Monkey(mesos, cluster, tmp_path / "store", rim)
        await monkey.begin()
        await monkey.trouble()
        await monkey.peace()
        scheduled = monkey.scheduled

        def is_well() -> bool:
            for key in monkey.keys:
                tasks = scheduled.active(key)
                if len(tasks) != 2 or not all(task.status is RUNNING for task in tasks):
                    return False
                if not all(len(executors_of(task.id)) == 1 for task in tasks):
                    return False
            return len(executors_on(mesos)) == 6

        await scheduled.until(is_well, "every instance once", 90.0)
        assert scheduled.scheduler.loop.stats.bugs == 0
        await scheduled.forget()


def executors_on(mesos: Target) -> set[str]:
    """Of all agents of the cluster, whoever launched them."""
    found = set()
    for number in range(mesos.agents):
        for pid in processes_with(f"MESOS_DIRECTORY={mesos.agent_work_dir(number)}/"):
            try:
                words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            found |= {word.decode() for word in words if word.startswith(b"MESOS_EXECUTOR_ID=")}
    return found
