"""Items of the specification that need a whole executor under an agent: both payloads, ends from outside, health."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from config.schema import (
    Announcer,
    HealthCheckConfig,
    HealthCheckerConfig,
    Process,
    ShellHealthChecker,
)
from executor.executor import ASKED_TO_END
from mesos.core.messages import TaskState
from tests.executor.announcer.cut import Cut
from tests.executor.e2e.aurora import Aurora, nothing_is_left, number_of, processes_with, run_directory
from tests.executor.e2e.test_faults import SLEEPER, executor_pid, job_with
from tests.executor.payloads import assigned_json
from tests.executor.sandbox.conftest import USER, place, root_only
from tests.mesos.conformance.asking import until
from tests.mesos.conformance.target import Target
from tests.mesos.zookeeper import ZooKeeperServer

__all__ = ["place"]

S = TaskState


def checked(command: str, **more: float) -> HealthCheckConfig:
    shell = HealthCheckerConfig(shell=ShellHealthChecker(shell_command=command))
    return HealthCheckConfig(health_checker=shell, timeout_secs=30, **more)


@pytest.mark.parametrize("payload", ["a job", "one instance"])
async def test_hello_world_of_both_payload_kinds(mesos: Target, payload: str) -> None:
    document = json.loads(assigned_json("t", job_with(Process(name="hello", cmdline="echo hello; sleep 1"))))
    if payload == "one instance":
        job = json.loads(document["task"]["executorConfig"]["data"])
        one = {name: job[name] for name in ("task", "role", "environment", "health_check_config")}
        document["task"]["executorConfig"]["data"] = json.dumps(one | {"instance": 0})
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(SLEEPER), "t", data=json.dumps(document).encode())
        await framework.status("t", S.FINISHED)
        assert framework.states_of("t") == [S.STARTING, S.RUNNING, S.FINISHED]
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
        assert (run / "sandbox" / ".logs" / "hello" / "0" / "stdout").read_text() == "hello\n"


async def test_garbage_in_a_good_payload_starts_and_fails(mesos: Target) -> None:
    document = json.loads(assigned_json("t"))
    document["task"]["executorConfig"]["data"] = "garbage"
    async with Aurora(mesos) as framework:
        await framework.run(job_with(SLEEPER), "t", data=json.dumps(document).encode())
        failed = await framework.status("t", S.FAILED)
        assert framework.states_of("t") == [S.STARTING, S.FAILED]
        assert failed.message.startswith("Could not deserialize thermos config: ") and "\n" not in failed.message


async def test_a_killed_coordinator_costs_its_run_only(mesos: Target) -> None:
    """The original's runner, killed, was "Task killed by signal 9." (item 107, defect 6), as if someone had asked."""
    main = Process(name="main", cmdline="echo run >> runs; until [ -e go ]; do sleep 0.1; done", min_duration=0)
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(main), "t")
        await framework.status("t", S.RUNNING)
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
        runs = run / "sandbox" / "runs"

        async def has_run(times: int) -> bool:
            return runs.exists() and len(runs.read_text().split()) == times

        await until(lambda: has_run(1), "first run")
        executor = await executor_pid(run)
        (coordinator,) = children_of(executor)
        os.kill(coordinator, signal.SIGKILL)
        await until(lambda: has_run(2), "second run")
        (run / "sandbox" / "go").touch()
        await framework.status("t", S.FINISHED)
        assert framework.states_of("t") == [S.STARTING, S.RUNNING, S.FINISHED]
        await nothing_is_left(str(run))


def children_of(pid: int) -> list[int]:
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]


