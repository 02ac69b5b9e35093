"""The rim of a scheduler's session: one connection with the master's events, another pool of them for our calls.

`run` owns everything: it connects, reads, and tells the listener, one thing after the other. So a slow listener slows
the reading, the socket fills, and the master waits; nothing is heaped up here. Timers, leader detection and `stop` only
post events to the session (mesos.core.scheduler_session), which decides; when it wants a connection closed, `run` is
interrupted in its reading or connecting, never in the listener.

Whatever goes wrong, a TEARDOWN is sent by `teardown` alone: tasks outlive every failure of their scheduler.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol, assert_never

import msgspec

from mesos.core import scheduler_api as api
from mesos.core import scheduler_events as said
from mesos.core.leader import SCHEDULER_PATH
from mesos.core.messages import FrameworkID, FrameworkInfo, MasterInfo
from mesos.core.scheduler_session import CONNECTED_PHASES, Outcome, Phase, new_session, step
from mesos.core.wire import BadMessage, decode, encode
from mesos.leader import LeaderDetector
from mesos.scheduler_calls import CallFailed, CallPool, CallRefused, NotSubscribed, printable
from mesos.scheduler_options import DEFAULTS, DriverOptions
from mesos.scheduler_stream import EventStream, Interrupted, StreamBroken
from mesos.timers import Cancellable
from mesos.tls import client_context
from thermos.errors import Bug, RemoteError

#: The payload of an event of such a type is in the field of that name, in lower case.
_EVENT_TYPES = frozenset(kind.value for kind in api.EventType)
_CALL_TYPES = frozenset(kind.value for kind in api.CallType)


class Refused(RemoteError):
    """The master does not want this framework; the text has its words. Trying again as we are won't help."""


class SchedulerListener(Protocol):
    """Hears one thing at a time, in order. What it raises ends `run` (and kills no task)."""

    async def subscribed(self, framework_id: FrameworkID, master: MasterInfo | None, again: bool) -> None:
        """`again`: not this driver's first subscription; what was said in between is lost, so reconcile."""

    async def disconnected(self, reason: str) -> None:
        """The subscription is over; offers are void. The driver tries again by itself."""

    async def event(self, event: api.Event) -> None:
        """Everything but SUBSCRIBED, HEARTBEAT, ERROR and types that we don't know."""

    async def problem(self, text: str) -> None:
        """Something to log: an attempt that failed, an event that can't be read."""


