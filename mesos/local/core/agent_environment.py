"""Where an executor's sandbox is and what its environment says, as a real agent has them."""

from __future__ import annotations

from mesos.core.messages import ContainerID, ExecutorInfo, FrameworkInfo
from mesos.local.core.agent_config import duration_text
from mesos.local.core.agent_state import AgentState
from mesos.local.core.agent_token import sign

#: Of an executor that brings none.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def sandbox_of(agent: AgentState, framework_id: str, executor_id: str, container_id: ContainerID) -> str:
    slave = f"{agent.config.work_dir}/slaves/{agent.agent_id.value}"
    return f"{slave}/frameworks/{framework_id}/executors/{executor_id}/runs/{container_id.value}"


def environment_of(
    agent: AgentState, framework: FrameworkInfo, info: ExecutorInfo, container_id: ContainerID, directory: str
) -> dict[str, str]:
    """Mesos' own variables come last: a command can't pretend to be another executor."""
    options = agent.options
    assert framework.id is not None
    grace = info.shutdown_grace_period
    grace_s = grace.nanoseconds / 1e9 if grace is not None else options.executor_shutdown_grace_period_s
    environment = {"PATH": PATH}
    if info.command is not None and info.command.environment is not None:
        environment |= {v.name: v.value for v in info.command.environment.variables if v.type != "SECRET"}
    environment |= {
        "LIBPROCESS_IP": agent.config.ip,
        "LIBPROCESS_PORT": "0",
        "MESOS_AGENT_ENDPOINT": agent.config.endpoint,
        "MESOS_CHECKPOINT": "1" if framework.checkpoint else "0",
        "MESOS_DIRECTORY": directory,
        "MESOS_EXECUTOR_ID": info.executor_id.value,
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": duration_text(grace_s),
        "MESOS_FRAMEWORK_ID": framework.id.value,
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "MESOS_SANDBOX": directory,
        "MESOS_SLAVE_ID": agent.agent_id.value,
        "MESOS_SLAVE_PID": agent.config.pid,
    }
    if framework.checkpoint:
        environment["MESOS_RECOVERY_TIMEOUT"] = duration_text(options.recovery_timeout_s)
        environment["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = duration_text(options.executor_reregistration_timeout_s)
    if options.jwt_secret_key is not None:
        environment["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"] = sign(
            options.jwt_secret_key, framework.id.value, info.executor_id.value, container_id.value
        )
    return environment
