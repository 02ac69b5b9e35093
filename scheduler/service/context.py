"""What the service layer works with: the engine, and what the operator allows.

The service layer is what a call of the API means, without any words of HTTP: each function reads the tables, refuses or
decides in the turn that it is given, and answers with frozen data. It never waits; what it answers may be told when the
turn is durable.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from scheduler.core.answers import AnswerRules
from scheduler.core.model import JobKey, Wire
from scheduler.core.update_start import MAX_INSTANCE_FAILURES
from scheduler.core.validation import Rules
from scheduler.engine import Engine
from scheduler.store.tables import Tables


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """`web_url` of the pages, without a slash at its end. `max_update_failures`: of all instances of an update."""

    cluster: str
    rules: Rules = field(default=Rules())
    web_url: str = ""
    answers: AnswerRules = field(default=AnswerRules())
    max_update_failures: int = MAX_INSTANCE_FAILURES

    def url_of(self, job: JobKey) -> str:
        return f"{self.web_url}/scheduler/{job}"


class Context(Struct, frozen=True):
    engine: Engine
    settings: ServiceSettings

    @property
    def tables(self) -> Tables:
        return self.engine.tables

    @property
    def rules(self) -> Rules:
        return self.settings.rules


class Told(Wire, frozen=True, omit_defaults=False):
    """Base of answers: every field is there, whatever its value."""
