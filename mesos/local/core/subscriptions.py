"""Frameworks come, fail over, change, lose their stream, time out, are torn down.

A subscription that is refused for what it says is an ERROR event on its own stream, which then ends; that is how Mesos
tells it. A second subscription with the same id takes over: the first stream hears "Framework failed over" and ends.
"""

from __future__ import annotations

import msgspec

from mesos.core.messages import FrameworkID, FrameworkInfo, Reason, TaskState
from mesos.core.scheduler_api import Error, Event, EventType, Roles, Subscribe, Subscribed
from mesos.local.core import framework_validation, operating, protocol, statuses, views
from mesos.local.core.cluster import Answer, Cluster, Due, Kind
from mesos.local.core.constraints import OfferConstraints
from mesos.local.core.frameworks import Framework, Happening, Step
from mesos.local.core.inverse_offers import drop_inverse_offers
from mesos.local.core.offers import take_back


def subscribe(cluster: Cluster, payload: Subscribe, stream_id: str, principal: str | None) -> None:
    """Leaves the answer on the stream: SUBSCRIBED, or ERROR and its end. Who says no principal has the one that he
    was authenticated as."""
    info = payload.framework_info
    if principal is not None and not info.principal:
        info = msgspec.structs.replace(info, principal=principal)
        payload = msgspec.structs.replace(payload, framework_info=info)
    problem = framework_validation.problem_of_subscription(payload, cluster.config.roles)
    if problem is None and info.id is not None and info.id.value in cluster.completed:
        problem = "Framework has been removed"
    if problem is not None:
        _end(cluster, stream_id, problem)
        return
    framework = cluster.frameworks.get(info.id.value) if info.id is not None else None
    if framework is None:
        framework = _add(cluster, info)
        step, old_stream = framework.step(Happening.SUBSCRIBES), None
    else:
        if info.principal != framework.info.principal:
            _end(cluster, stream_id, "Changing framework's principal is not allowed.")
            return
        old_stream = framework.stream_id
        step = framework.step(Happening.SUBSCRIBES)
    if step is Step.FAIL_OVER and old_stream is not None:
        cluster.by_stream.pop(old_stream, None)
        _end(cluster, old_stream, "Framework failed over")
    _welcome(cluster, framework, payload, stream_id, step)


def _end(cluster: Cluster, stream_id: str, problem: str) -> None:
    event = Event(type=EventType.ERROR, error=Error(message=problem))
    cluster.effects += [protocol.SendEvent(stream_id=stream_id, event=event), protocol.CloseStream(stream_id=stream_id)]


def _add(cluster: Cluster, info: FrameworkInfo) -> Framework:
    name = info.id.value if info.id is not None else cluster.new_framework_id()
    info = msgspec.structs.replace(info, id=FrameworkID(value=name))
    framework = cluster.frameworks[name] = Framework(name, info)
    cluster.allocator.add_framework(name, info)
    return framework


def recover(cluster: Cluster, info: FrameworkInfo) -> Framework | None:
    """An agent says that there is such a framework; None for one that is over."""
    name = info.id.value if info.id is not None else ""
    if not name or name in cluster.completed:
        return None
    known = cluster.frameworks.get(name)
    if known is not None:
        return known
    framework = _add(cluster, info)
    _await(cluster, framework)
    cluster.announce(lambda: views.framework_event(cluster, framework, "FRAMEWORK_ADDED"))
    return framework


