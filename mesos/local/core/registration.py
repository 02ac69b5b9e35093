"""Agents register, and register again: new, back after a while, back from the dead, refused.

A new agent gets an id. One that has an id keeps it, with all that runs there, whether this master knows it as
connected, as disconnected, as unreachable, from the registry of the last master, or not at all.
"""

from __future__ import annotations

import msgspec

from mesos.core.messages import TERMINAL_STATES, AgentID, AgentInfo, Reason, TaskID, TaskState, Unavailability
from mesos.local.core import inverse_offers, membership, protocol, statuses, subscriptions, views
from mesos.local.core.cluster import Cluster
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import COMMAND_EXECUTOR, Agent, Machine
from mesos.local.core.offers import take_back
from mesos.local.core.operations import ENDED
from mesos.local.core.registry import DrainState, MachineMode
from mesos.local.core.resources import Resources
from mesos.local.core.tasks import TaskRecord


def register(cluster: Cluster, link: str, message: protocol.RegisterAgent) -> None:
    """A new one; the same said twice over one link is answered twice."""
    known = cluster.agents.get(cluster.by_link.get(link, ""))
    if known is not None:
        cluster.tell(known, protocol.AgentRegistered(agent_id=known.agent_id))
        return
    info = message.info
    if _is_down(cluster, info):
        _refuse(cluster, link, "Machine is `DOWN`")
        return
    same_place = cluster.agents.get(cluster.by_address.get((info.hostname, info.port), ""))
    if same_place is not None:
        if same_place.connected:
            return  # ignored until the old one is known to be away, as in Mesos
        membership.remove_agent(cluster, same_place, "a new agent registered at the same address")
    name = cluster.new_agent_id()
    info = msgspec.structs.replace(info, id=AgentID(value=name))
    agent = _add(cluster, info, link, Resources.of(info.resources))
    cluster.tell(agent, protocol.AgentRegistered(agent_id=agent.agent_id))
    _enter(cluster, agent)


def reregister(cluster: Cluster, link: str, message: protocol.ReregisterAgent) -> None:
    info = message.info
    if info.id is None:
        return
    name = info.id.value
    if name in cluster.gone:
        _refuse(cluster, link, "Agent has been marked gone")
        return
    if _is_down(cluster, info):
        _refuse(cluster, link, "Machine is `DOWN`")
        return
    known = cluster.agents.get(name)
    if known is None:
        _return(cluster, link, message)
    elif (known.info.hostname, known.info.port) != (info.hostname, info.port):
        _refuse(cluster, link, "Agent attempted to reregister with different IP / hostname")
    else:
        _reconnect(cluster, known, link, message)


def _is_down(cluster: Cluster, info: AgentInfo) -> bool:
    return cluster.machines.get((info.hostname.lower(), cluster.ip_of(info))) is MachineMode.DOWN


def _refuse(cluster: Cluster, link: str, text: str) -> None:
    cluster.effects.append(protocol.SendAgent(link=link, message=protocol.ShutdownAgent(message=text)))


def _add(cluster: Cluster, info: AgentInfo, link: str, total: Resources) -> Agent:
    """Into the books, not into the allocator yet: that is told with what the agent holds already."""
    assert info.id is not None
    name = info.id.value
    agent = cluster.agents[name] = Agent(name, info, link, cluster.ip_of(info), cluster.now.wall)
    cluster.by_link[link] = name
    cluster.by_address[info.hostname, info.port] = name
    cluster.on_machine.setdefault(agent.machine, {})[name] = None
    subject = (info.hostname, info.domain, info.attributes)
    cluster.allocator.add_agent(name, subject, total)
    return agent


def _enter(cluster: Cluster, agent: Agent) -> None:
    """It may be offered now."""
    inverse_offers.set_unavailability(cluster, agent, _unavailability(cluster, agent.machine))
    cluster.allocator.set_active(agent.id, agent.offered)
    cluster.allocator.touch(agent.id)
    cluster.announce(lambda: views.agent_added(cluster, agent))
    membership.start_pings(cluster, agent)


