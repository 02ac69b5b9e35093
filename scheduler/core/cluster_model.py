"""What else is remembered of a cluster: the quota of roles, its hosts, and what is asked of hosts.

Hosts are known by their names: an agent that registers anew is the same host, with the same maintenance mode.

Source: spec/scheduler.md §1.2, §1.6, §7.1.
"""

from __future__ import annotations

from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import Resource, SlaPolicy, Wire


class ResourceAggregate(Wire, frozen=True):
    """Of a role's quota: cpus, ram and disk."""

    resources: tuple[Resource, ...] = ()


class Attribute(Wire, frozen=True):
    name: str
    values: tuple[str, ...] = ()


class HostAttributes(Wire, frozen=True):
    host: str
    attributes: tuple[Attribute, ...] = ()
    mode: MaintenanceMode = MaintenanceMode.NONE
    slave_id: str = ""


class HostMaintenanceRequest(Wire, frozen=True):
    """Empty the host: politely by each task's own policy or else the default one, by force after the timeout."""

    host: str
    default_sla_policy: SlaPolicy = SlaPolicy()
    timeout_secs: int = 0
    created_timestamp_ms: int = 0