def _welcome(cluster: Cluster, framework: Framework, payload: Subscribe, stream_id: str, step: Step) -> None:
    """The last of its streams gets all events; offers of before are void."""
    take_back(cluster, framework.offers, rescind=False)
    drop_inverse_offers(cluster, list(framework.inverse_offers), rescind=False)
    framework.stream_id, framework.deadline = stream_id, None
    framework.streams += 1
    cluster.by_stream[stream_id] = framework.id
    framework.reregistered_at = cluster.now.wall
    if framework.registered_at is None:
        framework.registered_at = cluster.now.wall
    _learn(cluster, framework, payload)
    subscribed = Subscribed(
        framework_id=framework.framework_id,
        heartbeat_interval_seconds=cluster.config.heartbeat_interval_s,
        master_info=cluster.info,
    )
    cluster.send(framework, Event(type=EventType.SUBSCRIBED, subscribed=subscribed))
    heartbeat(cluster, framework.id, framework.streams)
    cluster.allocator.activate(framework.id)
    kind = "FRAMEWORK_ADDED" if step is Step.REGISTER else "FRAMEWORK_UPDATED"
    cluster.announce(lambda: views.framework_event(cluster, framework, kind))
    _tell_agents(cluster, framework)


def _learn(cluster: Cluster, framework: Framework, payload: Subscribe) -> None:
    """What it may change about itself; id, user, checkpoint and principal stay as they were."""
    old = framework.info
    info = msgspec.structs.replace(
        payload.framework_info, id=old.id, user=old.user, checkpoint=old.checkpoint, principal=old.principal
    )
    framework.learn(info)
    framework.suppressed = frozenset(payload.suppressed_roles)
    framework.constraints = OfferConstraints(payload.offer_constraints)
    cluster.allocator.update_framework(framework.id, info, framework.suppressed, framework.constraints)


def _tell_agents(cluster: Cluster, framework: Framework) -> None:
    message = protocol.UpdateFramework(framework=framework.info)
    for name in agents_of(cluster, framework):
        cluster.tell(cluster.agents[name], message)


def agents_of(cluster: Cluster, framework: Framework) -> list[str]:
    """Where it has tasks or executors: found by its tasks, and by the executors that outlive theirs."""
    names = dict.fromkeys(task.agent for task in framework.tasks.values())
    names.update(dict.fromkeys(framework.executors_on))
    return [name for name in names if name in cluster.agents]


def heartbeat(cluster: Cluster, framework: str, streams: int) -> None:
    known = cluster.frameworks.get(framework)
    if known is not None and known.active and known.streams == streams:
        cluster.send(known, Event(type=EventType.HEARTBEAT))
        cluster.at(cluster.config.heartbeat_interval_s, Kind.HEARTBEAT, framework, streams)


def update(cluster: Cluster, framework: Framework, payload: Subscribe) -> Answer:
    """UPDATE_FRAMEWORK: all or nothing; what is offered under roles that it left comes back."""
    problem = framework_validation.problem_of_framework(payload.framework_info)
    if problem is not None:
        return Answer(status=400, text=f"Supplied FrameworkInfo is not valid: {problem}")
    problem = framework_validation.problem_of_update(framework.info, payload.framework_info)
    if problem is not None:
        return Answer(status=400, text=f"FrameworkInfo update is not valid: {problem}")
    problem = framework_validation.problem_of_subscription(payload, cluster.config.roles)
    if problem is not None:
        prefix = (
            "" if problem.startswith(("Suppressed", "Roles")) else "'UpdateFramework.offer_constraints' are not valid: "
        )
        return Answer(status=400, text=prefix + problem)
    _learn(cluster, framework, payload)
    foreign = [name for name in framework.offers if cluster.offers[name].role not in framework.roles]
    take_back(cluster, foreign, rescind=True)
    cluster.announce(lambda: views.framework_event(cluster, framework, "FRAMEWORK_UPDATED"))
    _tell_agents(cluster, framework)
    return Answer(status=200)


def suppress(cluster: Cluster, framework: Framework, call: Roles | None) -> None:
    """Of roles that are not its own, Mesos takes no notice."""
    roles = _own(framework, call)
    framework.suppressed = framework.suppressed | set(roles)
    cluster.allocator.suppress(framework.id, roles)


def revive(cluster: Cluster, framework: Framework, call: Roles | None) -> None:
    roles = _own(framework, call)
    framework.suppressed = framework.suppressed - set(roles)
    cluster.allocator.revive(framework.id, roles)


def _own(framework: Framework, call: Roles | None) -> tuple[str, ...]:
    named = call.roles if call is not None else ()
    return tuple(role for role in named if role in framework.roles) if named else framework.roles


