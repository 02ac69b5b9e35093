"""The talk's own job: four web servers on four agents, from LAUNCH to nothing left."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient

from config.builders import SequentialTask
from config.schema import (
    Announcer,
    HealthCheckConfig,
    HealthCheckerConfig,
    HttpHealthChecker,
    HttpLifecycleConfig,
    LifecycleConfig,
    Process,
)
from mesos.core import scheduler_api as api
from mesos.core.messages import Source, TaskID, TaskState
from tests.executor.e2e.aurora import Aurora, answers, job_of, nothing_is_left, number_of, run_directory
from tests.executor.e2e.conftest import MakeMesos
from tests.mesos.conformance.asking import until
from tests.mesos.conformance.target import Target
from tests.mesos.zookeeper import ZooKeeperServer

#: A server that answers its health check, writes down what it is asked to do, and obeys /quitquitquit.
SERVER = """python3 -u -c '
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"ok")
    def do_POST(self):
        open("asked", "a").write(self.path + chr(10))
        self.send_response(200); self.end_headers()
        self.wfile.flush()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
' {{thermos.ports[health]}}"""


def checked_job(announced: bool = False) -> Any:
    """The example's job with a server that can say how it is."""
    job = job_of("webserver.aurora")
    server = Process(name="server", cmdline=SERVER)
    quick = HealthCheckConfig(
        initial_interval_secs=60,
        interval_secs=0.2,
        timeout_secs=30,
        health_checker=HealthCheckerConfig(http=HttpHealthChecker()),
    )
    ends = LifecycleConfig(http=HttpLifecycleConfig(graceful_shutdown_wait_secs=1, shutdown_wait_secs=1))
    more = {"announce": Announcer(primary_port="health")} if announced else {}
    return job(task=job.task()(processes=[server], constraints=[]), health_check_config=quick, lifecycle=ends, **more)


async def test_four_instances_of_the_example(make_mesos: MakeMesos, tmp_path: Path) -> None:
    mesos = await make_mesos(agents=4)
    job = job_of("webserver.aurora")
    async with Aurora(mesos) as framework:
        places = [await framework.run(job, f"webserver-{i}", instance=i) for i in range(4)]
        assert len({offer.agent_id.value for offer, _ in places}) == 4
        for i in range(4):
            running = await framework.status(f"webserver-{i}", TaskState.RUNNING)
            assert running.source == Source.EXECUTOR
            assert running.message == "No health-check defined, task is assumed healthy."
        for _, ports in places:
            await until(partial(answers, ports["http"]), "answer")
        for i in range(4):
            await framework.call(api.kill(TaskID(value=f"webserver-{i}")))
        for i in range(4):
            killed = await framework.status(f"webserver-{i}", TaskState.KILLED)
            assert killed.message == "Instructed to kill task."
            assert framework.states_of(f"webserver-{i}") == [TaskState.STARTING, TaskState.RUNNING, TaskState.KILLED]
        for offer, _ in places:
            await nothing_is_left(f"{mesos.agent_work_dir(number_of(offer))}/slaves")


async def test_health_announcement_and_a_polite_end(mesos: Target, ensemble: ZooKeeperServer, tmp_path: Path) -> None:
    async with Aurora(mesos) as framework:
        flags = ["--announcer-ensemble", ensemble.address]
        offer, ports = await framework.run(checked_job(announced=True), "web", instance=3, flags=flags)
        running = await framework.status("web", TaskState.RUNNING)
        assert running.message == "Task is healthy."
        zookeeper = KazooClient(ensemble.address)
        zookeeper.start()
        try:
            path = "/aurora/www/test/webserver"

            async def member() -> bytes:
                names = zookeeper.get_children(path) if zookeeper.exists(path) else []
                return zookeeper.get(f"{path}/{names[0]}")[0] if names else b""

            data = json.loads(await until(member, "member"))
            endpoint = {"host": offer.hostname, "port": ports["health"]}
            assert (data["serviceEndpoint"], data["shard"], data["status"]) == (endpoint, 3, "ALIVE")
            sandbox = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "web") / "sandbox"

            async def is_written() -> bool:
                state = json.loads((sandbox.parent / "executor.json").read_text())
                health, announcer = state["health"] or {}, state["announcer"] or {}
                told = (state["phase"], health.get("verdict"), announcer.get("state"))
                return told == ("running", "running", "joined")

            await until(is_written, "running in executor.json")

            await framework.call(api.kill(TaskID(value="web"), offer.agent_id))
            await framework.status("web", TaskState.KILLED)
            assert (sandbox / "asked").read_text().split() == ["/quitquitquit", "/abortabortabort"]
            assert not zookeeper.get_children(path)
        finally:
            zookeeper.stop()
            zookeeper.close()
        await nothing_is_left(str(sandbox.parent))


async def test_an_unhealthy_server_fails(mesos: Target) -> None:
    job = checked_job()
    sick = job(task=job.task()(processes=[Process(name="server", cmdline="sleep 1000; : {{thermos.ports[health]}}")]))
    hasty = sick(health_check_config=sick.health_check_config()(initial_interval_secs=0))
    async with Aurora(mesos) as framework:
        await framework.run(hasty, "sick")
        failed = await framework.status("sick", TaskState.FAILED)
        assert failed.message.startswith("Failed health check! Failed to signal http://localhost:")
        assert framework.states_of("sick") == [TaskState.STARTING, TaskState.FAILED]


async def test_a_failing_process_is_named_with_its_last_words(mesos: Target) -> None:
    job = job_of("webserver.aurora")
    process = Process(name="worker", cmdline="echo something is missing >&2; exit 3", max_failures=1)
    broken = job(task=SequentialTask(name="t", processes=[process], resources=job.task().resources()))
    async with Aurora(mesos) as framework:
        await framework.run(broken, "broken")
        failed = await framework.status("broken", TaskState.FAILED)
        assert failed.message == "Task failed. Process 'worker' failed: exit code 3: something is missing"
        assert failed.source == Source.EXECUTOR


async def test_a_short_task_finishes(mesos: Target) -> None:
    job = job_of("webserver.aurora")
    short = job(
        task=SequentialTask(
            name="t", processes=[Process(name="hello", cmdline="echo hello")], resources=job.task().resources()
        )
    )
    async with Aurora(mesos) as framework:
        await framework.run(short, "short")
        finished = await framework.status("short", TaskState.FINISHED)
        assert finished.message == "Task finished."
        assert framework.states_of("short")[0] is TaskState.STARTING
