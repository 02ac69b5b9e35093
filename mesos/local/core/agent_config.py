"""What an agent is told when it is started. Thousands of simulated agents share one `AgentOptions`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mesos.core.messages import AgentInfo

VERSION = "1.11.0"

_UNITS = (
    ("weeks", 7 * 24 * 3600 * 10**9),
    ("days", 24 * 3600 * 10**9),
    ("hrs", 3600 * 10**9),
    ("mins", 60 * 10**9),
    ("secs", 10**9),
    ("ms", 10**6),
    ("us", 10**3),
    ("ns", 1),
)


def duration_text(seconds: float) -> str:
    """As Mesos writes durations: in the largest unit that makes a whole number of it."""
    ns = round(seconds * 1e9)
    for name, size in _UNITS:
        if abs(ns) >= size and ns % size == 0:
            return f"{ns // size}{name}"
    return "0ns"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """Mesos' flags of the same names, and the bounds that Mesos has as constants (or lacks)."""

    executor_registration_timeout_s: float = 60.0
    executor_reregistration_timeout_s: float = 2.0
    executor_shutdown_grace_period_s: float = 5.0
    recovery_timeout_s: float = 900.0
    registration_backoff_factor_s: float = 1.0
    registration_retry_max_s: float = 60.0
    #: Without a ping for so long the agent takes its master for lost and registers anew; None: never.
    master_ping_timeout_s: float | None = 75.0
    update_retry_min_s: float = 10.0
    update_retry_max_s: float = 600.0
    #: HEARTBEAT events to executors; Mesos sends the first after half an hour. None: none.
    executor_heartbeat_interval_s: float | None = 1800.0
    max_completed_frameworks: int = 50
    max_completed_executors_per_framework: int = 150
    max_completed_tasks_per_executor: int = 200
    #: Ours: an update beyond is refused with 503 until the framework acknowledged some.
    max_pending_updates_per_task: int = 1024
    #: Ours: how many tasks that nobody launched executors may speak of at a time.
    max_strange_tasks: int = 1024
    #: Executors get tokens signed with it.
    jwt_secret_key: bytes | None = field(default=None, repr=False)
    #: Executors must show their token.
    authenticate_http_executors: bool = False
    #: Executors run as the user of their command or framework; for agents that are root.
    switch_user: bool = False


DEFAULTS = AgentOptions()


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """`info` has no id: the master gives it. `work_dir` is where the sandboxes are."""

    info: AgentInfo
    work_dir: str = ""
    ip: str = "127.0.0.1"
    options: AgentOptions = DEFAULTS

    @property
    def endpoint(self) -> str:
        return f"{self.ip}:{self.info.port}"

    @property
    def pid(self) -> str:
        """As libprocess names an agent."""
        return f"slave(1)@{self.endpoint}"


def flags_of(config: AgentConfig) -> Iterator[tuple[str, str]]:
    """Names and values of the flags that a real agent would show, as far as ours has them."""
    options = config.options
    yield "authenticate_http_executors", str(options.authenticate_http_executors).lower()
    yield "executor_registration_timeout", duration_text(options.executor_registration_timeout_s)
    yield "executor_reregistration_timeout", duration_text(options.executor_reregistration_timeout_s)
    yield "executor_shutdown_grace_period", duration_text(options.executor_shutdown_grace_period_s)
    yield "hostname", config.info.hostname
    yield "max_completed_executors_per_framework", str(options.max_completed_executors_per_framework)
    yield "port", str(config.info.port)
    yield "recover", "reconnect"
    yield "recovery_timeout", duration_text(options.recovery_timeout_s)
    yield "registration_backoff_factor", duration_text(options.registration_backoff_factor_s)
    yield "switch_user", str(options.switch_user).lower()
    yield "work_dir", config.work_dir