# --- going --------------------------------------------------------------------------------------------------------


def stream_closed(cluster: Cluster, stream_id: str) -> None:
    framework = cluster.frameworks.get(cluster.by_stream.pop(stream_id, ""))
    if framework is None or framework.stream_id != stream_id:
        return
    framework.stream_id = None
    if framework.step(Happening.STREAM_ENDS) is Step.DISCONNECT:
        framework.unregistered_at = cluster.now.wall
        _withdraw(cluster, framework)
        _await(cluster, framework)
        cluster.announce(lambda: views.framework_event(cluster, framework, "FRAMEWORK_UPDATED"))


def _withdraw(cluster: Cluster, framework: Framework) -> None:
    cluster.allocator.deactivate(framework.id)
    take_back(cluster, framework.offers, rescind=False)
    drop_inverse_offers(cluster, list(framework.inverse_offers), rescind=False)


def _await(cluster: Cluster, framework: Framework) -> None:
    """It may come back until its failover timeout is over."""
    framework.deadline = cluster.now.mono + max(0.0, framework.info.failover_timeout)
    _set_alarm(cluster, framework, framework.deadline)


def _set_alarm(cluster: Cluster, framework: Framework, deadline: float) -> None:
    """One that rings earlier will do: a framework that comes and goes has not a timer for each time."""
    if framework.alarm is None or framework.alarm > deadline:
        framework.alarm = deadline
        cluster.timers.add(deadline, Due(Kind.FAILOVER, framework.id, deadline))


def alarm_rings(cluster: Cluster, name: str, alarm: float) -> None:
    framework = cluster.frameworks.get(name)
    if framework is None or framework.alarm != alarm:
        return
    framework.alarm = None
    if framework.deadline is None:
        return
    if framework.deadline <= cluster.now.mono:
        _remove(cluster, framework, Happening.TIME_IS_UP)
    else:
        _set_alarm(cluster, framework, framework.deadline)


def teardown(cluster: Cluster, framework: Framework) -> None:
    _remove(cluster, framework, Happening.TORN_DOWN)


def _remove(cluster: Cluster, framework: Framework, happening: Happening) -> None:
    """All its tasks end; it never comes back."""
    was_active, stream = framework.active, framework.stream_id
    if framework.step(happening) is not Step.REMOVE:
        return
    if was_active:
        _withdraw(cluster, framework)
    if stream is not None:
        cluster.by_stream.pop(stream, None)
        framework.stream_id = None
        cluster.effects.append(protocol.CloseStream(stream_id=stream))
    framework.unregistered_at = cluster.now.wall
    for name in agents_of(cluster, framework):
        _leave_agent(cluster, framework, name)
    for task in list(framework.unreachable.values()):
        framework.completed.append(task)
    framework.unreachable.clear()
    cluster.allocator.remove_framework(framework.id)
    del cluster.frameworks[framework.id]
    cluster.completed[framework.id] = framework
    while len(cluster.completed) > cluster.config.max_completed_frameworks:
        cluster.completed.popitem(last=False)
    cluster.announce(lambda: views.framework_removed(framework))


def _leave_agent(cluster: Cluster, framework: Framework, name: str) -> None:
    agent = cluster.agents[name]
    cluster.tell(agent, protocol.ShutdownFramework(framework_id=framework.framework_id))
    for task in list(agent.tasks.get(framework.id, {}).values()):
        if not task.over:
            text = f"Framework {framework.id} removed"
            status = statuses.status_of(
                cluster, task.id, TaskState.KILLED, Reason.FRAMEWORK_REMOVED, text, agent.id, task.executor
            )
            statuses.apply_status(cluster, agent, task, status, TaskState.KILLED)
        statuses.remove_task(cluster, agent, task)
    for executor in list(agent.executors.get(framework.id, {})):
        statuses.remove_executor(cluster, agent, framework.id, executor)
    for record in [r for r in agent.operations.values() if r.framework == framework.id]:
        operating.forget(cluster, agent, record)
