"""What executors ask over HTTP, and the answers, in the words of a real agent.

Looked at in this order: whether the agent can answer yet, the call itself, who makes it, whether its framework and
executor are known here, whether it may speak.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from mesos.core.executor_api import Call, CallType, Subscribe, Update
from mesos.core.messages import ContainerID, Source, TaskState, TaskStatus
from mesos.local.core import agent_executors, agent_forward, agent_statuses
from mesos.local.core.agent_disk import Executor, Framework
from mesos.local.core.agent_recovery import TIMEOUT
from mesos.local.core.agent_state import AgentState, Effects
from mesos.local.core.agent_states import AgentPhase, ExecutorState
from mesos.local.core.agent_token import BadToken, Claims, verify
from mesos.local.core.protocol import ExecutorMessage
from thermos.clock import Now

NOT_RECOVERED = "Agent has not finished recovery"
INVALID = "Failed to validate Executor::Call: "
FULL = "Too many status updates wait for their acknowledgement"


@dataclass(frozen=True, slots=True)
class Answer:
    """To a call. `container_id` is the caller's, as far as it is known; the stream of a subscription belongs to it."""

    status: int
    text: str = ""
    effects: Effects = field(default=())
    container_id: ContainerID | None = None


class Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def answer(agent: AgentState, call: Call, token: str | None, now: Now) -> Answer:
    """To a call of any type; 200 to a subscription, whose events are among the effects, else 202."""
    try:
        framework, executor = _look_at(agent, call, token, now)
    except Refused as refused:
        return Answer(refused.status, refused.text, agent.take_effects())
    match call.type:
        case CallType.SUBSCRIBE:
            agent_executors.subscribe(agent, framework, executor, _repeated(agent, call, now), now)
            return Answer(200, "", agent.take_effects(), executor.container_id)
        case CallType.UPDATE:
            assert call.update is not None
            if not agent_forward.has_room(agent, framework.id, call.update.status.task_id.value):
                return Answer(503, FULL, agent.take_effects(), executor.container_id)
            _update(agent, executor, call.update.status, now)
        case CallType.MESSAGE:
            assert call.message is not None
            agent.count("valid_framework_messages")
            agent.tell_master(
                ExecutorMessage(
                    framework_id=call.framework_id,
                    agent_id=agent.agent_id,
                    executor_id=call.executor_id,
                    data=call.message.data,
                )
            )
    return Answer(202, "", agent.take_effects(), executor.container_id)


def authenticate(agent: AgentState, token: str | None, now: Now) -> Claims | None:
    """Whose token it is; None where tokens do not matter. Raises BadToken, with an empty text where there is none."""
    key = agent.options.jwt_secret_key
    if key is None or not agent.options.authenticate_http_executors:
        return None
    if token is None:
        raise BadToken("")
    return verify(key, token, now.wall)


def _look_at(agent: AgentState, call: Call, token: str | None, now: Now) -> tuple[Framework, Executor]:
    try:
        claims = authenticate(agent, token, now)
    except BadToken as problem:
        raise Refused(401, str(problem)) from problem
    is_waiting = agent.deadlines.get((TIMEOUT,)) is not None  # for its executors, after a restart
    if agent.phase is AgentPhase.RECOVERING and not is_waiting:
        raise Refused(503, NOT_RECOVERED)
    invalid = invalidity(call)
    if invalid is not None:
        raise Refused(400, INVALID + invalid)
    if is_waiting and call.type != CallType.SUBSCRIBE:
        raise Refused(503, NOT_RECOVERED)
    framework = agent.framework(call.framework_id.value)
    if framework is None:
        raise Refused(400, "Framework cannot be found")
    executor = framework.executors.get(call.executor_id.value)
    if executor is None:
        raise Refused(400, "Executor cannot be found")
    if claims is not None:
        _check_claims(claims, executor)
    if executor.state is ExecutorState.REGISTERING and call.type != CallType.SUBSCRIBE:
        raise Refused(403, "Executor is not subscribed")
    return framework, executor


def _check_claims(claims: Claims, executor: Executor) -> None:
    shown = msgspec.json.encode({"claims": claims}).decode()
    who = f"Authenticated principal '{shown}' does not contain"
    framework_id, executor_id = executor.framework_id, executor.id
    if claims["fid"] != framework_id:
        raise Refused(403, f"{who} an 'fid' claim with the framework ID {framework_id}, which is set in the call")
    if claims["eid"] != executor_id:
        raise Refused(403, f"{who} an 'eid' claim with the executor ID {executor_id}, which is set in the call")
    if claims["cid"] != executor.container_id.value:
        raise Refused(403, f"{who} a 'cid' claim with the correct active ContainerID")


def invalidity(call: Call) -> str | None:
    """What is wrong with a call whatever the agent knows."""
    payload = {
        CallType.SUBSCRIBE: ("subscribe", call.subscribe),
        CallType.UPDATE: ("update", call.update),
        CallType.MESSAGE: ("message", call.message),
        CallType.HEARTBEAT: ("", call),
    }
    if call.type not in payload:
        return "Expecting 'type' to be present"
    name, value = payload[CallType(call.type)]
    if value is None:
        return f"Expecting '{name}' to be present"
    if call.update is not None and call.type == CallType.UPDATE:
        return _invalid_status(call, call.update.status)
    return None


def _invalid_status(call: Call, status: TaskStatus) -> str | None:
    executor, framework = call.executor_id.value, call.framework_id.value
    if not status.uuid:
        return "Expecting 'uuid' to be present"
    if len(status.uuid) != 16:
        return "Not a valid UUID"
    if status.executor_id is not None and status.executor_id != call.executor_id:
        return f"ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {status.executor_id.value}"
    if status.source != Source.EXECUTOR:
        return (
            f"Received Call from executor {executor} of framework {framework} with invalid source, "
            "expecting 'SOURCE_EXECUTOR'"
        )
    if status.state == TaskState.STAGING:
        return f"Received TASK_STAGING from executor {executor} of framework {framework} which is not allowed"
    return None


def _update(agent: AgentState, sender: Executor, status: TaskStatus, now: Now) -> None:
    complete = _completed(agent, status, now)
    if complete is None:
        agent.count("invalid_status_updates")
    else:
        agent_statuses.handle(agent, sender.framework_id, complete, now, sender)


def _completed(agent: AgentState, status: TaskStatus, now: Now) -> TaskStatus | None:
    """With what the executor need not say. None for a status of another agent: a real one drops it without a word."""
    if status.agent_id is not None and status.agent_id != agent.agent_id:
        return None
    timestamp = status.timestamp if status.timestamp is not None else now.wall
    return msgspec.structs.replace(status, agent_id=agent.agent_id, timestamp=timestamp)


def _repeated(agent: AgentState, call: Call, now: Now) -> Subscribe:
    """A subscription with those of its updates that would be taken as UPDATE calls, too."""
    assert call.subscribe is not None
    updates = []
    for update in call.subscribe.unacknowledged_updates:
        status = _completed(agent, update.status, now) if _invalid_status(call, update.status) is None else None
        if status is None:
            agent.count("invalid_status_updates")
        else:
            updates.append(Update(status=status))
    return msgspec.structs.replace(call.subscribe, unacknowledged_updates=tuple(updates))
