"""Coordinated updates: they go on only while a service that watches them sends pulses.

The moment of the last pulse is in memory only, 0 in the beginning. After a restart of the scheduler the last event
counts as one, unless the update was waiting for a pulse already.

Source: spec/scheduler.md §4.6. Mended: that pulses have stopped is seen when it is so, not at the next evaluation.
"""

from __future__ import annotations

from enum import StrEnum

from scheduler.core.update_model import UPDATE_ENDED, JobUpdateStatus
from scheduler.core.update_progress import Progress
from scheduler.core.update_states import AWAITING_PULSE

PULSES_STOPPED = "Pulses from external service have timed out."


class JobUpdatePulseStatus(StrEnum):
    OK = "OK"
    FINISHED = "FINISHED"


def answer_pulse(status: JobUpdateStatus | None) -> JobUpdatePulseStatus:
    """`status` None: there is no such update."""
    ended = status is None or status in UPDATE_ENDED
    return JobUpdatePulseStatus.FINISHED if ended else JobUpdatePulseStatus.OK


def pulse_after_restart(progress: Progress) -> int:
    """The last pulse, as far as the events tell: asked once, when nobody remembers one."""
    return 0 if progress.status in AWAITING_PULSE else progress.last_event_ms


def pulse_until_ms(progress: Progress, last_pulse_ms: int) -> int | None:
    """When it will be blocked, or since when it is; None: it is no coordinated update. 0: there was no pulse yet."""
    period = progress.update.instructions.settings.block_if_no_pulses_after_ms
    if period <= 0:
        return None
    return last_pulse_ms + period if last_pulse_ms > 0 else 0


def is_blocked(progress: Progress, last_pulse_ms: int, now_ms: int) -> bool:
    until = pulse_until_ms(progress, last_pulse_ms)
    return until is not None and now_ms >= until
