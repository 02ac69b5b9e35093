"""Agents are heard of, go silent, go for good. (How they come is `registration`.)

An agent is known by its id, and heard of over a link. Registered and heard of, it is offered. When its link breaks it
is only disconnected: its offers are taken back, its tasks stay (those of frameworks that do not checkpoint are lost).
When it answers no pings it is unreachable: its tasks are told as such, and come back if it does. It is away for good
when it says so, when its machine goes down, or when an operator marks it gone.
"""

from __future__ import annotations

from mesos.core.messages import AgentID, Reason, TaskState, TimeInfo
from mesos.core.scheduler_api import Event, EventType, Failure
from mesos.local.core import inverse_offers, operating, protocol, statuses, views
from mesos.local.core.cluster import Cluster, Kind
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent
from mesos.local.core.offers import take_back
from mesos.local.core.registry import LostAgent

# --- heard of or not ----------------------------------------------------------------------------------------------


def start_pings(cluster: Cluster, agent: Agent) -> None:
    agent.session += 1
    agent.timeouts = 0
    _ping(cluster, agent)


def _ping(cluster: Cluster, agent: Agent) -> None:
    agent.pinged = True
    cluster.tell(agent, protocol.Ping(connected=agent.connected))
    cluster.at(cluster.config.agent_ping_timeout_s, Kind.PING, agent.id, agent.session)


def ping_due(cluster: Cluster, name: str, session: float) -> None:
    agent = cluster.agents.get(name)
    if agent is None or agent.session != session:
        return
    if agent.pinged:
        agent.timeouts += 1
        if agent.timeouts >= cluster.config.max_agent_ping_timeouts:
            mark_unreachable(cluster, agent, "health check timed out")
            return
    _ping(cluster, agent)


def pong(cluster: Cluster, message: protocol.Pong) -> None:
    agent = cluster.agents.get(message.agent_id.value)
    if agent is not None:
        agent.pinged, agent.timeouts = False, 0


def link_broken(cluster: Cluster, link: str) -> None:
    """It may be back at once; until then nothing of it is offered."""
    agent = cluster.agents.get(cluster.by_link.pop(link, ""))
    if agent is None or agent.link != link or not agent.connected:
        return
    agent.connected = False
    cluster.allocator.set_active(agent.id, False)
    take_back(cluster, agent.offers, rescind=True)
    drop = list(agent.inverse_offers.values())
    inverse_offers.drop_inverse_offers(cluster, drop, rescind=True)
    for name in agent.frameworks:
        framework = cluster.frameworks.get(name)
        if framework is not None and not framework.info.checkpoint:
            text = f"Agent {agent.info.hostname} disconnected"
            _lose_tasks(cluster, agent, framework, TaskState.LOST, Reason.AGENT_DISCONNECTED, text)
    cluster.at(cluster.config.agent_reregister_timeout_s, Kind.AWAY, agent.id, agent.session)


def away_too_long(cluster: Cluster, name: str, session: float) -> None:
    agent = cluster.agents.get(name)
    if agent is not None and agent.session == session and not agent.connected:
        timeout = f"{cluster.config.agent_reregister_timeout_s:g}secs"
        mark_unreachable(cluster, agent, f"agent did not reregister within {timeout} after disconnecting")


def _lose_tasks(
    cluster: Cluster, agent: Agent, framework: Framework, state: TaskState, reason: Reason, text: str,
    since: TimeInfo | None = None,
) -> None:  # fmt: skip
    """All of one framework's on one agent, and its executors there."""
    unreachable = since is not None
    for task in list(agent.tasks.get(framework.id, {}).values()):
        if not task.over:
            status = statuses.status_of(
                cluster, task.id, state, reason, text, agent.id, task.executor, unreachable_time=since
            )
            statuses.apply_status(cluster, agent, task, status, state)
            statuses.forward(cluster, framework, status)
            statuses.remove_task(cluster, agent, task, unreachable=unreachable)
        else:
            statuses.remove_task(cluster, agent, task)
    for executor in list(agent.executors.get(framework.id, {})):
        statuses.remove_executor(cluster, agent, framework.id, executor)


# --- going --------------------------------------------------------------------------------------------------------


def mark_unreachable(cluster: Cluster, agent: Agent, text: str) -> None:
    since = cluster.time_info
    lost = LostAgent(agent_id=agent.id, since=since, deactivated=agent.deactivated, drain=agent.drain)
    for name in agent.frameworks:
        framework = cluster.frameworks.get(name)
        if framework is not None:
            state = statuses.old_or_new(framework, TaskState.UNREACHABLE)
            _lose_tasks(cluster, agent, framework, state, Reason.AGENT_REMOVED, text, since)
    _leave(cluster, agent)
    cluster.unreachable[agent.id] = lost
    _bound(cluster)


