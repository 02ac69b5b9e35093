"""/metrics/snapshot: what is counted, under the names that Mesos has for it, for people's dashboards and our tests."""

from __future__ import annotations

from collections import Counter

from mesos.core.messages import TERMINAL_STATES, TaskState
from mesos.local.core.cluster import Cluster
from mesos.local.core.frameworks import Phase

_RESOURCES = ("cpus", "mem", "disk", "gpus")


def snapshot(cluster: Cluster) -> dict[str, float]:
    counts = cluster.counts
    agents = cluster.agents.values()
    frameworks = cluster.frameworks.values()
    found: dict[str, float] = {
        "master/elected": 1.0,
        "master/uptime_secs": cluster.now.wall - cluster.started_at,
        "master/slaves_active": sum(agent.offered for agent in agents),
        "master/slaves_inactive": sum(not agent.offered for agent in agents),
        "master/slaves_connected": sum(agent.connected for agent in agents),
        "master/slaves_disconnected": sum(not agent.connected for agent in agents),
        "master/slaves_unreachable": len(cluster.unreachable),
        "master/frameworks_active": sum(framework.active for framework in frameworks),
        "master/frameworks_inactive": sum(not framework.active for framework in frameworks),
        "master/frameworks_connected": sum(framework.stream_id is not None for framework in frameworks),
        "master/frameworks_disconnected": sum(f.phase is Phase.DISCONNECTED for f in frameworks),
        "master/outstanding_offers": len(cluster.offers),
        "master/operator_event_stream_subscribers": len(cluster.operators),
        "master/offers_made": counts["offers"],
        "master/offers_rescinded": counts["rescinded"],
        "allocator/offer_filters": len(cluster.allocator.filters),
        "allocator/agents_looked_at": cluster.allocator.looked_at,
    }
    found |= _tasks(cluster) | _resources(cluster)
    for name, count in counts.items():
        kind, _, what = name.partition(" ")
        if kind in ("call", "event"):
            found[f"master/{kind}s/{what.lower()}"] = count
    return {name: float(value) for name, value in sorted(found.items())}


def _tasks(cluster: Cluster) -> dict[str, float]:
    """Those that live by state; those that ended, ever, by how."""
    living: Counter[str] = Counter()
    for framework in cluster.frameworks.values():
        living.update(task.state for task in framework.tasks.values())
    found = {}
    for state in TaskState:
        name = f"master/tasks_{state.removeprefix('TASK_').lower()}"
        found[name] = float(cluster.counts[f"status {state}"] if state in TERMINAL_STATES else living[state])
    found["master/tasks_launched"] = float(cluster.counts["launched"])
    unreachable = sum(len(framework.unreachable) for framework in cluster.frameworks.values())
    return found | {"master/tasks_unreachable": float(unreachable)}


def _resources(cluster: Cluster) -> dict[str, float]:
    used: Counter[str] = Counter()
    for agent in cluster.agents.values():
        used.update(agent.used.scalars())
    found = {}
    for name in _RESOURCES:
        total = cluster.allocator.total.get(name, 0)
        found[f"master/{name}_total"] = total / 1000
        found[f"master/{name}_used"] = used[name] / 1000
        found[f"master/{name}_percent"] = used[name] / total if total else 0.0
    return found
