"""Assigned tasks as a scheduler writes them, made from configs as people write them."""

from __future__ import annotations

import json
from typing import Any

from config.core.rules import check_job
from config.core.taskconfig import task_config
from config.schema import Job, Process, Resources, Task

JOB = Job(
    cluster="rz1",
    role="www",
    environment="test",
    name="web",
    task=Task(
        name="web",
        processes=[Process(name="main", cmdline="sleep 1000")],
        resources=Resources(cpu=0.1, ram=16 * 2**20, disk=16 * 2**20),
    ),
)


def assigned_json(
    task_id: str = "t1", job: Any = JOB, *, instance: int = 0, ports: dict[str, int] | None = None, host: str = "agent0"
) -> bytes:
    """TaskInfo.data for one instance of the job."""
    checked = check_job(job)
    assert checked.ok, checked.problems
    assigned = {
        "taskId": task_id,
        "slaveId": "S0",
        "slaveHost": host,
        "instanceId": instance,
        "assignedPorts": ports or {},
        "task": task_config(checked.data, user="me"),
    }
    return json.dumps(assigned).encode()
