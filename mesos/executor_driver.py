"""An executor's side of Mesos: keeps the subscription at the agent and gets every status update through.

Everything happens in the thread of the loop; the two threads of `executor_link` carry out orders and post what came of
them. What to do about the subscription says `core.executor_session`, what has to be said `core.acks`; here both are
performed. A record goes to the journal before its update goes to the agent, and before a launch goes to the listener.

Framework messages are said once, when there is a subscription, and may get lost; that is what Mesos promises of them.
"""

from __future__ import annotations

import heapq
import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from mesos.core import acks, executor_session
from mesos.core.acks import Fold, Record
from mesos.core.executor_api import (
    Acknowledged,
    Data,
    Event,
    EventType,
    Kill,
    Launch,
    LaunchGroup,
    Speaker,
    Subscribed,
)
from mesos.core.executor_session import Happening, Kind, Phase, Session, Terms
from mesos.core.messages import (
    ExecutorID,
    FrameworkID,
    KillPolicy,
    Source,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskStatus,
)
from mesos.core.wire import BadMessage, encode
from mesos.executor_book import Book
from mesos.executor_calls import Calls
from mesos.executor_environment import ExecutorEnvironment
from mesos.executor_link import Called, Headers, Heard, Link, LinkTerms, Post, Report, ThreadLink
from mesos.journal import Write
from thermos.clock import Now
from thermos.errors import Bug, HostError

#: The longest pause between two attempts, whatever MESOS_SUBSCRIPTION_BACKOFF_MAX says: the agent is on this machine,
#: and waits 2 s for its executors. Less than the least would be spinning.
BACKOFF_CAP_S, BACKOFF_LEAST_S = 0.5, 0.05


class EventLoop(Protocol):
    """What the driver needs of a loop; `thermos.host.loop` has one."""

    def post(self, call: Callable[[Now], None]) -> None:
        """From any thread: run it in the loop."""

    def call_at(self, when: float, call: Callable[[Now], None]) -> None:
        """Run it once, at `when` (mono)."""


class ExecutorListener(Protocol):
    """Who is told; always in the loop's thread. What it raises goes through the loop."""

    def subscribed(self, event: Subscribed, again: bool, now: Now) -> None: ...
    def launch(self, task: TaskInfo, now: Now) -> None: ...
    def launch_group(self, group: TaskGroupInfo, now: Now) -> None: ...
    def kill(self, task_id: TaskID, policy: KillPolicy | None, now: Now) -> None: ...
    def message(self, data: bytes, now: Now) -> None: ...

    def shutdown(self, reason: str, now: Now) -> None:
        """SHUTDOWN, or the agent is away for good: kill everything, then `stop`. Said once."""

    def disconnected(self, reason: str, now: Now) -> None: ...

    def problem(self, text: str, now: Now) -> None:
        """Something went wrong that the driver deals with by itself."""

    def ended(self, reason: str, now: Now) -> None:
        """Nothing more comes."""


class ExecutorOptions(msgspec.Struct, frozen=True):
    """Times in seconds, sizes in bytes."""

    call_timeout_s: float = 10.0
    attempt_s: float = 10.0  # from a SUBSCRIBE to SUBSCRIBED
    first_s: float = 60.0  # for the first subscription where nothing is checkpointed
    max_record: int = 16 * 1024 * 1024  # of an event
    max_messages: int = 1000  # that wait to be sent
    retry_disk_s: float = 1.0


def make_link(environment: ExecutorEnvironment, options: ExecutorOptions, post: Post) -> Link:
    """The real one."""
    terms = LinkTerms(options.attempt_s, options.call_timeout_s, options.max_record)
    return ThreadLink(environment.endpoint, _headers(environment), terms, post)