async def test_an_executor_that_is_told_to_end_ends_its_task_first(mesos: Target) -> None:
    polite = Process(name="main", cmdline="trap 'touch bye; exit' TERM; touch ready; while :; do sleep 0.05; done")
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(polite), "t")
        await framework.status("t", S.RUNNING)
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
        executor = await executor_pid(run)

        async def is_ready() -> bool:
            return (run / "sandbox" / "ready").exists()

        await until(is_ready, "trap")
        os.kill(executor, signal.SIGTERM)
        killed = await framework.status("t", S.KILLED)
        assert killed.message == ASKED_TO_END
        assert (run / "sandbox" / "bye").exists()
        await nothing_is_left(str(run))


@pytest.fixture
def cut(ensemble: ZooKeeperServer) -> Iterator[Cut]:
    with Cut(ensemble.port) as cut:
        yield cut


async def test_a_task_that_is_over_is_announced_no_more(mesos: Target, ensemble: ZooKeeperServer, cut: Cut) -> None:
    """Its executor waits for that a while: the member would stay until its session times out."""
    main = Process(name="main", cmdline="until [ -e go ]; do sleep 0.1; done; : {{thermos.ports[http]}}")
    job = job_with(main)(name="short", announce=Announcer())
    zookeeper = KazooClient(ensemble.address)
    zookeeper.start()
    try:
        async with Aurora(mesos) as framework:
            offer, _ = await framework.run(job, "t", flags=["--announcer-ensemble", f"127.0.0.1:{cut.port}"])

            async def is_there() -> bool:
                path = "/aurora/www/test/short"
                return bool(zookeeper.exists(path) and zookeeper.get_children(path))

            await until(is_there, "member")
            run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
            cut.off()  # nothing can be taken back just now
            (run / "sandbox" / "go").touch()
            await framework.status("t", S.FINISHED)
            assert await is_there()
            cut.on()

            async def has_gone() -> bool:
                return not processes_with(str(run))

            await until(has_gone, "end of the executor")
            assert not await is_there()
    finally:
        zookeeper.stop()
        zookeeper.close()


async def test_running_waits_for_so_many_successes(mesos: Target) -> None:
    """The original's scenario `updated`, in quick motion: there, 15 checks at intervals of 2 s."""
    health = checked("date +%s.%N >> checked", interval_secs=0.2, initial_interval_secs=0, min_consecutive_successes=8)
    async with Aurora(mesos) as framework:
        offer, _ = await framework.run(job_with(SLEEPER)(health_check_config=health), "t")
        await framework.status("t", S.STARTING)
        running = await framework.status("t", S.RUNNING)
        assert running.message == "Task is healthy."
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
        times = [float(line) for line in (run / "sandbox" / "checked").read_text().split()]
        assert len(times) >= 8 and times[7] - times[0] >= 7 * 0.2
        assert running.timestamp is not None and running.timestamp >= times[7]


@root_only
async def test_a_health_check_of_an_executor_of_root_cannot_harm_the_host(mesos: Target, place: Path) -> None:
    """The original's scenario `bad_healthcheck`: `rm -f /etc/passwd` as the check of an ordinary role."""
    precious = place / "passwd"
    precious.write_text("root")
    health = checked(f"id -un > who; rm -f {precious}", interval_secs=0.2, initial_interval_secs=0)
    job = job_with(SLEEPER)(role=USER, health_check_config=health)
    async with Aurora(mesos) as framework:
        offer = await framework.offer()
        for part in (mesos.agent_work_dir(number_of(offer)), *mesos.agent_work_dir(number_of(offer)).parents):
            if part.stat().st_uid == os.geteuid():
                part.chmod(part.stat().st_mode | 0o011)  # pytest's directories are ours alone
        await framework.run(job, "t", offer=offer, nosetuid=False)
        failed = await framework.status("t", S.FAILED)
        assert failed.message.startswith("Failed health check! Command 'id -un > who; rm -f ")
        assert "returned non-zero exit status 1 with output 'rm: cannot remove" in failed.message
        assert precious.exists()
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "t")
        assert (run / "sandbox" / "who").read_text() == f"{USER}\n"
        assert framework.states_of("t") == [S.STARTING, S.FAILED]
