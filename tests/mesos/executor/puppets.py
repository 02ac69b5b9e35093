"""What an executor driver needs around it, without threads, sockets and time: a loop, a link, a listener."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mesos.core.executor_api import Acknowledged, Call, Data, Error, Event, EventType, Kill, Launch, Subscribed
from mesos.core.executor_session import Happening, Kind
from mesos.core.messages import (
    AgentID,
    AgentInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkInfo,
    KillPolicy,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
)
from mesos.core.wire import BadMessage, decode
from mesos.executor_driver import ExecutorDriver
from mesos.executor_environment import ExecutorEnvironment
from mesos.executor_link import Called, Heard, Post
from mesos.http1 import Answer
from thermos.clock import Now

START = Now(wall=1_700_000_000.0, mono=1000.0)

SUBSCRIBED = Event(
    type=EventType.SUBSCRIBED,
    subscribed=Subscribed(
        executor_info=ExecutorInfo(executor_id=ExecutorID(value="ex")),
        framework_info=FrameworkInfo(user="u", name="f"),
        agent_info=AgentInfo(hostname="h"),
    ),
)


def environment(**more: Any) -> ExecutorEnvironment:
    given: dict[str, Any] = {
        "agent_endpoint": "127.0.0.1:5051",
        "framework_id": "fw",
        "executor_id": "ex",
        "directory": "/s",
        "sandbox": "/s",
        "checkpoint": True,
        "recovery_timeout_s": 900.0,
    }
    return ExecutorEnvironment(**(given | more))


def task(task_id: str) -> TaskInfo:
    return TaskInfo(name=task_id, task_id=TaskID(value=task_id), agent_id=AgentID(value="agent"))


def status(task_id: str, state: str = TaskState.RUNNING, message: str = "") -> TaskStatus:
    return TaskStatus(task_id=TaskID(value=task_id), state=state, message=message)


def launch(task_id: str) -> Event:
    return Event(type=EventType.LAUNCH, launch=Launch(task=task(task_id)))


def kill(task_id: str) -> Event:
    return Event(type=EventType.KILL, kill=Kill(task_id=TaskID(value=task_id)))


def message(data: bytes) -> Event:
    return Event(type=EventType.MESSAGE, message=Data(data=data))


def error(text: str) -> Event:
    return Event(type=EventType.ERROR, error=Error(message=text))


def ack(said: TaskStatus) -> Event:
    return Event(type=EventType.ACKNOWLEDGED, acknowledged=Acknowledged(task_id=said.task_id, uuid=said.uuid))


SHUTDOWN = Event(type=EventType.SHUTDOWN)


class VirtualLoop:
    """Posts and timers on a clock that only `advance` moves."""

    def __init__(self) -> None:
        self.now = START
        self._posted: deque[Callable[[Now], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[Now], None]]] = []
        self._counter = itertools.count()

    @property
    def timers(self) -> int:
        return len(self._timers)

    def post(self, call: Callable[[Now], None]) -> None:
        self._posted.append(call)

    def call_at(self, when: float, call: Callable[[Now], None]) -> None:
        heapq.heappush(self._timers, (when, next(self._counter), call))

    def settle(self) -> None:
        """All that is to be done at this moment."""
        for _ in range(3000):
            if self._posted:
                self._posted.popleft()(self.now)
            elif self._timers and self._timers[0][0] <= self.now.mono:
                heapq.heappop(self._timers)[2](self.now)
            else:
                return
        raise AssertionError("it never comes to rest")

    def advance(self, seconds: float) -> None:
        """Every timer at its own time."""
        end = self.now.mono + seconds
        self.settle()
        while self._timers and self._timers[0][0] <= end:
            self._move(max(self.now.mono, self._timers[0][0]))
            self.settle()
        self._move(end)
        self.settle()

    def _move(self, mono: float) -> None:
        self.now = Now(self.now.wall + mono - self.now.mono, mono)


@dataclass
class Ordered:
    number: int
    call: Call


class PuppetLink:
    """Keeps what the driver orders until the test says what becomes of it."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.started = self.stopped = False
        self.subscribes: list[Ordered] = []
        self.calls: list[Ordered] = []
        self.given_up: list[tuple[int, int]] = []
        self.answered: set[int] = set()
        self.credits = 0  # batches in the driver's hands

    def start(self) -> None:
        self.started = True

    def subscribe(self, connection: int, body: bytes) -> None:
        self.subscribes.append(Ordered(connection, decode(body, Call)))

    def call(self, number: int, body: bytes) -> None:
        assert not [c for c in self.calls if c.number not in self.answered], "one call at a time"
        self.calls.append(Ordered(number, decode(body, Call)))

    def give_up(self, connection: int, call: int) -> None:
        self.given_up.append((connection, call))
        self.answered.update(range(call + 1))

    def stop(self) -> None:
        self.stopped = True

    # --- what the test does ---

    @property
    def connection(self) -> int:
        return self.subscribes[-1].number

    def accept(self) -> None:
        self.post(Happening(Kind.ACCEPTED, self.connection))

    def lose(self, text: str = "the agent is gone") -> None:
        self.post(Happening(Kind.LOST, self.connection, text))

    def refuse(self, text: str) -> None:
        self.post(Happening(Kind.REFUSED, self.connection, text))

    def hear(self, *events: Event | BadMessage, connection: int | None = None) -> None:
        self.credits += 1
        self.post(Heard(connection or self.connection, events, self._done))

    def answer(self, status: int = 202, text: str = "") -> Call:
        """To the call that waits."""
        ordered = next(c for c in self.calls if c.number not in self.answered)
        self.answered.add(ordered.number)
        self.post(Called(ordered.number, Answer(status, "Reason", text.encode())))
        return ordered.call

    def break_call(self, text: str = "cannot read from the agent: it did not answer in time") -> Call:
        ordered = next(c for c in self.calls if c.number not in self.answered)
        self.answered.add(ordered.number)
        self.post(Called(ordered.number, None, text))
        return ordered.call

    @property
    def waiting(self) -> Call | None:
        """The call that waits for an answer."""
        return next((c.call for c in self.calls if c.number not in self.answered), None)

    def _done(self) -> None:
        self.credits -= 1


