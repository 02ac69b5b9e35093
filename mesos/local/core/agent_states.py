"""The two state machines of an agent, each one table: the agent's own, and that of an executor.

An agent:

    RECOVERING --recovered--> DISCONNECTED --registered--> RUNNING
                                   ^----------lost master-----'
    any --shutdown--> TERMINATING

An executor, from the start of its container to its end:

    REGISTERING --subscribe--> RUNNING --shutdown--> TERMINATING --exited--> TERMINATED
         '---shutdown, registration or re-registration timeout--^

After an agent's restart its executors are REGISTERING again, until they subscribe. A container may end at any time.
TERMINATED executors stay until all updates of their tasks were acknowledged.

Source: Mesos 1.11, behaviour of a real agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class AgentPhase(StrEnum):
    RECOVERING = "RECOVERING"
    DISCONNECTED = "DISCONNECTED"
    RUNNING = "RUNNING"
    TERMINATING = "TERMINATING"


class AgentChange(StrEnum):
    RECOVERED = "recovered"
    REGISTERED = "registered"
    LOST_MASTER = "lost master"
    SHUTDOWN = "shutdown"


class ExecutorState(StrEnum):
    REGISTERING = "REGISTERING"
    RUNNING = "RUNNING"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"


class ExecutorChange(StrEnum):
    SUBSCRIBE = "subscribe"
    REGISTRATION_TIMEOUT = "registration timeout"
    REREGISTRATION_TIMEOUT = "re-registration timeout"
    SHUTDOWN = "shutdown"  # it is asked to end
    GRACE_OVER = "grace over"
    DISCARD = "discard"  # it is of no use any more: its container goes at once
    EXITED = "exited"


class Deed(StrEnum):
    """What the agent does on a change; NOTHING where a change means nothing in a state."""

    WELCOME = "welcome"  # SUBSCRIBED, its tasks
    DISMISS = "dismiss"  # SHUTDOWN down the new stream, and its end
    ASK = "ask"  # SHUTDOWN, and the grace period begins
    KILL = "kill"  # the container goes
    BURY = "bury"  # statuses for what it left behind
    NOTHING = "nothing"


_A, _AC = AgentPhase, AgentChange
_E, _EC = ExecutorState, ExecutorChange

#: (phase before, change) -> phase after; all others leave the phase as it is.
AGENT_TABLE: Mapping[tuple[AgentPhase, AgentChange], AgentPhase] = {
    (_A.RECOVERING, _AC.RECOVERED): _A.DISCONNECTED,
    (_A.DISCONNECTED, _AC.REGISTERED): _A.RUNNING,
    (_A.RUNNING, _AC.LOST_MASTER): _A.DISCONNECTED,
    (_A.RECOVERING, _AC.SHUTDOWN): _A.TERMINATING,
    (_A.DISCONNECTED, _AC.SHUTDOWN): _A.TERMINATING,
    (_A.RUNNING, _AC.SHUTDOWN): _A.TERMINATING,
}

#: (state before, change) -> (state after, what is done). Every pair is here.
EXECUTOR_TABLE: Mapping[tuple[ExecutorState, ExecutorChange], tuple[ExecutorState, Deed]] = {
    (_E.REGISTERING, _EC.SUBSCRIBE): (_E.RUNNING, Deed.WELCOME),
    (_E.REGISTERING, _EC.REGISTRATION_TIMEOUT): (_E.TERMINATING, Deed.KILL),
    (_E.REGISTERING, _EC.REREGISTRATION_TIMEOUT): (_E.TERMINATING, Deed.KILL),
    (_E.REGISTERING, _EC.SHUTDOWN): (_E.TERMINATING, Deed.ASK),
    (_E.REGISTERING, _EC.GRACE_OVER): (_E.REGISTERING, Deed.NOTHING),
    (_E.REGISTERING, _EC.DISCARD): (_E.TERMINATING, Deed.KILL),
    (_E.REGISTERING, _EC.EXITED): (_E.TERMINATED, Deed.BURY),
    (_E.RUNNING, _EC.SUBSCRIBE): (_E.RUNNING, Deed.WELCOME),
    (_E.RUNNING, _EC.REGISTRATION_TIMEOUT): (_E.RUNNING, Deed.NOTHING),
    (_E.RUNNING, _EC.REREGISTRATION_TIMEOUT): (_E.RUNNING, Deed.NOTHING),
    (_E.RUNNING, _EC.SHUTDOWN): (_E.TERMINATING, Deed.ASK),
    (_E.RUNNING, _EC.GRACE_OVER): (_E.RUNNING, Deed.NOTHING),
    (_E.RUNNING, _EC.DISCARD): (_E.TERMINATING, Deed.KILL),
    (_E.RUNNING, _EC.EXITED): (_E.TERMINATED, Deed.BURY),
    (_E.TERMINATING, _EC.SUBSCRIBE): (_E.TERMINATING, Deed.DISMISS),
    (_E.TERMINATING, _EC.REGISTRATION_TIMEOUT): (_E.TERMINATING, Deed.NOTHING),
    (_E.TERMINATING, _EC.REREGISTRATION_TIMEOUT): (_E.TERMINATING, Deed.NOTHING),
    (_E.TERMINATING, _EC.SHUTDOWN): (_E.TERMINATING, Deed.NOTHING),
    (_E.TERMINATING, _EC.GRACE_OVER): (_E.TERMINATING, Deed.KILL),
    (_E.TERMINATING, _EC.DISCARD): (_E.TERMINATING, Deed.KILL),
    (_E.TERMINATING, _EC.EXITED): (_E.TERMINATED, Deed.BURY),
    # a child that lives on when the container's first process has ended may still speak
    (_E.TERMINATED, _EC.SUBSCRIBE): (_E.TERMINATED, Deed.DISMISS),
    (_E.TERMINATED, _EC.REGISTRATION_TIMEOUT): (_E.TERMINATED, Deed.NOTHING),
    (_E.TERMINATED, _EC.REREGISTRATION_TIMEOUT): (_E.TERMINATED, Deed.NOTHING),
    (_E.TERMINATED, _EC.SHUTDOWN): (_E.TERMINATED, Deed.NOTHING),
    (_E.TERMINATED, _EC.GRACE_OVER): (_E.TERMINATED, Deed.NOTHING),
    (_E.TERMINATED, _EC.DISCARD): (_E.TERMINATED, Deed.NOTHING),
    (_E.TERMINATED, _EC.EXITED): (_E.TERMINATED, Deed.NOTHING),
}


def step_agent(phase: AgentPhase, change: AgentChange) -> AgentPhase:
    return AGENT_TABLE.get((phase, change), phase)


def step_executor(state: ExecutorState, change: ExecutorChange) -> tuple[ExecutorState, Deed]:
    return EXECUTOR_TABLE[state, change]