class ExecutorDriver:
    """See the module. All methods are for the loop's thread."""

    def __init__(
        self,
        environment: ExecutorEnvironment,
        loop: EventLoop,
        listener: ExecutorListener,
        *,
        journal: Path | None,
        random: Callable[[int], bytes] = os.urandom,
        options: ExecutorOptions = ExecutorOptions(),  # noqa: B008  it is frozen
        make_link: Callable[[ExecutorEnvironment, ExecutorOptions, Post], Link] = make_link,
        write: Write = os.write,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._random = random
        self._options = options
        self._executor_id = ExecutorID(value=environment.executor_id)
        self._speaker = Speaker(framework_id=FrameworkID(value=environment.framework_id), executor_id=self._executor_id)
        self._book = Book(journal, environment, write)
        self._ledger = self._book.ledger
        self._session = Session(_terms(environment, options))
        self._offered: tuple[bytes, ...] = ()  # uuids that the SUBSCRIBE under way holds
        self._wakes: list[float] = []  # heap of the timers that are set in the loop
        self._disk_retry = False  # a timer is set
        self._flush_until: float | None = None  # stopping: so long updates may still be acknowledged
        self._counts: Counter[str] = Counter()
        self._link = make_link(environment, options, self._post)
        self._calls = Calls(self._ledger, self._speaker, options.max_messages, self._link.call)

    # --- for the executor ---

    def start(self, now: Now) -> None:
        """Read the journal and subscribe."""
        if self._session.phase is not Phase.IDLE:
            raise Bug("an executor driver is started once")
        for problem in self._book.open():
            self._listener.problem(problem, now)
        self._mind_disk(now)
        self._link.start()
        self._happen(Happening(Kind.START), now)

    def update(self, status: TaskStatus, now: Now) -> TaskStatus:
        """Say it until it is acknowledged. What it lacks is filled in: uuid, timestamp, source, executor id."""
        if self._session.phase is Phase.IDLE:
            raise Bug("an executor driver is started before it is told updates")
        if self._session.phase is Phase.ENDED:
            raise HostError(f"cannot send {status.state} of {status.task_id.value}: the executor's driver has ended")
        if len(self._ledger) >= acks.MAX_PENDING:
            raise HostError(f"cannot keep more than {acks.MAX_PENDING} status updates that nobody acknowledges")
        filled = msgspec.structs.replace(
            status,
            uuid=status.uuid or self._new_uuid(),
            timestamp=now.wall if status.timestamp is None else status.timestamp,
            source=status.source or Source.EXECUTOR,
            executor_id=status.executor_id or self._executor_id,
        )
        self._record(acks.updated(filled), now)
        self._say(now)
        return filled

    def message(self, data: bytes) -> None:
        """To the framework, at most once; without a subscription it is lost, and that is told as a problem."""
        self._loop.post(lambda now: self._take_message(data, now))

    def stop(self, now: Now, flush_s: float = 0.0) -> None:
        """End the subscription, after at most `flush_s` seconds in which updates are still got through."""
        if self._session.phase is Phase.ENDED:
            return
        self._flush_until = now.mono + flush_s
        self._loop.post(self._settle)

    @property
    def pending(self) -> tuple[TaskStatus, ...]:
        """Updates that are not acknowledged."""
        return self._ledger.updates

    @property
    def phase(self) -> Phase:
        return self._session.phase

    def state(self) -> dict[str, Any]:
        """For people who look into a running executor."""
        return {
            "phase": str(self._session.phase),
            "subscriptions": self._session.subscriptions,
            "attempts": self._session.attempts,
            "problem": self._session.problem,
            "doomed": self._session.doomed,
            "unacknowledged_updates": len(self._ledger),
            "unacknowledged_tasks": len(self._ledger.tasks),
            "messages": self._calls.messages,
            "journal": self._book.trouble or "ok",
            "counts": dict(self._counts + self._calls.counts),
        }

    # --- the session ---

    def _happen(self, event: Happening, now: Now, told: Event | None = None) -> None:
        """One event through the table, and what it says to do."""
        decision = executor_session.step(self._session, event, now.mono, self._fraction())
        self._session = decision.session
        for action in decision.actions:
            self._perform(action, told, now)
        self._settle(now)

    def _perform(self, action: executor_session.Action, told: Event | None, now: Now) -> None:
        match action:
            case executor_session.Close(connection):
                self._link.give_up(connection, self._calls.number)
                self._calls.cut_off()
            case executor_session.Connect(connection):
                self._subscribe(connection)
            case executor_session.Deliver(again):
                assert told is not None
                self._deliver(told, again, now)
            case executor_session.TellDisconnected(reason):
                self._listener.disconnected(reason, now)
            case executor_session.TellProblem(text):
                self._listener.problem(text, now)
            case executor_session.TellShutdown(reason):
                self._listener.shutdown(reason, now)
            case executor_session.TellEnded(reason):
                self._end(reason, now)

    def _subscribe(self, connection: int) -> None:
        updates = self._ledger.updates
        self._offered = tuple(status.uuid for status in updates)
        self._link.subscribe(connection, encode(self._speaker.subscribe(self._ledger.tasks, updates)))

    def _end(self, reason: str, now: Now) -> None:
        self._link.stop()
        self._book.close()
        self._listener.ended(reason, now)

    # --- what the threads report ---

    def _post(self, report: Report) -> None:
        self._loop.post(lambda now: self._on_report(report, now))

    def _on_report(self, report: Report, now: Now) -> None:
        match report:
            case Happening():
                self._happen(report, now)
            case Called(number, answer, text):
                trouble = self._calls.answered(number, answer, text, now.mono, self._fraction())
                if trouble:
                    self._listener.problem(trouble, now)
                self._settle(now)
            case Heard(connection, events, done):
                try:
                    for event in events:
                        self._hear(connection, event, now)
                finally:
                    done()

    def _hear(self, connection: int, event: Event | BadMessage, now: Now) -> None:
        if connection != self._session.connection or self._session.phase is Phase.ENDED:
            return
        if isinstance(event, BadMessage):
            self._counts["unreadable"] += 1
            self._listener.problem(f"an event of the agent was skipped: {event}", now)
            return
        kind = _KINDS.get(event.type)
        self._counts[event.type if kind is not None else "unknown"] += 1
        contents = _CONTENTS.get(event.type)
        if contents is not None and getattr(event, contents) is None:
            self._listener.problem(f"an event of the agent was skipped: {event.type} without its contents", now)
        elif kind is not None and event.type != EventType.HEARTBEAT:  # that it came was all
            text = f"the agent says ERROR: {event.error.message}" if event.error is not None else ""
            self._happen(Happening(kind, connection, text), now, event)

    def _deliver(self, event: Event, again: bool, now: Now) -> None:
        match event:
            case Event(type=EventType.SUBSCRIBED, subscribed=Subscribed() as subscribed):
                self._ledger.subscribed(self._offered, now.mono)
                self._listener.subscribed(subscribed, again, now)
            case Event(type=EventType.LAUNCH, launch=Launch(task=task)):
                if self._keep((task,), now):
                    self._listener.launch(task, now)
            case Event(type=EventType.LAUNCH_GROUP, launch_group=LaunchGroup(task_group=group)):
                if self._keep(group.tasks, now):
                    self._listener.launch_group(group, now)
            case Event(type=EventType.KILL, kill=Kill(task_id=task_id, kill_policy=policy)):
                self._listener.kill(task_id, policy, now)
            case Event(type=EventType.ACKNOWLEDGED, acknowledged=Acknowledged() as ack):
                self._record(acks.acknowledged(ack), now)
                self._say(now)
            case Event(type=EventType.MESSAGE, message=Data(data=data)):
                self._listener.message(data, now)

    def _keep(self, tasks: tuple[TaskInfo, ...], now: Now) -> bool:
        """False, and nothing is done, where one was launched already."""
        for task in tasks:
            if self._ledger.knows(task.task_id.value):
                self._listener.problem(f"the agent launches {task.task_id.value} again; it was skipped", now)
                return False
        for task in tasks:
            self._record(acks.launched(task), now)
        return True

    # --- calls ---

    def _take_message(self, data: bytes, now: Now) -> None:
        if self._session.phase is not Phase.SUBSCRIBED:
            self._listener.problem(f"a message of {len(data)} bytes was not sent: there is no subscription", now)
        elif not self._calls.add_message(data):
            self._listener.problem(f"a message of {len(data)} bytes was not sent: {self._calls.messages} wait", now)
        else:
            self._say(now)

    def _say(self, now: Now) -> None:
        if self._session.phase is Phase.SUBSCRIBED:
            self._calls.say(now.mono)
            self._wake_later()

    # --- the journal ---

    def _record(self, record: Record, now: Now) -> Fold:
        outcome = self._book.record(record)
        self._mind_disk(now)
        return outcome

    def _mind_disk(self, now: Now) -> None:
        """While something is in memory only: told once, tried again and again."""
        if self._book.trouble and not self._disk_retry:
            self._listener.problem(self._book.trouble, now)
            self._retry_disk(now)

    def _retry_disk(self, now: Now) -> None:
        self._disk_retry = True
        self._loop.call_at(now.mono + self._options.retry_disk_s, self._on_disk_timer)

    def _on_disk_timer(self, now: Now) -> None:
        self._disk_retry = False
        if self._session.phase is not Phase.ENDED and self._book.trouble:
            self._book.flush()
            if self._book.trouble:
                self._retry_disk(now)

    # --- time ---

    def _settle(self, now: Now) -> None:
        """Whatever is due by itself, what can be said, and when to look again."""
        if self._session.phase is Phase.ENDED:
            return
        happening = executor_session.due(self._session, now.mono)
        if happening is not None:
            self._happen(happening, now)
            return
        self._say(now)
        if self._flush_until is not None and self._is_flushed(now):
            self._happen(Happening(Kind.STOP), now)
            return
        self._wake_later()

    def _is_flushed(self, now: Now) -> bool:
        assert self._flush_until is not None
        hopeless = self._session.phase in (Phase.IDLE, Phase.ABANDONED)
        done = not len(self._ledger) and not self._calls.is_busy
        return hopeless or done or now.mono >= self._flush_until

    def _wake_later(self) -> None:
        """The loop's timers can't be taken back: one that comes too early looks and asks for the next."""
        wakes = [self._session.next_wake]
        if self._session.phase is Phase.SUBSCRIBED:
            wakes.append(self._calls.next_wake)
        if self._flush_until is not None:
            wakes.append(self._flush_until)
        when = min(wakes)
        if not math.isinf(when) and (not self._wakes or when < self._wakes[0]):
            heapq.heappush(self._wakes, when)
            self._loop.call_at(when, self._on_wake)

    def _on_wake(self, now: Now) -> None:
        while self._wakes and self._wakes[0] <= now.mono:
            heapq.heappop(self._wakes)
        self._settle(now)

    # --- chance ---

    def _fraction(self) -> float:
        return int.from_bytes(self._random(4)) / 2**32

    def _new_uuid(self) -> bytes:
        """A random one, version 4."""
        data = bytearray(self._random(16))
        data[6] = data[6] & 0x0F | 0x40
        data[8] = data[8] & 0x3F | 0x80
        return bytes(data)


_KINDS: dict[str, Kind] = {
    EventType.SUBSCRIBED: Kind.HELLO,
    EventType.LAUNCH: Kind.EVENT,
    EventType.LAUNCH_GROUP: Kind.EVENT,
    EventType.KILL: Kind.EVENT,
    EventType.ACKNOWLEDGED: Kind.EVENT,
    EventType.MESSAGE: Kind.EVENT,
    EventType.SHUTDOWN: Kind.SHUTDOWN,
    EventType.ERROR: Kind.ERROR,
    EventType.HEARTBEAT: Kind.EVENT,
}

#: The field that an event can't be without.
_CONTENTS: dict[str, str] = {
    EventType.SUBSCRIBED: "subscribed",
    EventType.LAUNCH: "launch",
    EventType.LAUNCH_GROUP: "launch_group",
    EventType.KILL: "kill",
    EventType.ACKNOWLEDGED: "acknowledged",
    EventType.MESSAGE: "message",
}


def _terms(environment: ExecutorEnvironment, options: ExecutorOptions) -> Terms:
    return Terms(
        checkpoint=environment.checkpoint,
        away_s=environment.recovery_timeout_s if environment.checkpoint else options.first_s,
        backoff_s=max(BACKOFF_LEAST_S, min(environment.subscription_backoff_max_s, BACKOFF_CAP_S)),
        attempt_s=options.attempt_s,
    )


def _headers(environment: ExecutorEnvironment) -> Headers:
    headers = (("Content-Type", "application/json"), ("Accept", "application/json"))
    return (*headers, ("Authorization", f"Bearer {environment.token}")) if environment.token else headers
