"""What can be set of a scheduler driver, and what stands in for time and chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from mesos.auth import Credentials
from mesos.core.backoff import Backoff
from mesos.core.messages import Opaque
from mesos.core.recordio import MAX_RECORD
from mesos.core.scheduler_session import Settings
from mesos.timers import LoopTimers, Timers
from mesos.tls import TlsOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverOptions:
    connect_timeout_s: float = 10.0  # TCP and TLS
    subscribe_timeout_s: float = 30.0  # until the answer, and again until SUBSCRIBED
    call_timeout_s: float = 10.0
    call_concurrency: int = 32
    backoff_cap_s: float = 15.0
    max_record: int = MAX_RECORD
    credentials: Credentials | None = None
    tls: TlsOptions | None = None
    suppressed_roles: tuple[str, ...] = ()  # from the first moment of each subscription
    offer_constraints: Opaque | None = None
    timers: Timers = field(default_factory=LoopTimers)
    random: Callable[[], float] = random.random

    def settings(self) -> Settings:
        first = min(0.5, self.backoff_cap_s)
        backoff = Backoff(first_s=first, cap_s=self.backoff_cap_s, least_s=min(0.1, first))
        return Settings(subscribe_timeout_s=self.subscribe_timeout_s, backoff=backoff)


DEFAULTS = DriverOptions()