@dataclass
class Recorder:
    """A listener that writes everything down."""

    told: list[tuple[Any, ...]] = field(default_factory=list)

    def subscribed(self, event: Subscribed, again: bool, now: Now) -> None:
        self.told.append(("subscribed", again))

    def launch(self, task: TaskInfo, now: Now) -> None:
        self.told.append(("launch", task.task_id.value))

    def launch_group(self, group: TaskGroupInfo, now: Now) -> None:
        self.told.append(("launch_group", *(task.task_id.value for task in group.tasks)))

    def kill(self, task_id: TaskID, policy: KillPolicy | None, now: Now) -> None:
        self.told.append(("kill", task_id.value, policy))

    def message(self, data: bytes, now: Now) -> None:
        self.told.append(("message", data))

    def shutdown(self, reason: str, now: Now) -> None:
        self.told.append(("shutdown", reason))

    def disconnected(self, reason: str, now: Now) -> None:
        self.told.append(("disconnected", reason))

    def problem(self, text: str, now: Now) -> None:
        self.told.append(("problem", text))

    def ended(self, reason: str, now: Now) -> None:
        self.told.append(("ended", reason))

    def of(self, kind: str) -> list[Any]:
        """What was told of a kind: the first word after it."""
        return [(*entry, None)[1] for entry in self.told if entry[0] == kind]


class Stage:
    """A driver with everything around it."""

    def __init__(self, journal: Path | None = None, env: ExecutorEnvironment | None = None, **more: Any) -> None:
        self.loop = VirtualLoop()
        self.listener = Recorder()
        self.links: list[PuppetLink] = []

        def make_link(env: object, options: object, post: Post) -> PuppetLink:
            self.links.append(PuppetLink(post))
            return self.links[-1]

        self.driver = ExecutorDriver(
            env or environment(), self.loop, self.listener, journal=journal, make_link=make_link, **more
        )

    @property
    def link(self) -> PuppetLink:
        return self.links[-1]

    @property
    def now(self) -> Now:
        return self.loop.now

    def start(self) -> Stage:
        self.driver.start(self.now)
        self.loop.settle()
        return self

    def subscribe(self) -> Stage:
        """The attempt that waits succeeds."""
        self.link.accept()
        self.link.hear(SUBSCRIBED)
        self.loop.settle()
        return self

    def hear(self, *events: Event | BadMessage) -> None:
        self.link.hear(*events)
        self.loop.settle()

    def update(self, task_id: str, state: str = TaskState.RUNNING, message: str = "") -> TaskStatus:
        said = self.driver.update(status(task_id, state, message), self.now)
        self.loop.settle()
        return said

    def answer(self, code: int = 202, text: str = "") -> Call:
        call = self.link.answer(code, text)
        self.loop.settle()
        return call

    def lose(self, text: str = "the agent is gone") -> None:
        self.link.lose(text)
        self.loop.settle()

    def come_back(self) -> None:
        """Until the next attempt, which succeeds."""
        before = len(self.link.subscribes)
        self.loop.advance(0.5)
        assert len(self.link.subscribes) == before + 1
        self.subscribe()
