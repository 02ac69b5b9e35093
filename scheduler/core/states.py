"""States of a task in the cluster, the sets that everybody asks for, and what Mesos' states mean here.

Source: spec/scheduler.md §1.8, §2.5. Mended: STAGING is what the master says of a task that was not heard of since its
launch, so it is ASSIGNED still, and times out; STARTING never does.

DELETED is no stored state: it is where a task is that the store does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from mesos.core.messages import TaskState


class ScheduleStatus(StrEnum):
    INIT = "INIT"
    THROTTLED = "THROTTLED"
    PENDING = "PENDING"
    ASSIGNED = "ASSIGNED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    PREEMPTING = "PREEMPTING"
    RESTARTING = "RESTARTING"
    DRAINING = "DRAINING"
    FAILED = "FAILED"
    KILLED = "KILLED"
    KILLING = "KILLING"
    LOST = "LOST"
    PARTITIONED = "PARTITIONED"
    DELETED = "DELETED"


_S = ScheduleStatus

#: Numbers of the old wire format; clients of the original know them.
WIRE_NUMBERS: Mapping[ScheduleStatus, int] = {
    _S.PENDING: 0,
    _S.STARTING: 1,
    _S.RUNNING: 2,
    _S.FINISHED: 3,
    _S.FAILED: 4,
    _S.KILLED: 5,
    _S.KILLING: 6,
    _S.LOST: 7,
    _S.ASSIGNED: 9,
    _S.INIT: 11,
    _S.RESTARTING: 12,
    _S.PREEMPTING: 13,
    _S.THROTTLED: 16,
    _S.DRAINING: 17,
    _S.PARTITIONED: 18,
}

TERMINAL: frozenset[ScheduleStatus] = frozenset({_S.FINISHED, _S.FAILED, _S.KILLED, _S.LOST})

#: An instance has at most one task in one of these.
ACTIVE: frozenset[ScheduleStatus] = frozenset(ScheduleStatus) - TERMINAL - {_S.INIT, _S.DELETED}

#: It has an agent, and holds resources there.
AGENT_ASSIGNED: frozenset[ScheduleStatus] = ACTIVE - {_S.PENDING, _S.THROTTLED}

#: It runs, as far as anybody knows.
LIVE: frozenset[ScheduleStatus] = frozenset(
    {_S.RUNNING, _S.KILLING, _S.PREEMPTING, _S.RESTARTING, _S.DRAINING, _S.PARTITIONED}
)

#: The scheduler wants its end.
ENDING: frozenset[ScheduleStatus] = frozenset({_S.PREEMPTING, _S.RESTARTING, _S.DRAINING, _S.KILLING})

#: Nobody should stay in one of these for long.
TRANSIENT: frozenset[ScheduleStatus] = frozenset({_S.ASSIGNED, _S.PREEMPTING, _S.RESTARTING, _S.KILLING, _S.DRAINING})

#: What an agent may report of a task that it believes to be running.
REPORTED_ALIVE: frozenset[ScheduleStatus] = frozenset({_S.ASSIGNED, _S.STARTING, _S.RUNNING})

OF_MESOS: Mapping[TaskState, ScheduleStatus] = {
    TaskState.STAGING: _S.ASSIGNED,
    TaskState.STARTING: _S.STARTING,
    TaskState.RUNNING: _S.RUNNING,
    TaskState.FINISHED: _S.FINISHED,
    TaskState.FAILED: _S.FAILED,
    TaskState.KILLING: _S.KILLED,
    TaskState.KILLED: _S.KILLED,
    TaskState.LOST: _S.LOST,
    TaskState.ERROR: _S.LOST,
    TaskState.DROPPED: _S.LOST,
    TaskState.GONE: _S.LOST,
    TaskState.GONE_BY_OPERATOR: _S.LOST,
    TaskState.UNREACHABLE: _S.PARTITIONED,
    TaskState.UNKNOWN: _S.PARTITIONED,
}
