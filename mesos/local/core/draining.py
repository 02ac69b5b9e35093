"""Agents taken out of service by an operator: drained (all tasks killed, then DRAINED), deactivated, reactivated.

A draining agent takes no new tasks; when its last task is gone from the books it is DRAINED, and stays so until it is
reactivated, or is marked gone at once where that was asked for.
"""

from __future__ import annotations

import msgspec

from mesos.core.messages import DurationInfo
from mesos.local.core import membership, protocol
from mesos.local.core.cluster import Cluster
from mesos.local.core.known_agents import Agent
from mesos.local.core.offers import take_back
from mesos.local.core.registry import Drain, DrainState


def drain(cluster: Cluster, name: str, grace: DurationInfo | None, mark_gone: bool) -> None:
    """Raises ValueError for an agent that nobody knows."""
    wanted = Drain(state=DrainState.DRAINING, since=cluster.time_info, max_grace_period=grace, mark_gone=mark_gone)
    agent = cluster.agents.get(name)
    if agent is None:
        _remember(cluster, name, wanted)
        return
    agent.drain = wanted
    _deactivate(cluster, agent)
    cluster.tell(agent, protocol.DrainAgent(max_grace_period=grace, mark_gone=mark_gone))
    cluster.maybe_drained[name] = None


def deactivate(cluster: Cluster, name: str) -> None:
    """Nothing of it is offered; its tasks go on. Raises ValueError for an agent that nobody knows."""
    agent = cluster.agents.get(name)
    if agent is None:
        _remember(cluster, name, None)
    else:
        _deactivate(cluster, agent)


def _deactivate(cluster: Cluster, agent: Agent) -> None:
    agent.deactivated = True
    cluster.allocator.set_active(agent.id, agent.offered)
    take_back(cluster, agent.offers, rescind=True)


def _remember(cluster: Cluster, name: str, wanted: Drain | None) -> None:
    """For one that is away: it holds when it comes back."""
    if name in cluster.recovered:
        known = cluster.recovered[name]
        cluster.recovered[name] = msgspec.structs.replace(known, deactivated=True, drain=wanted or known.drain)
    elif name in cluster.unreachable:
        lost = cluster.unreachable[name]
        cluster.unreachable[name] = msgspec.structs.replace(lost, deactivated=True, drain=wanted or lost.drain)
    else:
        raise ValueError("Unknown agent")


def reactivate(cluster: Cluster, name: str) -> None:
    """Raises ValueError for an agent that is in service, or still draining."""
    agent = cluster.agents.get(name)
    known = agent or cluster.recovered.get(name) or cluster.unreachable.get(name)
    if known is None or not known.deactivated:
        raise ValueError("Agent is not deactivated")
    if known.drain is not None and known.drain.state == DrainState.DRAINING:
        raise ValueError("Agent is still in the DRAINING state")
    if agent is not None:
        agent.deactivated, agent.drain = False, None
        cluster.tell(agent, protocol.ReactivateAgent())
        cluster.allocator.set_active(name, agent.offered)
    elif name in cluster.recovered:
        cluster.recovered[name] = msgspec.structs.replace(cluster.recovered[name], deactivated=False, drain=None)
    else:
        cluster.unreachable[name] = msgspec.structs.replace(cluster.unreachable[name], deactivated=False, drain=None)


def settle(cluster: Cluster) -> None:
    """After an event in which tasks or operations of draining agents went."""
    while cluster.maybe_drained:
        name, _ = cluster.maybe_drained.popitem()
        agent = cluster.agents.get(name)
        if agent is None or agent.drain is None or agent.drain.state != DrainState.DRAINING or not agent.is_empty:
            continue
        agent.drain = msgspec.structs.replace(agent.drain, state=DrainState.DRAINED)
        if agent.drain.mark_gone:
            membership.mark_gone(cluster, agent)
