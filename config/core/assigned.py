"""What an executor is launched with (AssignedTask JSON) becomes what it runs.

The payload is the job as a client interpolated it, or one instance of it (`MesosTaskInstance`, told by its key
`instance`), perhaps of another version of the schema: fields that this version does not know are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from config.core.compile import BoundTask, bind_host
from config.core.problem import is_error, render_problem
from config.schema import Job, MesosTaskInstance
from thermos.errors import ConfigError


def compile_assigned(assigned: Mapping[str, Any], *, user: str | None = None) -> BoundTask:
    """The task of one instance with everything bound; `user` defaults to the job's role. Raises ConfigError."""
    job = read_payload(assigned)
    bound = bind_host(
        job,
        ports=assigned.get("assignedPorts") or {},
        task_id=assigned.get("taskId"),
        user=user,
        instance=assigned.get("instanceId"),
        hostname=assigned.get("slaveHost"),
    )
    if bound.spec is None:
        errors = "\n".join(render_problem(problem) for problem in bound.problems if is_error(problem))
        raise ConfigError(f"Got invalid task: {errors or 'it has no task'}")
    return bound


def read_payload(assigned: Mapping[str, Any]) -> Any:
    """The Job or MesosTaskInstance in an AssignedTask. Raises ConfigError."""
    task = assigned.get("task")
    executor = task.get("executorConfig") if isinstance(task, Mapping) else None
    text = executor.get("data") if isinstance(executor, Mapping) else None
    if not isinstance(text, str) or not text:
        raise ConfigError("Task did not have a thermos config!")
    try:
        document = json.loads(text)
        if not isinstance(document, dict):
            raise ValueError(f"it is no object but {type(document).__name__}")
        return (MesosTaskInstance if "instance" in document else Job).json_loads(text)
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigError(f"Could not deserialize thermos config: {error}") from None