def remove_agent(cluster: Cluster, agent: Agent, text: str) -> None:
    """It is away for good; even frameworks with PARTITION_AWARE hear TASK_LOST. That is Mesos."""
    text = f"Agent {agent.info.hostname} removed: {text}"
    for name in agent.frameworks:
        framework = cluster.frameworks.get(name)
        if framework is not None:
            _lose_tasks(cluster, agent, framework, TaskState.LOST, Reason.AGENT_REMOVED, text)
    _leave(cluster, agent)
    cluster.announce(lambda: views.agent_removed(agent))


def end_agent(cluster: Cluster, agent: Agent, text: str) -> None:
    """And it is told to end."""
    cluster.tell(agent, protocol.ShutdownAgent(message=text))
    remove_agent(cluster, agent, text)


def mark_gone(cluster: Cluster, agent: Agent) -> None:
    text = "Agent has been marked gone"
    for name in agent.frameworks:
        framework = cluster.frameworks.get(name)
        if framework is not None:
            state = statuses.old_or_new(framework, TaskState.GONE_BY_OPERATOR)
            _lose_tasks(cluster, agent, framework, state, Reason.AGENT_REMOVED_BY_OPERATOR, text)
    cluster.tell(agent, protocol.ShutdownAgent(message=text))
    _leave(cluster, agent)
    cluster.gone[agent.id] = LostAgent(agent_id=agent.id, since=cluster.time_info)
    _bound(cluster)  # operators' streams hear nothing of it, as with Mesos


def mark_gone_by_id(cluster: Cluster, name: str) -> bool:
    """Also one that is away; False for one that nobody knows."""
    agent = cluster.agents.get(name)
    if agent is not None:
        mark_gone(cluster, agent)
        return True
    known = cluster.recovered.pop(name, None) or cluster.unreachable.pop(name, None)
    if known is None:
        return False
    cluster.gone[name] = LostAgent(agent_id=name, since=cluster.time_info)
    _bound(cluster)
    return True


def unregister(cluster: Cluster, message: protocol.UnregisterAgent) -> None:
    agent = cluster.agents.get(message.agent_id.value)
    if agent is not None:
        remove_agent(cluster, agent, "the agent unregistered")


def _leave(cluster: Cluster, agent: Agent) -> None:
    """Out of the books; its tasks have been dealt with. All frameworks hear of it."""
    for name in agent.frameworks:  # of frameworks that are over
        for task in list(agent.tasks.get(name, {}).values()):
            statuses.remove_task(cluster, agent, task)
        for executor in list(agent.executors.get(name, {})):
            statuses.remove_executor(cluster, agent, name, executor)
    take_back(cluster, agent.offers, rescind=True)
    inverse_offers.drop_inverse_offers(cluster, list(agent.inverse_offers.values()), rescind=True)
    for record in list(agent.operations.values()):
        operating.forget(cluster, agent, record)
    cluster.drains.forget(agent.id)
    cluster.allocator.remove_agent(agent.id)
    del cluster.agents[agent.id]
    cluster.by_link.pop(agent.link, None)
    cluster.by_address.pop((agent.info.hostname, agent.info.port), None)
    machine = cluster.on_machine.get(agent.machine, {})
    machine.pop(agent.id, None)
    if not machine:
        cluster.on_machine.pop(agent.machine, None)
    tell_lost(cluster, agent.id)


def tell_lost(cluster: Cluster, agent: str) -> None:
    event = Event(type=EventType.FAILURE, failure=Failure(agent_id=AgentID(value=agent)))
    for framework in cluster.frameworks.values():
        cluster.send(framework, event)


def _bound(cluster: Cluster) -> None:
    for lost in (cluster.unreachable, cluster.gone):
        while len(lost) > cluster.config.max_lost_agents:
            lost.popitem(last=False)


def recovery_is_over(cluster: Cluster) -> None:
    """Agents of the last master's registry that did not come back are unreachable; of their tasks nothing is known."""
    for name, known in list(cluster.recovered.items()):
        del cluster.recovered[name]
        cluster.unreachable[name] = LostAgent(
            agent_id=name, since=cluster.time_info, deactivated=known.deactivated, drain=known.drain
        )
        tell_lost(cluster, name)
    _bound(cluster)
