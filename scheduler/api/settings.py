"""What the API has to be told: who it is, who may ask, how it can be ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.auth import Authenticator
from scheduler.service.context import ServiceSettings
from thermos.clock import Now


class Ending(StrEnum):
    """How a scheduler is ended from outside; its tasks live on either way."""

    POLITE = "quitquitquit"
    AT_ONCE = "abortabortabort"


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """`hosts`: names that are answered to, in lower case; none: any (web.protection). `stop` is told what somebody
    wants who may. `web_url`: of our pages, without a slash at its end; asked when there is a request, because a port
    may be known late. `read_auth`: reading asks for a user, too (of every path but `/health`)."""

    hostname: str
    started_at: Now
    service: ServiceSettings
    authenticator: Authenticator
    stop: Callable[[Ending], None]
    web_url: Callable[[], str]
    hosts: frozenset[str] = field(default=frozenset())
    read_auth: bool = False
    observer_port: int = 1338
    role: str = "*"
