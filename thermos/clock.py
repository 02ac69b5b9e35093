"""The one place that asks the machine for the time; everything else gets it as an argument.

Deadlines are monotonic (CLOCK_MONOTONIC is the same for all processes of one boot, so records of other processes can
be compared with it); what people read is wall time.
"""

from __future__ import annotations

import time

from msgspec import Struct


class Now(Struct, frozen=True):
    """One look at both clocks: `wall` in epoch seconds, `mono` in CLOCK_MONOTONIC seconds."""

    wall: float
    mono: float


def now() -> Now:
    return Now(time.time(), time.monotonic())
