"""The whole machine of an update: the next step, and what people and services may wish.

    step(progress, look, last pulse, now) -> events to store, acts to perform, what is waited for, when to look again

Whatever is decided follows from the stored events and the tasks as they are, so that a step may be repeated, missed,
or be the first one after a restart: nothing is done twice, nothing is forgotten. The caller stores the events, performs
the acts, and steps again at `wake_at_ms` and whenever a task of the job, a pulse or a wish changed something.

Source: spec/scheduler.md §4.5 - §4.8.
"""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.update_decision import UpdateDecision
from scheduler.core.update_evaluation import Evaluation, Look
from scheduler.core.update_model import UPDATE_ENDED, JobInstanceUpdateEvent, JobUpdateEvent, JobUpdateStatus
from scheduler.core.update_progress import SLA_PASSED, Progress
from scheduler.core.update_pulse import PULSES_STOPPED, is_blocked, pulse_until_ms
from scheduler.core.update_states import AWAITING_PULSE, PAUSED, Wish, awaiting_of, rolling_of, turned, wished
from scheduler.core.update_watch import Wait, WaitKind, waiting
from thermos.errors import UserError


def step(progress: Progress, look: Look, last_pulse_ms: int, now_ms: int, heard_since_ms: int = 0) -> UpdateDecision:
    """`last_pulse_ms` 0: there was none yet. `heard_since_ms`: what is said of the tasks has reached us since then."""
    status = progress.status
    if status in UPDATE_ENDED:
        return UpdateDecision()
    if status in PAUSED:
        return UpdateDecision(waits_for=(waiting(Wait(WaitKind.RESUME, progress.changed_ms)),))
    blocked = is_blocked(progress, last_pulse_ms, now_ms)
    if status in AWAITING_PULSE:
        if blocked:
            return _without_pulse(progress, now_ms, heard_since_ms)
        return UpdateDecision(event=JobUpdateEvent(status=rolling_of(status), timestamp_ms=now_ms))
    if blocked:
        event = JobUpdateEvent(status=awaiting_of(status), timestamp_ms=now_ms, message=PULSES_STOPPED)
        return UpdateDecision(event=event)
    decision = Evaluation(progress, look, now_ms, heard_since_ms).run()
    until = pulse_until_ms(progress, last_pulse_ms)
    if until is None or decision.event is not None:
        return decision
    return _woken_by(decision, until)


def _without_pulse(progress: Progress, now_ms: int, heard_since_ms: int) -> UpdateDecision:
    """It waits; with a deadline not for ever. It ends where it is: the way back would want pulses, too."""
    patience = progress.update.instructions.settings.progress_deadline_ms
    until = max(progress.changed_ms, heard_since_ms) + patience
    if patience > 0 and now_ms >= until:
        words = f"No pulse for {patience // 1000} s."
        return UpdateDecision(event=JobUpdateEvent(status=JobUpdateStatus.ABORTED, timestamp_ms=now_ms, message=words))
    waits = (waiting(Wait(WaitKind.PULSE, progress.changed_ms)),)
    return UpdateDecision(waits_for=waits, wake_at_ms=until if patience > 0 else None)


def _woken_by(decision: UpdateDecision, at_ms: int) -> UpdateDecision:
    wake = at_ms if decision.wake_at_ms is None else min(at_ms, decision.wake_at_ms)
    return replace(decision, wake_at_ms=wake)


def decide_wish(
    progress: Progress, wish: Wish, user: str, message: str | None, last_pulse_ms: int, now_ms: int
) -> JobUpdateEvent | None:
    """What has to be stored; None: it is so already. Raises UserError when it can't be."""
    blocked = is_blocked(progress, last_pulse_ms, now_ms)
    status = wished(progress.status, wish, blocked=blocked)
    if status is None:
        raise UserError(f"cannot {wish} {progress.update.summary.key}: it is {progress.status}")
    if status is progress.status:
        return None
    return JobUpdateEvent(status=turned(progress.status, status), timestamp_ms=now_ms, user=user, message=message)


def sla_passed(progress: Progress, instance: int, now_ms: int) -> JobInstanceUpdateEvent:
    """To be stored when the SLA policy let the instance be killed."""
    return JobInstanceUpdateEvent(
        instance_id=instance, timestamp_ms=now_ms, action=progress.way.words.begun, message=SLA_PASSED
    )


def broken(error: Exception, now_ms: int) -> JobUpdateEvent:
    """To be stored when a step failed for reasons of ours: the job stays as it is."""
    return JobUpdateEvent(
        status=JobUpdateStatus.ERROR, timestamp_ms=now_ms, message=f"Internal scheduler error: {error}"
    )
