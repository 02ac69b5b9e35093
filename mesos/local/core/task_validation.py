"""What is wrong with a task, its executor, its group: Mesos' checks in Mesos' order and words.

First what can be seen of the message alone (`problem_of_wire`), then, with the roles filled in, what the framework,
the agent and the offered resources say. None: nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mesos.core.messages import (
    CommandInfo,
    ExecutorInfo,
    LaunchGroup,
    Opaque,
    Resource,
    TaskInfo,
)
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent
from mesos.local.core.proto_text import proto_text
from mesos.local.core.resource_validation import problem_of_resources, problem_of_usage
from mesos.local.core.resources import NONE, Resources, total_of

#: What a check of each type must have.
_NEEDS = {"COMMAND": "command", "HTTP": "http", "TCP": "tcp"}
_RULE = "-" * 60


# --- the message alone --------------------------------------------------------------------------------------------


def problem_of_wire(task: TaskInfo) -> str | None:
    """Resources that are none."""
    executor = task.executor.resources if task.executor is not None else ()
    return problem_of_resources(task.resources) or problem_of_resources(executor)


def problem_of_group_wire(group: LaunchGroup) -> str | None:
    problems = (problem_of_wire(task) for task in group.task_group.tasks)
    return problem_of_resources(group.executor.resources) or next((p for p in problems if p is not None), None)


def problem_of_id(name: str) -> str | None:
    """Of a task, an executor or a framework: it becomes the name of a directory."""
    if not name:
        return "ID must not be empty"
    if len(name) > 255:
        return "ID must not be greater than 255 characters"
    if name in (".", ".."):
        return f"'{name}' is disallowed"
    if any(sign in "/\\" or ord(sign) < 32 or ord(sign) == 127 for sign in name):
        return f"'{name}' contains invalid characters"
    return None


# --- a task -------------------------------------------------------------------------------------------------------


def problem_of_task(task: TaskInfo, framework: Framework, agent: Agent, offered: Resources) -> str | None:
    """To be launched alone."""
    problem = _of_task_itself(task, framework, agent)
    if problem is None and (task.executor is None) == (task.command is None):
        problem = "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    if problem is None and task.executor is not None:
        problem = _of_executor(task.executor, framework, agent)
        if problem is None and task.executor.type not in ("", "CUSTOM"):
            problem = "'ExecutorInfo.type' must be 'CUSTOM'"
    return problem or _of_resources(task, framework, agent, offered)


def _of_task_itself(task: TaskInfo, framework: Framework, agent: Agent) -> str | None:
    name = task.task_id.value
    if (problem := problem_of_id(name)) is not None:
        return problem
    if framework.task(name) is not None:
        return f"Task has duplicate ID: {name}"
    if name in framework.unreachable:
        return f"Task reuses the ID of an unreachable task: {name}"
    if task.agent_id.value != agent.id:
        return f"Task uses invalid agent {task.agent_id.value} while agent {agent.id} is expected"
    return (
        _of_kill_policy(task)
        or _of_completion_time(task)
        or _of_check("Task uses invalid check", task.check, "check")
        or _of_check("Task uses invalid health check", task.health_check, "health check")
        or problem_of_usage("Task", task.resources)
        or _of_command("Task", task.command)
    )


def _of_kill_policy(task: TaskInfo) -> str | None:
    policy = task.kill_policy
    if policy is not None and policy.grace_period is not None and policy.grace_period.nanoseconds < 0:
        return "Task's 'kill_policy.grace_period' must be non-negative"
    return None


def _of_completion_time(task: TaskInfo) -> str | None:
    if task.max_completion_time is not None and task.max_completion_time.nanoseconds < 0:
        return "Task's `max_completion_time` must be non-negative"
    return None


def _of_check(where: str, check: Opaque | None, what: str) -> str | None:
    """`type` names the one payload that must be there; durations must not be negative."""
    if check is None:
        return None
    kind = check.get("type")
    if kind is None and what == "health check":  # old form: which payload there is says it
        kind = next((name for name, field in _NEEDS.items() if field in check), None)
    field = _NEEDS.get(kind) if isinstance(kind, str) else None
    if field is None:
        return f"{where}: 'UNKNOWN' is not a valid {what} type"
    if check.get(field) is None:
        return f"{where}: Expecting '{field}' to be set for {kind} {what}"
    for name in ("delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds"):
        if isinstance(check.get(name), int | float) and check[name] < 0:
            return f"{where}: Expecting '{name}' to be non-negative"
    return None


def _of_command(whose: str, command: CommandInfo | None) -> str | None:
    if command is None or command.environment is None:
        return None
    for variable in command.environment.variables:
        if variable.type == "SECRET" and variable.secret is None:
            text = f"Environment variable '{variable.name}' of type 'SECRET' must have a secret set"
            return f"{whose}'s `CommandInfo` is invalid: {text}"
    return None


# --- its executor -------------------------------------------------------------------------------------------------


def _of_executor(executor: ExecutorInfo, framework: Framework, agent: Agent) -> str | None:
    if (problem := problem_of_id(executor.executor_id.value)) is not None:
        return problem
    owner = executor.framework_id.value if executor.framework_id is not None else ""
    if owner != framework.id:
        return f"ExecutorInfo has an invalid FrameworkID (Actual: {owner} vs Expected: {framework.id})"
    problem = _of_executor_type(executor)
    grace = executor.shutdown_grace_period
    if problem is None and grace is not None and grace.nanoseconds < 0:
        problem = "ExecutorInfo's 'shutdown_grace_period' must be non-negative"
    problem = problem or problem_of_usage("Executor", executor.resources, empty=True)
    return problem or _of_command("Executor", executor.command) or _of_compatibility(executor, framework, agent)


def _of_executor_type(executor: ExecutorInfo) -> str | None:
    if executor.type == "DEFAULT":
        if executor.command is not None:
            return "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"
        container = executor.container or {}
        if container and container.get("type") != "MESOS":
            return "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor"
        inner = container.get("mesos")
        if isinstance(inner, dict) and inner.get("image") is not None:
            return "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
    elif executor.command is None and executor.type != "UNKNOWN":
        return "'ExecutorInfo.command' must be set for 'CUSTOM' executor"
    return None


def _of_compatibility(executor: ExecutorInfo, framework: Framework, agent: Agent) -> str | None:
    known = agent.executor(framework.id, executor.executor_id.value)
    if known is None or _same_executor(known.info, executor):
        return None
    return (
        "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n"
        f"{_RULE}\nExisting ExecutorInfo:\n{proto_text(known.info)}\n"
        f"{_RULE}\nExecutorInfo:\n{proto_text(executor)}\n{_RULE}\n"
    )


def _same_executor(a: ExecutorInfo, b: ExecutorInfo) -> bool:
    """In any order of resources."""
    if a == b:
        return True
    bare = [msgspec.structs.replace(info, resources=()) for info in (a, b)]
    return bare[0] == bare[1] and Resources.of(a.resources) == Resources.of(b.resources)


# --- resources ----------------------------------------------------------------------------------------------------


def _of_resources(task: TaskInfo, framework: Framework, agent: Agent, offered: Resources) -> str | None:
    own = Resources.of(task.resources)
    problem = _of_roles(own)
    if problem is not None:
        return problem
    needs = own + _needs_of_executor(task.executor, framework, agent)
    if not offered.contains(needs):
        return f"Total resources {needs} required by task and its executor is more than available {offered}"
    return None


def _of_roles(resources: Resources) -> str | None:
    roles = resources.roles
    if "" in roles:
        return "The resources are not allocated to a role"
    if len(roles) > 1:
        shown = "', '".join(roles[:2])
        return f"The resources have multiple allocation roles ('{shown}') but only one allocation role is allowed"
    return None


def _needs_of_executor(executor: ExecutorInfo | None, framework: Framework, agent: Agent) -> Resources:
    """Nothing where it runs already."""
    if executor is None or agent.executor(framework.id, executor.executor_id.value) is not None:
        return NONE
    return Resources.of(executor.resources)


# --- a group ------------------------------------------------------------------------------------------------------


def problem_of_group(group: LaunchGroup, framework: Framework, agent: Agent, offered: Resources) -> str | None:
    """Its tasks first, then the executor, then what all of them need."""
    tasks, executor = group.task_group.tasks, group.executor
    seen: set[str] = set()
    for task in tasks:
        name = task.task_id.value
        problem = f"Task has duplicate ID: {name}" if name in seen else None
        problem = problem or _of_group_task(task, executor, framework, agent)
        if problem is not None:
            return f"Task '{name}' is invalid: {problem}"
        seen.add(name)
    problem = _of_group_executor(executor, framework, agent)
    return problem or _of_group_resources(tasks, executor, framework, agent, offered)


def _of_group_executor(executor: ExecutorInfo, framework: Framework, agent: Agent) -> str | None:
    if executor.type in ("", "UNKNOWN"):
        return "'ExecutorInfo.type' must be set"
    problem = _of_executor(executor, framework, agent)
    if problem is not None:
        return problem
    scalars = Resources.of(executor.resources).scalars()
    for name in ("cpus", "mem", "disk"):
        if not scalars.get(name):
            return f"Executor '{executor.executor_id.value}' uses no {name}"
    return None


def _of_group_task(task: TaskInfo, executor: ExecutorInfo, framework: Framework, agent: Agent) -> str | None:
    if (problem := _of_task_itself(task, framework, agent)) is not None:
        return problem
    if task.executor is not None and task.executor != executor:
        name = executor.executor_id.value
        return f"The `ExecutorInfo` of task '{task.task_id.value}' is different from executor '{name}'"
    if executor.type == "DEFAULT" and task.command is None:
        return "Expecting 'command' to be set"
    return None


def _of_group_resources(
    tasks: Sequence[TaskInfo], executor: ExecutorInfo, framework: Framework, agent: Agent, offered: Resources
) -> str | None:
    own = total_of(_each(task.resources for task in tasks))
    needs = own + _needs_of_executor(executor, framework, agent)
    problem = _of_roles(needs)
    if problem is None and not offered.contains(needs):
        problem = f"Total resources {needs} required by task group and its executor are more than available {offered}"
    return problem


def _each(parts: Iterable[tuple[Resource, ...]]) -> Iterable[Resources]:
    return (Resources.of(part) for part in parts)
