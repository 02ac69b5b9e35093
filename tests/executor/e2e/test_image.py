"""A task in an image, launched by a Mesos agent: checked inside, logged outside, and nothing of it left on the host.

The agents of these tests provide no images, so the executor's command puts one where an agent would.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from config.builders import SequentialTask
from config.schema import (
    DockerImage,
    HealthCheckConfig,
    HealthCheckerConfig,
    Mesos,
    Process,
    ShellHealthChecker,
)
from mesos.core import scheduler_api as api
from mesos.core.messages import Offer, TaskID, TaskInfo, TaskState, Variable
from tests.executor.e2e.aurora import Aurora, job_of, nothing_is_left, number_of, run_directory
from tests.executor.e2e.test_faults import executor_pid
from tests.executor.sandbox.conftest import USER, make_image, mounts, place, root_only, who_sees
from tests.mesos.conformance.asking import until
from tests.mesos.conformance.target import Target

__all__ = ["place"]

pytestmark = root_only


class WithImage(Aurora):
    image: Path
    broken = False

    def thermos(
        self,
        offer: Offer,
        task_id: str,
        data: bytes,
        ports: dict[str, int],
        flags: Sequence[str] = (),
        variables: Sequence[Variable] = (),
    ) -> TaskInfo:
        task = super().thermos(offer, task_id, data, ports, flags, variables)
        assert task.executor is not None and task.executor.command is not None
        value = f"cp -a {self.image} taskfs && {task.executor.command.value}"
        command = msgspec.structs.replace(task.executor.command, value=value)
        return msgspec.structs.replace(task, executor=msgspec.structs.replace(task.executor, command=command))


def let_others_in(directory: Path) -> None:
    """A user's processes write logs below it; pytest's directories are ours alone."""
    for part in (directory, *directory.parents):
        if part.stat().st_uid == os.geteuid():
            part.chmod(part.stat().st_mode | 0o011)


def image_job(*processes: Process, **fields: Any) -> Any:
    job = job_of("webserver.aurora")
    task = SequentialTask(name="t", processes=list(processes), resources=job.task().resources(), finalization_wait=1)
    return job(role=USER, task=task, container=Mesos(image=DockerImage(name="busybox", tag="1")), **fields)


async def test_a_task_in_an_image(mesos: Target, place: Path) -> None:
    make_image(place / "image")
    check = ShellHealthChecker(
        shell_command="[ -e who ] || { cat /etc/passwd > seen && id > who; }; grep -q ready state"
    )
    health = HealthCheckConfig(
        initial_interval_secs=60,
        interval_secs=0.2,
        timeout_secs=30,
        health_checker=HealthCheckerConfig(shell=check),
    )
    server = Process(name="server", cmdline="pwd; id -u; echo ready > state; exec sleep 1000")
    async with WithImage(mesos) as framework:
        framework.image, offer = place / "image", await framework.offer()
        let_others_in(mesos.agent_work_dir(number_of(offer)))
        await framework.run(image_job(server, health_check_config=health), "image", offer=offer, nosetuid=False)
        running = await framework.status("image", TaskState.RUNNING)
        assert running.message == "Task is healthy."
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "image")
        uid = str((run / "sandbox").stat().st_uid)
        assert (run / "sandbox" / ".logs" / "server" / "0" / "stdout").read_text().split() == [
            "/mnt/mesos/sandbox",
            uid,
        ]
        assert f"{USER}:x:{uid}:" in (run / "sandbox" / "seen").read_text()
        assert (run / "sandbox" / "who").read_text().startswith(f"uid={uid}({USER}) ")
        assert who_sees(run) and not mounts(run)
        await framework.call(api.kill(TaskID(value="image"), offer.agent_id))
        await framework.status("image", TaskState.KILLED)
        await nothing_is_left(str(run))
        assert not who_sees(run) and not mounts(run)


async def test_its_executor_is_killed(mesos: Target, place: Path) -> None:
    make_image(place / "image")
    async with WithImage(mesos) as framework:
        framework.image, offer = place / "image", await framework.offer()
        let_others_in(mesos.agent_work_dir(number_of(offer)))
        await framework.run(
            image_job(Process(name="p", cmdline="exec sleep 1000")), "gone", offer=offer, nosetuid=False
        )
        await framework.status("gone", TaskState.RUNNING)
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "gone")
        os.kill(await executor_pid(run), signal.SIGKILL)

        async def is_gone() -> bool:
            return not who_sees(run)

        await until(is_gone, "end of everything in the image")
        assert not mounts(run)


async def test_an_image_that_is_missing(mesos: Target, place: Path) -> None:
    async with Aurora(mesos) as framework:
        await framework.run(image_job(Process(name="p", cmdline="true")), "missing", nosetuid=False)
        failed = await framework.status("missing", TaskState.FAILED)
        assert failed.message.startswith("Failed to initialize sandbox: cannot run the task in its image: ")
        assert "/taskfs is missing; does the agent provide images" in failed.message
        assert framework.states_of("missing") == [TaskState.STARTING, TaskState.FAILED]
