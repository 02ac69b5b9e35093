"""Jobs from their creation to their end: create, add, kill, restart, and what replaces what has ended."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from mesos.scheduler_driver import Refused
from scheduler.core.states import ScheduleStatus
from tests.executor.e2e.aurora import answers, nothing_is_left
from tests.mesos.conformance.asking import until
from tests.mesos.conformance.conftest import MakeMesos
from tests.mesos.conformance.target import Target
from tests.scheduler.e2e.scheduled import Scheduled, job_of

SERVER = "exec python3 -m http.server --bind 127.0.0.1 {{thermos.ports[http]}}"


async def test_create_add_restart_and_kill(mesos: Target, tmp_path: Path) -> None:
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        key = await scheduled.create(job_of("web", SERVER, instances=2))
        first, second = await scheduled.running(key, 2)
        for task in (first, second):
            await until(partial(answers, task.assigned_task.assigned_ports["http"]), "answer")
        assert first.assigned_task.slave_host.startswith("agent")

        await scheduled.add(key, 1, like=1)
        assert [task.assigned_task.instance_id for task in await scheduled.running(key, 3)] == [0, 1, 2]

        await scheduled.restart(key, [1])
        await scheduled.status(second.id, ScheduleStatus.KILLED)
        _, replaced, _ = await scheduled.running(key, 3)
        assert replaced.id != second.id
        assert (replaced.instance, replaced.ancestor_id) == (second.instance, second.id)

        await scheduled.kill(key)
        await scheduled.until(lambda: not scheduled.active(key), "end of all")
        assert scheduled.task(first.id).status is ScheduleStatus.KILLED
        for number in range(mesos.agents):
            await nothing_is_left(f"{mesos.agent_work_dir(number)}/slaves")
        await scheduled.forget()


async def test_a_cluster_that_asks_who_we_are(make_mesos: MakeMesos, tmp_path: Path) -> None:
    mesos = await make_mesos(agents=1, credentials={"aurora": "secret"})
    credentials = tmp_path / "credentials"
    credentials.write_text("aurora_authentication_principal=aurora\naurora_authentication_secret=secret\n")
    told = {"framework_authentication_file": str(credentials), "framework_announce_principal": True}
    async with Scheduled(mesos, tmp_path / "store", **told) as scheduled:
        key = await scheduled.create(job_of("web"))
        await scheduled.running(key)
        await scheduled.kill(key)
        await scheduled.until(lambda: not scheduled.active(key), "end")
    credentials.write_text("aurora_authentication_principal=aurora\naurora_authentication_secret=wrong\n")
    with pytest.raises(Refused, match=r"401.*check the credentials"):
        async with Scheduled(mesos, tmp_path / "other", **told):
            raise AssertionError("it was taken")
