"""The evaluation of an update that rolls, forward or back: one look at its instances, and what follows from it.

It has three parts, always in this order: instances in the works are judged, and end; the update as a whole is judged,
and fails when too many of them failed; then the instances that are next begin, as many as the strategy lets.

On the way back an instance that still has its old configuration is left alone, well or not.
In a queue, instances that the way forward left in the works count against the window until their turn comes.

Source: spec/scheduler.md §4.3, §4.4, §4.7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scheduler.core.model import ScheduledTask, SlaPolicy
from scheduler.core.states import AGENT_ASSIGNED
from scheduler.core.update_decision import Act, AddInstance, KillInstance, UpdateDecision
from scheduler.core.update_instance import InstanceRules, Next, Verdict, agent_to_keep, has_target, judge, last_words
from scheduler.core.update_model import (
    JobInstanceUpdateEvent,
    JobUpdateAction,
    JobUpdateEvent,
    JobUpdateStatus,
)
from scheduler.core.update_progress import AUTO_PAUSED, CHECKING_SLA, Progress
from scheduler.core.update_states import turned
from scheduler.core.update_watch import Wait, Waiting, WaitKind, last_change_ms, waiting

_S = JobUpdateStatus

#: The tasks of an instance, ended ones too, in any order; all looks of one step see the same moment.
Look = Callable[[int], Sequence[ScheduledTask]]


class Evaluation:
    """The scratch paper of one step: nothing of it outlives the step, and `progress` is only read."""

    def __init__(self, progress: Progress, look: Look, now_ms: int, heard_since_ms: int = 0) -> None:
        self._progress = progress
        self._way = progress.way
        self._is_backward = progress.went_back
        self._settings = progress.update.instructions.settings
        self._rules = InstanceRules(
            self._settings.max_per_instance_failures, self._settings.min_wait_in_instance_running_ms
        )
        self._look = look
        self._now_ms = now_ms
        self._heard_since_ms = heard_since_ms
        self._flight = set(self._way.begun)
        self._over = set[int]()  # ended in this step
        self._failures = self._way.failures
        self._latest = ""  # failure, as the update's event tells it
        self._overdue = False
        self._events: list[JobInstanceUpdateEvent] = []
        self._acts: list[Act] = []
        self._waits: list[Waiting] = []
        self._wakes: list[int] = []

    def run(self) -> UpdateDecision:
        for instance in sorted(self._way.begun):
            self._go_on(instance)
        event = self._verdict() or self._begin_next()
        if event is not None:
            # what the others need is decided anew in the next status
            return UpdateDecision(instance_events=tuple(self._events), event=event)
        return UpdateDecision(
            instance_events=tuple(self._events),
            acts=tuple(self._acts),
            waits_for=tuple(self._waits),
            wake_at_ms=min(self._wakes, default=None),
        )

    # -- the update as a whole

    def _verdict(self) -> JobUpdateEvent | None:
        """It has failed, or not yet."""
        if self._failures <= self._settings.max_failed_instances and not self._overdue:
            return None
        back = self._settings.rollback_on_failure and not self._is_backward
        return self._event(_S.ROLLING_BACK if back else _S.FAILED, self._latest or None)

    def _begin_next(self) -> JobUpdateEvent | None:
        """As many as may; with an event if the update has to pause before, or is done."""
        walk, left = self._way.walk, self._left_from_forward()
        for number in range(self._way.front, len(walk.groups)):
            if walk.window is None and self._flight:
                return None
            fresh = [(instance, verdict) for instance in walk.groups[number] if (verdict := self._fresh(instance))]
            if not fresh:
                continue
            if self._has_to_pause(number):
                return self._event(_S.ROLL_FORWARD_PAUSED, AUTO_PAUSED)
            if walk.window is not None:
                left.discard(fresh[0][0])
                if self._flight and len(self._flight | left) >= walk.window:
                    return None
            for instance, verdict in fresh:
                self._begin(instance, verdict)
        if self._flight:
            return None
        return self._event(_S.ROLLED_BACK if self._is_backward else _S.ROLLED_FORWARD)

    def _left_from_forward(self) -> set[int]:
        """In the works since the way forward, and not taken up again yet."""
        if not self._is_backward:
            return set()
        return {
            instance
            for instance in self._progress.forward.begun
            if instance not in self._way.begun
            and instance not in self._way.ended
            and not has_target(self._way.targets.get(instance), self._look(instance))
        }

    def _has_to_pause(self, group: int) -> bool:
        """Before each batch but the first, once."""
        way = self._way
        return way.walk.autopause and not way.has_begun(group) and way.groups_begun > self._progress.auto_pauses

    def _event(self, status: JobUpdateStatus, message: str | None = None) -> JobUpdateEvent:
        status = turned(self._progress.status, status)
        return JobUpdateEvent(status=status, timestamp_ms=self._now_ms, message=message)

    # -- one instance

    def _fresh(self, instance: int) -> Verdict | None:
        """What it needs, if it is its turn; None: it is in the works, it is over, or it is as it should be."""
        if instance in self._flight or instance in self._over or instance in self._way.ended:
            return None
        target, tasks = self._way.targets.get(instance), self._look(instance)
        if self._is_backward and has_target(target, tasks):
            return None
        verdict = judge(target, tasks, None, self._rules, self._now_ms)
        return None if verdict.next is Next.DONE else verdict

    def _begin(self, instance: int, verdict: Verdict) -> None:
        self._flight.add(instance)
        checks = verdict.next is Next.KILL and self._policy(instance, verdict) is not None
        self._record(instance, self._way.words.begun, CHECKING_SLA if checks else None)
        self._act(instance, verdict, self._now_ms)
        deadline = self._deadline(verdict, self._now_ms)
        if deadline is not None:
            self._wakes.append(deadline)

    def _go_on(self, instance: int) -> None:
        begun_ms = self._way.begun[instance]
        target, tasks = self._way.targets.get(instance), self._look(instance)
        verdict = judge(target, tasks, begun_ms, self._rules, self._now_ms)
        if verdict.next is Next.DONE:
            self._end(instance, self._way.words.done)
            return
        if verdict.next is Next.FAILED:
            self._fail(instance, "exited.", last_words(target, tasks, begun_ms) if target is not None else None)
            return
        deadline = self._deadline(verdict, begun_ms)
        if deadline is not None and self._now_ms >= deadline:
            self._overdue = True
            self._fail(instance, self._stalled(instance, verdict))
            return
        if deadline is not None:
            self._wakes.append(deadline)
        needs_check = verdict.next is Next.KILL and self._policy(instance, verdict) is not None
        if needs_check and instance not in self._way.checked_sla:
            self._record(instance, self._way.words.begun, CHECKING_SLA)
        self._act(instance, verdict, begun_ms)

    def _act(self, instance: int, verdict: Verdict, begun_ms: int) -> None:
        wait = verdict.wait
        assert wait is not None
        if verdict.next is Next.ADD:
            self._acts.append(AddInstance(instance, self._way.targets[instance]))
        elif verdict.next is Next.KILL:
            assert verdict.task is not None
            policy = self._policy(instance, verdict)
            self._acts.append(
                KillInstance(
                    instance,
                    verdict.task.id,
                    f"Killed for job update {self._progress.update.summary.key.id}",
                    policy,
                    agent_to_keep(verdict.task, self._way.targets.get(instance)),
                )
            )
            wait = Wait(WaitKind.STOP if policy is None else WaitKind.SLA, begun_ms)
        if wait.until_ms is not None:
            self._wakes.append(wait.until_ms)
        self._waits.append(waiting(wait, instance))

    def _policy(self, instance: int, verdict: Verdict) -> SlaPolicy | None:
        """What has to allow that it is killed: of the new configuration on the way forward, of the old one on the way
        back, and of the other one where there is none. A task without an agent may always be killed."""
        task = verdict.task
        if not self._settings.sla_aware or task is None or task.status not in AGENT_ASSIGNED:
            return None
        new = self._progress.update.instructions.desired_state
        old = self._progress.before.get(instance)
        wanted = None if new is None else new.task
        config = (old or wanted) if self._is_backward else (wanted or old)
        return None if config is None else config.sla_policy

    def _deadline(self, verdict: Verdict, begun_ms: int) -> int | None:
        """Until when something has to be heard of it. Watching it run is no stall, and while nobody could be heard, or
        the update waited for a pulse, it had no chance. A wish gives it new patience."""
        patience, wait = self._settings.progress_deadline_ms, verdict.wait
        if patience <= 0 or (wait is not None and wait.kind is WaitKind.WATCH):
            return None
        heard = 0 if verdict.task is None else last_change_ms(verdict.task)
        since = max(heard, begun_ms, self._progress.wished_ms, self._heard_since_ms)
        return since + self._progress.awaited_ms(since) + patience

    def _stalled(self, instance: int, verdict: Verdict) -> str:
        assert verdict.wait is not None
        kind = verdict.wait.kind
        if verdict.next is Next.KILL and self._policy(instance, verdict) is not None:
            kind = WaitKind.SLA
        return f"made no progress for {self._settings.progress_deadline_ms // 1000} s: {kind.text}."

    def _fail(self, instance: int, how: str, words: str | None = None) -> None:
        """`words`: of its task, for the instance's own event."""
        self._failures += 1
        self._latest = f"Latest failure: instance {instance} {how}"
        self._end(instance, self._way.words.failed, words)

    def _end(self, instance: int, action: JobUpdateAction, words: str | None = None) -> None:
        self._flight.discard(instance)
        self._over.add(instance)
        self._record(instance, action, words)

    def _record(self, instance: int, action: JobUpdateAction, message: str | None = None) -> None:
        self._events.append(
            JobInstanceUpdateEvent(instance_id=instance, timestamp_ms=self._now_ms, action=action, message=message)
        )
