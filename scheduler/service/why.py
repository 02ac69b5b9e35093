"""Why does this task not run? Every host that is known, everything that speaks against it there, and what would help.

It is worked out when it is asked, from the task and the offers as they are; a host without an offer (all of it is in
use, or its agent is away) says just that. Beside the reasons stand two changes: the smallest one that would let the
task start somewhere, and the smallest one that its owner can make by himself.

Source: spec/scheduler.md §3.2, §13.5 (23).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler.core.explain import NO_OFFERS, Explanation, HostAnswer
from scheduler.core.model import InstanceKey, ScheduledTask
from scheduler.core.problem import Problem
from scheduler.core.states import AGENT_ASSIGNED, TERMINAL, ScheduleStatus
from scheduler.service.context import Context, Told
from scheduler.service.pages import MOST
from scheduler.service.refusals import not_found, refuse_problems
from scheduler.service.task_queries import find_task
from thermos.clock import Now

#: Of a host that is known, and has offered nothing that is at hand.
NO_OFFER = "No offer from it now"

#: Reasons in the line; hosts that fit in it.
TOLD_REASONS, TOLD_HOSTS = 3, 3


class WhyHost(Told, frozen=True):
    """`reasons`: none if it fits. `change`: all that would have to be done, together. `age_s`: of its offer, if any."""

    host: str
    agent: str
    fits: bool
    reasons: tuple[str, ...]
    change: str
    age_s: float


class WhyChange(Told, frozen=True):
    host: str
    reasons: tuple[str, ...]
    change: str


class WhyAnswer(Told, frozen=True):
    """`reason`: one line. `since`: milliseconds, when it came into its status. `attempts`: of its group that left tasks
    over. `hosts`: the nearest ones first, a part of `host_count`."""

    task_id: str
    instance: str
    status: ScheduleStatus
    since: int
    reason: str
    attempts: int
    next_attempt_s: float | None
    host_count: int
    fitting: tuple[str, ...]
    by_reason: dict[str, int]
    smallest: WhyChange | None
    smallest_of_task: WhyChange | None
    hosts: tuple[WhyHost, ...]


def why(context: Context, asked: InstanceKey | str, now: Now, hosts: int = 50) -> WhyAnswer:
    """Of an instance's active task, or of a task by its id. Raises Refusal when there is none."""
    if not 0 <= hosts <= MOST:
        refuse_problems([Problem("hosts", f"{hosts} is not between 0 and {MOST}")])
    task = _task(context, asked)
    if task.status is ScheduleStatus.PENDING:
        return _of_pending(context, task, now, hosts)
    wait = None
    if task.status is ScheduleStatus.THROTTLED:
        wait = context.engine.throttled_for_s(task.id, now)
    return _answer(task, _words(task, wait), next_attempt_s=wait)


def _task(context: Context, asked: InstanceKey | str) -> ScheduledTask:
    if isinstance(asked, str):
        return find_task(context, asked)
    found = context.tables.tasks.active(asked)
    if found is None:
        raise not_found(f"There is no active task of {asked}")
    return found


# --- a task that waits for a host --------------------------------------------------------------------------------


def _of_pending(context: Context, task: ScheduledTask, now: Now, hosts: int) -> WhyAnswer:
    found = context.engine.explain(task, now)
    standing = context.engine.waiting(task.id)
    attempts, next_attempt_s = 0, None
    if standing is not None:
        groups = context.engine.groups
        group = groups.group_of(task.id)
        pause = groups.pause_of(group) if group is not None else 0.0
        attempts, next_attempt_s = standing.attempts, max(0.0, standing.last + pause - now.mono)
    nearest = sorted(found.hosts, key=lambda answer: (not answer.fits, answer.distance))
    silent = _silent(context, found)
    told = [_host(answer) for answer in nearest[:hosts]]
    return _answer(
        task,
        reason_line(found, len(silent)),
        attempts=attempts,
        next_attempt_s=next_attempt_s,
        found=found,
        nearest=nearest,
        hosts=(*told, *silent[: hosts - len(told)]),
        silent=len(silent),
    )


