"""What an executor has to withstand: kill -9 of itself and of its agent, lost words, orders too early, bad orders."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from config.builders import SequentialTask
from config.schema import Announcer, Process, Resources
from mesos.core import scheduler_api as api
from mesos.core.messages import TERMINAL_STATES, DurationInfo, KillPolicy, Reason, TaskID, TaskState
from mesos.local.faults import Act, Rule, Way
from tests.executor.e2e.aurora import (
    FLAGS,
    Aurora,
    job_of,
    nothing_is_left,
    number_of,
    processes_with,
    read_of,
    run_directory,
)
from tests.mesos.conformance.asking import until
from tests.mesos.conformance.embedded import EmbeddedMesos
from tests.mesos.conformance.framework import launching
from tests.mesos.conformance.target import Target
from tests.mesos.ports import held_port

SMALL = Resources(cpu=0.1, ram=16 * 2**20, disk=16 * 2**20)


def job_with(*processes: Process, **more: Any) -> Any:
    """A job of these processes, one after the other."""
    return job_of("webserver.aurora")(task=SequentialTask(name="t", processes=list(processes), resources=SMALL, **more))


SLEEPER = Process(name="main", cmdline="sleep 1000")


async def executor_pid(run: Path) -> int:
    async def look() -> int:
        pids = [pid for pid in processes_with(str(run)) if b"executor.main" in read_of(pid, "cmdline")]
        return pids[0] if pids else 0

    return int(await until(look, "executor"))


async def test_a_killed_executor_leaves_nothing_behind(mesos: Target) -> None:
    stubborn = Process(
        name="main", cmdline="trap '' TERM; sleep 1000 & (setsid sleep 1001 &) ; while :; do sleep 1; done"
    )
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(stubborn, finalization_wait=1), "t")
        await framework.status("t", TaskState.RUNNING)
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
        os.kill(await executor_pid(run), signal.SIGKILL)
        failed = await framework.status("t", TaskState.FAILED)
        assert failed.reason == Reason.EXECUTOR_TERMINATED
        await nothing_is_left(str(run))


async def test_an_agent_that_dies_and_returns_changes_nothing(mesos: Target) -> None:
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(SLEEPER), "t")
        await framework.status("t", TaskState.RUNNING)
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")

        async def it_sleeps() -> bool:  # RUNNING is said as soon as the runner has begun
            return b"sleep\n" in [read_of(pid, "comm") for pid in processes_with(str(run))]

        await until(it_sleeps, "process of the task")
        before = sorted(processes_with(str(run)))
        await mesos.kill_agent(number_of(offer))
        await mesos.start_agent(number_of(offer))

        async def is_back() -> bool:
            await framework.call(api.reconcile([(TaskID(value="t"), offer.agent_id)]))
            return any(s.reason == Reason.RECONCILIATION for s in framework.heard.statuses)

        await until(is_back, "reconciled task")
        assert sorted(processes_with(str(run))) == before
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id))
        await framework.status("t", TaskState.KILLED)
        assert [s for s in framework.states_of("t") if s in TERMINAL_STATES] == [TaskState.KILLED]
        await nothing_is_left(str(run))


async def test_an_end_while_the_agent_is_away_is_not_lost(mesos: Target) -> None:
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(
            job_with(Process(name="main", cmdline="until [ -e go ]; do sleep 0.1; done")), "t"
        )
        await framework.status("t", TaskState.RUNNING)
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
        await mesos.kill_agent(number_of(offer))
        (run / "sandbox" / "go").touch()

        async def is_over() -> bool:
            return (run / "checkpoints" / "tasks" / "finished" / "t").exists()

        await until(is_over, "end of the task")
        await mesos.start_agent(number_of(offer))
        await framework.status("t", TaskState.FINISHED)
        assert [s for s in framework.states_of("t") if s in TERMINAL_STATES] == [TaskState.FINISHED]


async def test_a_kill_before_anything_runs(mesos: Target) -> None:
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(SLEEPER), "t")
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id))
        await framework.status("t", TaskState.KILLED)
        assert [s for s in framework.states_of("t") if s in TERMINAL_STATES] == [TaskState.KILLED]


async def test_a_kill_policy_is_a_deadline(mesos: Target) -> None:
    stubborn = Process(name="main", cmdline="trap '' TERM; while :; do sleep 0.1; done")
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(stubborn, finalization_wait=60), "t")
        await framework.status("t", TaskState.RUNNING)
        policy = KillPolicy(grace_period=DurationInfo(nanoseconds=1_000_000_000))
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id, policy))
        await framework.status("t", TaskState.KILLED, timeout_s=20)


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "Could not deserialize task."), (b"\x0c\0\1thrift", "Could not deserialize task.")],
    ids=["nothing", "thrift"],
)
async def test_payloads_that_nobody_can_read(mesos: Target, data: bytes, words: str) -> None:
    async with Aurora(mesos) as framework:
        await framework.run(job_with(SLEEPER), "t", data=data)
        failed = await framework.status("t", TaskState.FAILED)
        assert failed.message.startswith(words) and "\n" not in failed.message
        assert framework.states_of("t") == [TaskState.FAILED]


async def test_a_user_that_is_not_here(mesos: Target) -> None:
    async with Aurora(mesos) as framework:
        await framework.run(job_with(SLEEPER), "t", flags=["--execute-as-user", "nobody-of-that-name"], nosetuid=False)
        failed = await framework.status("t", TaskState.FAILED)
        assert failed.message == (
            "Failed to initialize sandbox: Could not create sandbox because user does not exist: nobody-of-that-name"
        )


async def test_no_zookeeper_to_announce_in(mesos: Target) -> None:
    hasty = job_with(Process(name="main", cmdline="sleep 1000; : {{thermos.ports[http]}}"))
    hasty = hasty(announce=Announcer(), health_check_config=hasty.health_check_config()(initial_interval_secs=1))
    with held_port() as port:
        async with Aurora(mesos) as framework:
            await framework.run(hasty, "t", flags=["--announcer-ensemble", f"127.0.0.1:{port}"])
            failed = await framework.status("t", TaskState.FAILED)
            assert failed.message.startswith("Creating Announcer Serverset timed out.")


async def test_a_second_task_on_the_same_executor(mesos: Target) -> None:
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(SLEEPER), "t1")
        await framework.status("t1", TaskState.RUNNING)
        await framework.call(api.revive())
        offer = await framework.offer(lambda o: o.agent_id == offer.agent_id)
        first = framework.thermos(offer, "t1", b"", {}, FLAGS)
        second = framework.thermos(offer, "t2", b"", {}, FLAGS)
        same = structs.replace(second, executor=first.executor)
        await framework.operate(offer, launching(same))
        lost = await framework.status("t2", TaskState.LOST)
        assert lost.message == "Task already running on this executor: t1"


@pytest.mark.parametrize("seed", range(3))
async def test_lost_words_make_no_difference(switchboard: EmbeddedMesos, seed: int) -> None:
    """Everything on every way may get lost, be late or be said twice: one last word, true and acknowledged."""
    faults = switchboard.cluster.faults
    ways = [
        (Way.TO_MASTER, "StatusUpdate"), (Way.TO_AGENT, "AcknowledgeUpdate"), (Way.FROM_EXECUTOR, "UPDATE"),
        (Way.TO_EXECUTOR, "ACKNOWLEDGED"), (Way.TO_SCHEDULER, "UPDATE"), (Way.FROM_SCHEDULER, "ACKNOWLEDGE"),
    ]  # fmt: skip
    acts = [Act.DROP, Act.DUPLICATE, Act.REORDER]
    rules = [
        faults.add(Rule(way=way, kind=kind, act=acts[(seed + number) % 3], times=1))
        for number, (way, kind) in enumerate(ways)
    ]
    try:
        async with Aurora(switchboard) as framework:
            await framework.run(job_with(Process(name="main", cmdline="sleep 0.3")), "t")
            await framework.status("t", TaskState.FINISHED, timeout_s=90)
            assert [s for s in framework.states_of("t") if s in TERMINAL_STATES] == [TaskState.FINISHED]
        assert [rule.way for rule in rules if not rule.fired] == []
    finally:
        faults.remove(*rules)
