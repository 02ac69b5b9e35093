"""The one file, fetched by an agent as a URI, with nothing of this checkout in its environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from msgspec import structs

from mesos.core import scheduler_api as api
from mesos.core.messages import CommandInfo, CommandURI, Environment, TaskID, TaskState, Variable
from tests.executor.bundle.conftest import built
from tests.executor.bundle.running import may_build
from tests.executor.e2e.aurora import Aurora, nothing_is_left, number_of, run_directory
from tests.executor.payloads import assigned_json
from tests.mesos.conformance.framework import launching
from tests.mesos.conformance.target import Target

__all__ = ["built"]

pytestmark = may_build


async def test_an_agent_fetches_and_runs_it(mesos: Target, built: Path) -> None:
    async with Aurora(mesos) as framework:
        offer = await framework.offer()
        task = framework.thermos(offer, "bundled", assigned_json("bundled", host=offer.hostname), {})
        assert task.executor is not None
        command = CommandInfo(
            value="exec ${MESOS_SANDBOX=.}/thermos_executor --nosetuid",
            uris=(CommandURI(value=str(built), executable=True),),
            environment=Environment(
                variables=(Variable(name="THERMOS_PYTHON", value=os.path.realpath(sys.executable)),)
            ),
        )
        task = structs.replace(task, executor=structs.replace(task.executor, command=command))
        await framework.operate(offer, launching(task))
        await framework.status("bundled", TaskState.RUNNING)
        run = run_directory(mesos.agent_work_dir(number_of(offer)), framework, offer, "bundled")
        (home,) = [path for path in (run / ".thermos_executor").iterdir() if path.is_dir()]
        pid = int((run / "executor.json").read_text().split('"pid":')[1].split(",")[0])
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        assert str(home / "thermos_executor").encode() in words
        loaded = Path(f"/proc/{pid}/maps").read_text()
        assert str(home / "lib" / "msgspec") in loaded
        assert "site-packages" not in loaded
        await framework.call(api.kill(TaskID(value="bundled"), offer.agent_id))
        await framework.status("bundled", TaskState.KILLED)
        await nothing_is_left(str(run))