def _silent(context: Context, found: Explanation) -> list[WhyHost]:
    """Hosts without an offer, by name."""
    offering = {answer.host for answer in found.hosts}
    return [
        WhyHost(host=name, agent=record.slave_id, fits=False, reasons=(NO_OFFER,), change="", age_s=0.0)
        for name, record in sorted(context.tables.hosts.items())
        if name not in offering
    ]


def reason_line(found: Explanation, silent: int) -> str:
    """`silent`: so many more hosts have no offer."""
    fitting, count = found.fitting, len(found.hosts) + silent
    if fitting:
        names = ", ".join(fitting[:TOLD_HOSTS]) + (", …" if len(fitting) > TOLD_HOSTS else "")
        return f"{len(fitting)} of {count} hosts {'has' if len(fitting) == 1 else 'have'} room for it now: {names}"
    if not found.hosts:
        return NO_OFFERS
    return f"None of {count} {'host' if count == 1 else 'hosts'} takes it: {_counted(_reasons(found, silent))}"


def _reasons(found: Explanation, silent: int) -> dict[str, int]:
    """How many hosts have each, the most frequent first."""
    counts = dict(found.by_reason)
    if silent:
        counts[NO_OFFER] = silent
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _counted(by_reason: Mapping[str, int]) -> str:
    told = [f"{reason} ({count})" for reason, count in list(by_reason.items())[:TOLD_REASONS]]
    return ", ".join(told) + (", …" if len(by_reason) > TOLD_REASONS else "")


def _host(answer: HostAnswer) -> WhyHost:
    return WhyHost(
        host=answer.host,
        agent=answer.agent,
        fits=answer.fits,
        reasons=answer.reasons,
        change=answer.change_text,
        age_s=round(answer.age_s, 3),
    )


def _change(answer: HostAnswer | None) -> WhyChange | None:
    if answer is None:
        return None
    return WhyChange(host=answer.host, reasons=answer.reasons, change=answer.change_text)


# --- every other task --------------------------------------------------------------------------------------------


def _words(task: ScheduledTask, wait: float | None) -> str:
    if wait is not None:
        return f"It ended too soon too often: THROTTLED, and PENDING again in {wait:.0f} s"
    if task.status in TERMINAL:
        message = task.task_events[-1].message if task.task_events else ""
        return f"It has ended: {task.status}" + (f", {' '.join(message.split())}" if message else "")
    if task.status in AGENT_ASSIGNED:
        return f"It is {task.status} on {task.assigned_task.slave_host}: it waits for no host"
    return f"It is {task.status}: it waits for no host"


def _answer(
    task: ScheduledTask,
    reason: str,
    *,
    attempts: int = 0,
    next_attempt_s: float | None = None,
    found: Explanation = Explanation(()),  # noqa: B008
    nearest: Sequence[HostAnswer] = (),
    hosts: tuple[WhyHost, ...] = (),
    silent: int = 0,
) -> WhyAnswer:
    refusing = [answer for answer in nearest if not answer.fits]
    event = next((event for event in reversed(task.task_events) if event.status is task.status), None)
    return WhyAnswer(
        task_id=task.id,
        instance=str(task.instance),
        status=task.status,
        since=event.timestamp if event is not None else 0,
        reason=reason,
        attempts=attempts,
        next_attempt_s=next_attempt_s if next_attempt_s is None else round(next_attempt_s, 3),
        host_count=len(found.hosts) + silent,
        fitting=tuple(found.fitting),
        by_reason=_reasons(found, silent),
        smallest=_change(next(iter(refusing), None)),
        smallest_of_task=_change(next((answer for answer in refusing if answer.is_up_to_owner), None)),
        hosts=hosts,
    )