def _unavailability(cluster: Cluster, machine: Machine) -> Unavailability | None:
    """Looked up in the schedule, which is short, and only where there is one."""
    for window in cluster.schedule:
        if any((m.hostname.lower(), m.ip) == machine for m in window.machine_ids):
            return window.unavailability
    return None


def _return(cluster: Cluster, link: str, message: protocol.ReregisterAgent) -> None:
    """One that is not registered: recovering, unreachable, or never heard of."""
    assert message.info.id is not None
    name = message.info.id.value
    was = cluster.recovered.pop(name, None)
    lost = cluster.unreachable.pop(name, None)
    agent = _add(cluster, message.info, link, Resources.of(message.total or message.info.resources))
    agent.reregistered_at = cluster.now.wall
    before = was or lost
    if before is not None:
        agent.deactivated, agent.drain = before.deactivated, before.drain
    cluster.allocator.set_active(name, agent.offered)
    for info in message.frameworks:
        subscriptions.recover(cluster, info)
    cluster.tell(agent, protocol.AgentRegistered(agent_id=agent.agent_id))
    _adopt_executors(cluster, agent, message)
    _adopt_tasks(cluster, agent, message, lost is not None)
    _refresh_frameworks(cluster, agent, message)
    _remind_of_drain(cluster, agent)
    _enter(cluster, agent)


def _adopt_executors(cluster: Cluster, agent: Agent, message: protocol.ReregisterAgent) -> None:
    for info in message.executors:
        framework = cluster.frameworks.get(info.framework_id.value if info.framework_id is not None else "")
        if framework is None or agent.executor(framework.id, info.executor_id.value) is not None:
            continue
        if info.name.startswith(COMMAND_EXECUTOR):
            continue
        resources = Resources.of(info.resources).filter(lambda key: not key.shared)
        cluster.allocator.allocate_to(framework.id, agent.id, resources)
        statuses.add_executor(agent, framework, info, resources)


def _adopt_tasks(cluster: Cluster, agent: Agent, message: protocol.ReregisterAgent, was_lost: bool) -> None:
    """Tasks of frameworks that are over end with them (`_refresh_frameworks`)."""
    for task in message.tasks:
        framework = cluster.frameworks.get(task.framework_id.value)
        if framework is None or framework.task(task.task_id.value) is not None:
            continue
        record = TaskRecord.told(task, agent.id)
        framework.unreachable.pop(record.id, None)
        if not record.over:
            cluster.allocator.allocate_to(framework.id, agent.id, record.resources)
        statuses.add_task(cluster, framework, agent, record)
        if was_lost and not record.over:
            text = "Unreachable agent re-reregistered"
            status = statuses.status_of(
                cluster, record.id, record.state, Reason.AGENT_REREGISTERED, text, agent.id, record.executor
            )
            statuses.forward(cluster, framework, status)


def _refresh_frameworks(cluster: Cluster, agent: Agent, message: protocol.ReregisterAgent) -> None:
    """Those that are over end there, too; of the others the agent hears the newest."""
    for info in message.frameworks:
        name = info.id.value if info.id is not None else ""
        framework = cluster.frameworks.get(name)
        if framework is not None:
            if framework.stream_id is not None:
                cluster.tell(agent, protocol.UpdateFramework(framework=framework.info))
        elif info.id is not None:
            cluster.tell(agent, protocol.ShutdownFramework(framework_id=info.id))


