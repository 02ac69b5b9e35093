"""What outlives a master: which agents there are, quotas, weights, maintenance. The rim keeps it for the next one.

Mesos writes the same into its replicated log. Frameworks and tasks are not in it: agents bring them back.
"""

from __future__ import annotations

from enum import StrEnum

from mesos.core.messages import AgentInfo, DurationInfo, MachineID, Message, TimeInfo, Unavailability
from mesos.local.core.quota import Quota


class DrainState(StrEnum):
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"


class MachineMode(StrEnum):
    UP = "UP"
    DRAINING = "DRAINING"
    DOWN = "DOWN"


class Drain(Message, frozen=True):
    state: str
    since: TimeInfo
    max_grace_period: DurationInfo | None = None
    mark_gone: bool = False


class KnownAgent(Message, frozen=True):
    """`info` has its id. Its reservations and volumes it brings back itself."""

    info: AgentInfo
    deactivated: bool = False
    drain: Drain | None = None


class Window(Message, frozen=True):
    """Machines that will be away together."""

    machine_ids: tuple[MachineID, ...]
    unavailability: Unavailability


class LostAgent(Message, frozen=True):
    """Unreachable or gone, and since when."""

    agent_id: str
    since: TimeInfo
    deactivated: bool = False
    drain: Drain | None = None


class Registry(Message, frozen=True):
    agents: tuple[KnownAgent, ...] = ()
    unreachable: tuple[LostAgent, ...] = ()
    gone: tuple[LostAgent, ...] = ()
    quotas: dict[str, Quota] = {}
    weights: dict[str, float] = {}
    schedule: tuple[Window, ...] = ()
    down: tuple[MachineID, ...] = ()


def of_agents(infos: tuple[AgentInfo, ...]) -> Registry:
    """A registry that knows only which agents there were."""
    return Registry(agents=tuple(KnownAgent(info=info) for info in infos))
