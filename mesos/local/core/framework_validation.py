"""What is wrong with a call, a subscription, a framework's description: Mesos' checks and words."""

from __future__ import annotations

import math

from mesos.core.messages import Capability, FrameworkInfo
from mesos.core.scheduler_api import Call, CallType, Subscribe
from mesos.local.core.constraints import BadConstraint, OfferConstraints, problem_of_shape
from mesos.local.core.roles import problem_of_role, roles_of, shown
from mesos.local.core.task_validation import problem_of_id

#: Nanoseconds in 64 bits: Mesos' longest duration.
_MAX_SECONDS = 2**63 / 1e9

#: The payload that a call of each type must have; SUBSCRIBE and UPDATE_FRAMEWORK are looked at closer.
_PAYLOAD = {
    CallType.ACCEPT: "accept",
    CallType.DECLINE: "decline",
    CallType.ACCEPT_INVERSE_OFFERS: "accept_inverse_offers",
    CallType.DECLINE_INVERSE_OFFERS: "decline_inverse_offers",
    CallType.KILL: "kill",
    CallType.SHUTDOWN: "shutdown",
    CallType.ACKNOWLEDGE: "acknowledge",
    CallType.ACKNOWLEDGE_OPERATION_STATUS: "acknowledge_operation_status",
    CallType.RECONCILE: "reconcile",
    CallType.RECONCILE_OPERATIONS: "reconcile_operations",
    CallType.MESSAGE: "message",
    CallType.REQUEST: "request",
}
_WITHOUT = (CallType.TEARDOWN, CallType.REVIVE, CallType.SUPPRESS)


def problem_of_call(call: Call, principal: str | None) -> str | None:
    """Of a whole scheduler call; becomes a 400."""
    if call.type == CallType.SUBSCRIBE:
        return _of_description(call, call.subscribe, "subscribe") or _of_principal(call.subscribe, principal)
    if call.type not in _PAYLOAD and call.type not in _WITHOUT and call.type != CallType.UPDATE_FRAMEWORK:
        return "Expecting 'type' to be present"
    if call.framework_id is None:
        return "Expecting 'framework_id' to be present"
    if call.type == CallType.UPDATE_FRAMEWORK:
        return _of_description(call, call.update_framework, "update_framework")
    wanted = _PAYLOAD.get(CallType(call.type))
    if wanted is not None and getattr(call, wanted) is None:
        return f"Expecting '{wanted}' to be present"
    return _of_uuids(call)


def _of_description(call: Call, payload: Subscribe | None, name: str) -> str | None:
    if payload is None:
        return f"Expecting '{name}' to be present"
    if payload.framework_info.id != call.framework_id:
        return f"'framework_id' differs from '{name}.framework_info.id'"
    return None


def problem_of_json(call: Call) -> str | None:
    """What a typed decoder leaves to us: the shape of constraints. Comes before everything else."""
    for name in ("subscribe", "update_framework"):
        payload: Subscribe | None = getattr(call, name)
        problem = problem_of_shape(payload.offer_constraints) if payload is not None else None
        if problem is not None:
            words = problem.replace("Missing required fields: ", f"Missing required fields: {name}.")
            return f"Failed to convert JSON into Call protobuf: {words}"
    return None


def _of_principal(payload: Subscribe | None, principal: str | None) -> str | None:
    named = payload.framework_info.principal if payload is not None else ""
    if principal is not None and named and named != principal:
        return other_principal(principal, named)
    return None


def other_principal(principal: str, named: str) -> str:
    return f"Authenticated principal '{principal}' does not match principal '{named}' set in `FrameworkInfo`"


def _of_uuids(call: Call) -> str | None:
    """An acknowledgement names 16 bytes."""
    ack = call.acknowledge if call.type == CallType.ACKNOWLEDGE else call.acknowledge_operation_status
    if call.type in (CallType.ACKNOWLEDGE, CallType.ACKNOWLEDGE_OPERATION_STATUS) and ack is not None:
        return None if len(ack.uuid) == 16 else "Not a valid UUID"
    return None


def problem_of_framework(info: FrameworkInfo) -> str | None:
    """Becomes an ERROR event."""
    return _of_roles(info) or (problem_of_id(info.id.value) if info.id is not None else None) or _of_timeout(info)


def _of_roles(info: FrameworkInfo) -> str | None:
    if info.can(Capability.MULTI_ROLE):
        if info.role:
            return "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
        twice = {role for role in info.roles if info.roles.count(role) > 1}
        if twice:
            return f"'FrameworkInfo.roles' contains duplicate items: {shown(twice)}"
        for role in info.roles:
            if (problem := problem_of_role(role)) is not None:
                return f"'FrameworkInfo.roles' contains invalid role: {problem}"
        return None
    if info.roles:
        return "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
    problem = problem_of_role(info.role) if info.role else None
    return f"'FrameworkInfo.role' is not a valid role: {problem}" if problem is not None else None


def _of_timeout(info: FrameworkInfo) -> str | None:
    seconds = info.failover_timeout
    if math.isnan(seconds) or abs(seconds) > _MAX_SECONDS:
        return f"The framework failover_timeout ({seconds:g}) is invalid"
    return None


def problem_of_subscription(payload: Subscribe, whitelist: tuple[str, ...] | None) -> str | None:
    info = payload.framework_info
    problem = problem_of_framework(info)
    if problem is not None:
        return problem
    roles = roles_of(info)
    unknown = [role for role in roles if whitelist is not None and role not in whitelist]
    if unknown:
        return f"Roles {shown(unknown)} are not present in the master's --roles"
    for role in payload.suppressed_roles:
        if role not in roles:
            return f"Suppressed role '{role}' is not contained in the list of roles"
    try:
        OfferConstraints(payload.offer_constraints)
    except BadConstraint as error:
        return str(error)
    return None


def problem_of_update(old: FrameworkInfo, new: FrameworkInfo) -> str | None:
    """What UPDATE_FRAMEWORK may not change."""
    if new.principal != old.principal:
        return "Changing framework's principal is not allowed."
    if new.user != old.user:
        return f"Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{old.user}' to '{new.user}'"
    if new.checkpoint != old.checkpoint:
        return (
            "Updating 'FrameworkInfo.checkpoint' is unsupported; "
            f"attempted to update from '{_word(old.checkpoint)}' to '{_word(new.checkpoint)}'"
        )
    return None


def _word(value: bool) -> str:
    return "true" if value else "false"