class SchedulerDriver:
    def __init__(
        self,
        info: FrameworkInfo,
        leader: LeaderDetector,
        listener: SchedulerListener,
        *,
        options: DriverOptions = DEFAULTS,
    ) -> None:
        self._info = info
        self._suppressed = options.suppressed_roles
        self._constraints = options.offer_constraints
        self._leader = leader
        self._listener = listener
        self._options = options
        self._timers = options.timers
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        if options.credentials is not None:
            self._headers["Authorization"] = options.credentials.header()
        self._session = new_session(options.settings(), info.id.value if info.id else None, 0.0)
        self._master: MasterInfo | None = None
        self._running = False
        self._guessing = False  # leader detection is being asked just now
        self._changed = asyncio.Event()
        self._next: said.Connect | None = None
        self._current = 0  # number of the connection that `run` works on
        self._to_tell: deque[said.Action] = deque()
        self._busy = False  # the listener is
        self._overdue = False  # the timer went off meanwhile
        self._timer: Cancellable | None = None
        self._timer_at = 0.0
        self._stream: EventStream | None = None
        self._calls: CallPool | None = None
        self._counts: dict[str, Counter[str]] = {"events": Counter(), "calls": Counter(), "failed_calls": Counter()}

    # --- for everybody -----------------------------------------------------------------------------------------------

    @property
    def framework_id(self) -> FrameworkID | None:
        return FrameworkID(value=self._session.framework) if self._session.framework else None

    @property
    def subscribed(self) -> bool:
        return self._session.phase is Phase.SUBSCRIBED

    @property
    def master_url(self) -> str | None:
        """Of the master that we are connected to, or about to be."""
        return self._session.url

    def state(self) -> dict[str, Any]:
        """For people and for metrics."""
        session = self._session
        return {
            "phase": session.phase.value,
            "since_mono": session.since,
            "leader": session.leader,
            "master": session.url,
            "framework_id": session.framework,
            "connections": session.connection,
            "subscriptions": session.subscriptions,
            "failures_in_a_row": session.failures,
            "next_wake_mono": session.deadline,
            "last_problem": session.reason,
            "listener_busy": self._busy,
            "untold": len(self._to_tell),
            **{name: dict(counts) for name, counts in self._counts.items()},
        }

    async def run(self) -> None:
        """Until `stop` or a refusal (raises Refused). Once per driver. Raises what the listener raises."""
        if self._running:
            raise Bug("a scheduler driver runs once; make another one")
        self._running = True
        async with AsyncExitStack() as rim:
            self._open(rim)
            rim.push_async_callback(self._leader.stop)
            rim.callback(self._silence)
            await self._leader.start(self._report)
            while self._to_tell or self._session.phase is not Phase.ENDED:
                if self._to_tell:
                    await self._tell(self._to_tell.popleft())
                elif self._next is not None:
                    connect, self._next = self._next, None
                    await self._converse(connect.connection, connect.url)
                else:
                    self._changed.clear()
                    await self._changed.wait()
        if self._session.refused:
            raise Refused(self._session.reason)

    async def call(self, call: api.Call) -> None:
        """Send it now; the framework's id is added. Raises NotSubscribed, CallRefused, CallFailed.

        Calls that are awaited one after the other reach the master in that order; others may overtake each other.
        """
        if call.type in (api.CallType.SUBSCRIBE, api.CallType.TEARDOWN):
            raise Bug(f"{call.type} is no call to send so; run subscribes, teardown tears down")
        await self._send(call)
        if call.type == api.CallType.UPDATE_FRAMEWORK and call.update_framework is not None:
            update = call.update_framework  # later subscriptions must not undo it
            self._info, self._suppressed = update.framework_info, update.suppressed_roles
            self._constraints = update.offer_constraints

    async def stop(self) -> None:
        """Leave; the framework and its tasks live on for its failover_timeout. `run` returns soon after."""
        self._step(said.Stop())
        if self._calls is not None:
            self._calls.abort()

    async def teardown(self) -> None:
        """End the framework and ALL ITS TASKS, then stop. Only somebody's explicit command may lead here."""
        await self._send(api.teardown())
        await self.stop()

    # --- calls -------------------------------------------------------------------------------------------------------

    async def _send(self, call: api.Call) -> None:
        kind = str(call.type)
        self._counts["calls"][kind if kind in _CALL_TYPES else "UNKNOWN"] += 1
        try:
            self._target(kind)  # fails at once if it must
            body = encode(msgspec.structs.replace(call, framework_id=self.framework_id))
            assert self._calls is not None
            number = self._session.connection
            answer = await self._calls.post(kind, lambda: self._target(kind), body)
            if answer.status >= 300:
                self._judge(kind, number, answer.status, answer.text)
        except RemoteError:
            self._counts["failed_calls"][kind if kind in _CALL_TYPES else "UNKNOWN"] += 1
            raise

    def _target(self, kind: str) -> tuple[str, Mapping[str, str]]:
        session = self._session
        if session.phase is not Phase.SUBSCRIBED or session.url is None or session.stream_id is None:
            raise NotSubscribed(f"cannot {kind}: not subscribed with a master (now {session.phase.value})")
        return session.url + SCHEDULER_PATH, {**self._headers, "Mesos-Stream-Id": session.stream_id}

    def _judge(self, kind: str, number: int, status: int, text: str) -> None:
        """Raise what an unfriendly answer means. A refusal of a subscription that is over refuses nothing."""
        if 400 <= status < 500 and status not in (408, 425, 429):
            if number == self._session.connection and self.subscribed:
                raise CallRefused(kind, status, text)
            raise CallFailed(f"cannot {kind}: the subscription ended meanwhile ({status}: {text})")
        raise CallFailed(f"cannot {kind}: the master answers {status}{': ' if text else ''}{text}")

    # --- the session -------------------------------------------------------------------------------------------------

    def _open(self, rim: AsyncExitStack) -> None:
        options = self._options
        tls = client_context(options.tls) if options.tls is not None else None
        self._calls = CallPool(
            self._timers, timeout_s=options.call_timeout_s, concurrency=options.call_concurrency, tls=tls
        )
        rim.push_async_callback(self._calls.close)
        self._stream = EventStream(connect_timeout_s=options.connect_timeout_s, tls=tls, max_record=options.max_record)
        rim.push_async_callback(self._stream.close)

    def _silence(self) -> None:
        """`run` is over, whyever: nobody may call or be woken any more."""
        self._step(said.Stop())
        self._to_tell.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _report(self, url: str | None) -> None:
        """From leader detection. What it says while it is asked is a guess; all else is news."""
        if url is None:
            self._step(said.LeaderLost())
        else:
            self._step(said.LeaderGuessed(url) if self._guessing else said.LeaderFound(url))

    def _step(self, event: said.SessionEvent) -> Outcome:
        decision = step(self._session, event, self._timers.now(), self._options.random())
        self._session = decision.session
        for action in decision.actions:
            self._perform(action)
        self._wake()
        self._changed.set()
        return decision.outcome

    def _perform(self, action: said.Action) -> None:
        match action:
            case said.Close():
                if self._next is not None and self._next.connection == action.connection:
                    self._next = None
                elif self._stream is not None and self._current == action.connection:
                    self._stream.interrupt()
            case said.TellDisconnected() | said.TellProblem() | said.TellSubscribed():
                self._to_tell.append(action)
            case said.AskLeader():
                self._guessing = True
                try:
                    self._leader.failed(action.failed)
                finally:
                    self._guessing = False
            case said.Connect():
                self._next = action
            case _:
                assert_never(action)

    def _wake(self) -> None:
        """See to it that a Tick comes at the deadline. A timer that goes off too early is set anew then."""
        deadline = self._session.deadline
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._timers.call_later(max(0.0, deadline - self._timers.now()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._busy:
            self._overdue = True  # what the listener took is not the master's silence
        else:
            self._step(said.Tick())

    async def _tell(self, action: said.Action) -> None:
        match action:
            case said.TellDisconnected():
                await self._heed(self._listener.disconnected(action.reason))
            case said.TellProblem():
                await self._heed(self._listener.problem(action.text))
            case said.TellSubscribed():
                framework = FrameworkID(value=action.framework)
                await self._heed(self._listener.subscribed(framework, self._master, action.again))

    async def _heed(self, told: Coroutine[Any, Any, None]) -> None:
        """Wait for the listener; time does not count meanwhile."""
        self._busy = True
        try:
            await told
        finally:
            self._busy = False
        if self._overdue:
            self._overdue = False
            self._step(said.Resumed(self._session.connection))
            self._step(said.Tick())

    # --- a connection ------------------------------------------------------------------------------------------------

    async def _converse(self, number: int, url: str) -> None:
        """From SUBSCRIBE to the end of the stream; all that happens is told to the session."""
        assert self._stream is not None
        self._current = number
        info = msgspec.structs.replace(self._info, id=self.framework_id)
        body = encode(api.subscribe(info, self._suppressed, self._constraints))
        try:
            answer = await self._stream.open(url, self._headers, body)
            self._step(said.classify(number, url, answer))
            while self._lives(number):
                await self._hear_all(number, await self._stream.read())
        except Interrupted:
            pass  # the session knows: it is its wish
        except StreamBroken as error:
            self._step(said.Failed(number, str(error)))
        finally:
            self._stream.hang_up()

    async def _hear_all(self, number: int, records: list[bytes]) -> None:
        for record in records:
            await self._hear(number, record)
            while self._to_tell:  # in order with the events
                await self._tell(self._to_tell.popleft())
            if not self._lives(number):
                return

    async def _hear(self, number: int, record: bytes) -> None:
        try:
            event = decode(record, api.Event)
        except BadMessage as error:
            self._counts["events"]["UNREADABLE"] += 1
            self._step(said.Heard(number))
            await self._heed(self._listener.problem(f"skipped an event: {printable(str(error)[:1000])}"))
            return
        known = event.type in _EVENT_TYPES
        self._counts["events"][event.type if known else "UNKNOWN"] += 1
        if event.type == api.EventType.SUBSCRIBED and event.subscribed is not None:
            self._master = event.subscribed.master_info
            framework = event.subscribed.framework_id.value
            self._step(said.Subscribed(number, framework, event.subscribed.heartbeat_interval_seconds))
        elif event.type == api.EventType.ERROR:
            message = event.error.message if event.error is not None else "no reason given"
            self._step(said.Refused(number, f"the master ended the subscription: {printable(message[:1000])}"))
        elif self._step(said.Heard(number)) is Outcome.ALIVE and known and event.type != api.EventType.HEARTBEAT:
            if getattr(event, event.type.lower()) is not None:
                await self._heed(self._listener.event(event))
            else:
                await self._heed(self._listener.problem(f"skipped an event: {event.type} without its payload"))

    def _lives(self, number: int) -> bool:
        return self._session.connection == number and self._session.phase in CONNECTED_PHASES


__all__ = [
    "CallFailed",
    "CallRefused",
    "DriverOptions",
    "NotSubscribed",
    "Refused",
    "SchedulerDriver",
    "SchedulerListener",
]