def _reconnect(cluster: Cluster, agent: Agent, link: str, message: protocol.ReregisterAgent) -> None:
    """A registered one: it restarted, or only its link broke. What it says of itself holds; tasks that it does not
    mention it is asked about, executors that it does not mention are gone."""
    if agent.link != link:
        cluster.by_link.pop(agent.link, None)
        agent.link = link
        cluster.by_link[link] = agent.id
    agent.connected = True
    agent.reregistered_at = cluster.now.wall
    agent.info = message.info
    told = {(task.framework_id.value, task.task_id.value) for task in message.tasks}
    missing = tuple(
        _task_of(cluster.frameworks[name], record.id)
        for name, of_framework in agent.tasks.items()
        for record in of_framework.values()
        if (name, record.id) not in told and not record.over and name in cluster.frameworks
    )
    cluster.tell(agent, protocol.AgentRegistered(agent_id=agent.agent_id, reconcile=missing))
    _forget_executors(cluster, agent, message)
    _adopt_strangers(cluster, agent, message)
    if message.total:
        total = Resources.of(message.total)
        if total != cluster.allocator.agents[agent.id].total and not agent.operations:
            cluster.allocator.set_total(agent.id, total)
    for record in list(agent.operations.values()):
        _repeat_operation(cluster, agent, record.uuid)
    for framework, task in list(agent.killed):
        if (framework, task) in told:
            kill = protocol.KillTask(
                framework_id=cluster.frameworks[framework].framework_id,
                task_id=TaskID(value=task),
            )
            cluster.tell(agent, kill)
    _refresh_frameworks(cluster, agent, message)
    _remind_of_drain(cluster, agent)
    cluster.allocator.set_active(agent.id, agent.offered)
    membership.start_pings(cluster, agent)


def _task_of(framework: Framework, task: str) -> protocol.TaskOf:
    state = statuses.old_or_new(framework, TaskState.DROPPED)
    return protocol.TaskOf(framework_id=framework.framework_id, task_id=TaskID(value=task), state=state)


def _adopt_strangers(cluster: Cluster, agent: Agent, message: protocol.ReregisterAgent) -> None:
    """What runs there and is in no book: a task that was told as over is killed, others come into the books."""
    unknown = [
        task
        for task in message.tasks
        if task.state not in TERMINAL_STATES
        and task.framework_id.value in cluster.frameworks
        and agent.task(task.framework_id.value, task.task_id.value) is None
    ]
    if not unknown:
        return
    take_back(cluster, agent.offers, rescind=True)
    strangers = []
    for task in unknown:
        framework = cluster.frameworks[task.framework_id.value]
        if any(record.id == task.task_id.value for record in framework.completed):
            cluster.tell(agent, protocol.KillTask(framework_id=task.framework_id, task_id=task.task_id))
        else:
            strangers.append(task)
    changed = msgspec.structs.replace(message, tasks=tuple(strangers))
    _adopt_executors(cluster, agent, changed)
    _adopt_tasks(cluster, agent, changed, was_lost=False)


def _forget_executors(cluster: Cluster, agent: Agent, message: protocol.ReregisterAgent) -> None:
    told = {
        (e.framework_id.value if e.framework_id is not None else "", e.executor_id.value) for e in message.executors
    }
    for framework in list(agent.executors):
        for executor in list(agent.executors[framework]):
            if (framework, executor) not in told:
                statuses.remove_executor(cluster, agent, framework, executor)


def _repeat_operation(cluster: Cluster, agent: Agent, uuid: bytes) -> None:
    """One whose outcome is not known: the message may have been lost; an agent does the same one once."""
    record = agent.operations[uuid]
    if record.state in ENDED:
        return
    framework = cluster.frameworks.get(record.framework)
    message = protocol.ApplyOperation(
        operation_uuid=uuid,
        operation=record.operation,
        framework_id=framework.framework_id if framework is not None else None,
    )
    cluster.tell(agent, message)


def _remind_of_drain(cluster: Cluster, agent: Agent) -> None:
    if agent.drain is not None and agent.drain.state == DrainState.DRAINING:
        message = protocol.DrainAgent(max_grace_period=agent.drain.max_grace_period, mark_gone=agent.drain.mark_gone)
        cluster.tell(agent, message)
