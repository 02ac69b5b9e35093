"""A request as handlers get to see it: who asks, for which job, with which body; and what of the scheduler they need.

Handlers that read or change are plain functions without HTTP in them:

    def ask(asked: Asked) -> object                               read: from memory, at once (or Lengthy)
    def change(asked: Asked, turn: Turn, body: Body) -> object     change: in a turn, told when it is durable
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from aiohttp import web

from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.api.settings import ApiSettings
from scheduler.core.model import InstanceKey, JobKey
from scheduler.loop import Loop
from scheduler.service.context import Context
from web.asking import parse_int, shorten


@dataclass(frozen=True, slots=True)
class Lengthy:
    """An answer that takes long to make, from what is at hand: it is made beside the loop."""

    make: Callable[[], object]


LOOP = web.AppKey("loop", Loop)
SETTINGS = web.AppKey("settings", ApiSettings)


@dataclass(frozen=True)
class Asked:
    """`request` is for the words of its path and its query only."""

    request: web.Request
    user: str = ""

    @cached_property
    def context(self) -> Context:
        settings = self.settings
        return Context(self.loop.engine, replace(settings.service, web_url=settings.web_url()))

    @property
    def loop(self) -> Loop:
        return self.request.app[LOOP]

    @property
    def settings(self) -> ApiSettings:
        return self.request.app[SETTINGS]

    def part(self, name: str) -> str:
        """A component of the path."""
        return self.request.match_info[name]

    @cached_property
    def job(self) -> JobKey:
        """The job that the path names."""
        return JobKey(role=self.part("role"), environment=self.part("env"), name=self.part("name"))

    @cached_property
    def instance(self) -> InstanceKey:
        """The instance that the path names. Raises ApiProblem."""
        number = parse_int(self.part("id"))
        if number is None or number < 0:
            raise ApiProblem(ErrorCode.NOT_FOUND, f"there is no instance {shorten(self.part('id'))}")
        return InstanceKey(job_key=self.job, instance_id=number)
