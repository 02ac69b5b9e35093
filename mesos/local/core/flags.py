"""The master's settings as Mesos' flags are shown: texts, durations with their unit."""

from __future__ import annotations

from mesos.core.messages import Opaque
from mesos.local.core.cluster import MasterConfig

_UNITS = (("weeks", 604800.0), ("days", 86400.0), ("hrs", 3600.0), ("mins", 60.0), ("secs", 1.0), ("ms", 0.001))


def duration_text(seconds: float) -> str:
    """As Mesos writes durations: the largest unit that makes a whole number, `15secs`, `10mins`, `200ms`."""
    for unit, size in _UNITS:
        count = seconds / size
        if count >= 1 and abs(count - round(count)) < 1e-9:
            return f"{round(count)}{unit}"
    return f"{seconds:g}secs"


def flags_view(config: MasterConfig) -> Opaque:
    least = "|".join(";".join(f"{name}:{v:g}" for name, v in each.items()) for each in config.min_allocatable)
    authenticated = "true" if config.credentials is not None else "false"
    flags: Opaque = {
        "agent_ping_timeout": duration_text(config.agent_ping_timeout_s),
        "agent_reregister_timeout": duration_text(config.agent_reregister_timeout_s),
        "allocation_interval": duration_text(config.allocation_interval_s),
        "allocator": "hierarchical",
        "authenticate_agents": "false",
        "authenticate_http_frameworks": authenticated,
        "authenticate_http_readonly": authenticated,
        "authenticate_http_readwrite": authenticated,
        "filter_gpu_resources": "true",
        "framework_sorter": "drf",
        "hostname": config.hostname,
        "ip": config.ip,
        "max_agent_ping_timeouts": str(config.max_agent_ping_timeouts),
        "max_completed_frameworks": str(config.max_completed_frameworks),
        "max_completed_tasks_per_framework": str(config.max_completed_tasks_per_framework),
        "max_operator_event_stream_subscribers": str(config.max_operator_event_stream_subscribers),
        "max_unreachable_tasks_per_framework": str(config.max_unreachable_tasks_per_framework),
        "min_allocatable_resources": least,
        "port": str(config.port),
        "registry": "in_memory",
        "role_sorter": "drf",
    }
    if config.cluster:
        flags["cluster"] = config.cluster
    if config.offer_timeout_s is not None:
        flags["offer_timeout"] = duration_text(config.offer_timeout_s)
    if config.roles is not None:
        flags["roles"] = ",".join(config.roles)
    return flags
