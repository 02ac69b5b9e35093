"""What has to be done with one instance of an update, decided from its tasks as they are.

    its active task            target: a configuration                        target: none
    has the target's, RUNNING  done, once it did so for long enough           -
    has the target's, else     wait                                           -
    is KILLING                 wait                                           wait
    has another                kill it                                        kill it
    there is none              add one with the target's, unless it has       done
                               failed too often

A failure is a task with the target's configuration that ended while the instance was in the works, without anybody
having wished its end. So the count needs no memory, and is the same after a restart of the scheduler.

Source: spec/scheduler.md §4.4, §3.5. Mended: a task that was drained, preempted or restarted did not fail, nor did one
that was lost before it started: a launch that did not reach its agent says nothing about what was launched. That holds
for the first few of them only: what Mesos refuses again and again is not launched by patience.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scheduler.core.model import ScheduledTask, TaskConfig
from scheduler.core.resources import amount_of
from scheduler.core.states import AGENT_ASSIGNED, ENDING, TERMINAL, ScheduleStatus
from scheduler.core.timeouts import TIMED_OUT
from scheduler.core.update_diff import same
from scheduler.core.update_watch import Wait, WaitKind, last_change_ms, wait_for

_S = ScheduleStatus


class Next(StrEnum):
    DONE = "DONE"
    FAILED = "FAILED"
    ADD = "ADD"
    KILL = "KILL"
    WAIT = "WAIT"


#: Launches of an instance that may go astray in an update; each one more is a failure.
MOST_ASTRAY = 2

#: Letters of what an executor said that go into an event.
MOST_WORDS = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait`: what comes after the act, or what is waited for; `task`: the one that is active, if there is one."""

    next: Next
    task: ScheduledTask | None = None
    wait: Wait | None = None


@dataclass(frozen=True, slots=True)
class InstanceRules:
    """Failures that are let pass, and how long a task has to run."""

    max_failures: int = 0
    watch_ms: int = 0


def judge(
    target: TaskConfig | None, tasks: Sequence[ScheduledTask], begun_ms: int | None, rules: InstanceRules, now_ms: int
) -> Verdict:
    """`tasks`: all of the instance, in any order; `begun_ms`: since when it is in the works, None: it is not yet."""
    task = next((task for task in tasks if task.is_active), None)
    if target is None:
        return Verdict(Next.DONE) if task is None else _end(task)
    if begun_ms is not None and failures(target, tasks, begun_ms) > rules.max_failures:
        return Verdict(Next.FAILED, task)
    if task is None:
        if begun_ms is not None and _has_finished(target, tasks, begun_ms):
            return Verdict(Next.DONE)
        return Verdict(Next.ADD, wait=Wait(WaitKind.TASK, now_ms))
    if not same(task.config, target):
        return _end(task)
    if task.status is not _S.RUNNING:
        return Verdict(Next.WAIT, task, wait_for(task))
    stable_at = last_change_ms(task) + rules.watch_ms
    return Verdict(Next.DONE, task) if now_ms >= stable_at else Verdict(Next.WAIT, task, wait_for(task, stable_at))


def _end(task: ScheduledTask) -> Verdict:
    if task.status is _S.KILLING:
        return Verdict(Next.WAIT, task, wait_for(task))
    return Verdict(Next.KILL, task, Wait(WaitKind.STOP, last_change_ms(task)))


def failures(target: TaskConfig, tasks: Sequence[ScheduledTask], since_ms: int) -> int:
    """Tasks of the target's configuration that ended by themselves since then."""
    ended = [task for task in tasks if _has_ended(task, target, since_ms)]
    astray = sum(_never_started(task) for task in ended)
    return len(ended) - min(astray, MOST_ASTRAY)


def last_words(target: TaskConfig, tasks: Sequence[ScheduledTask], since_ms: int) -> str | None:
    """How the latest of these ended, and what its executor said of it."""
    ended = [task for task in tasks if _has_ended(task, target, since_ms)]
    if not ended:
        return None
    last = max(ended, key=last_change_ms)
    said = " ".join(last.task_events[-1].message.split())
    return f"{last.status}: {said[:MOST_WORDS]}" if said else str(last.status)


def _has_ended(task: ScheduledTask, target: TaskConfig, since_ms: int) -> bool:
    """By itself."""
    return (
        task.status in TERMINAL
        and not (task.status is _S.FINISHED and not target.is_service)
        and last_change_ms(task) >= since_ms
        and same(task.config, target)
        and not any(event.status in ENDING for event in task.task_events)
    )


def _never_started(task: ScheduledTask) -> bool:
    """Its launch went astray. One whose executor had its time and said nothing is none of these."""
    return (
        task.status is _S.LOST
        and not any(event.status in (_S.STARTING, _S.RUNNING) for event in task.task_events)
        and task.task_events[-1].message != TIMED_OUT
    )


def _has_finished(target: TaskConfig, tasks: Sequence[ScheduledTask], since_ms: int) -> bool:
    """It was no service, and did its work."""
    return not target.is_service and any(
        task.status is _S.FINISHED and last_change_ms(task) >= since_ms and same(task.config, target) for task in tasks
    )


def has_target(target: TaskConfig | None, tasks: Sequence[ScheduledTask]) -> bool:
    """Its active task is of that configuration, well or not, and will stay; or there is none, as there should be."""
    task = next((task for task in tasks if task.is_active), None)
    if task is None:
        return target is None
    return task.status is not _S.KILLING and same(target, task.config)


def agent_to_keep(task: ScheduledTask, target: TaskConfig | None) -> str | None:
    """The agent on which the instance may start again as soon as its task has ended there: the new task asks for no
    more of anything, under the same constraints."""
    if target is None or task.status not in AGENT_ASSIGNED:
        return None
    if not amount_of(task.config.resources).holds(amount_of(target.resources)):
        return None
    if set(task.config.constraints) != set(target.constraints):
        return None
    return task.assigned_task.slave_id or None
