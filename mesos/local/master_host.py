"""The rim of one master: performs its effects, keeps its links and streams, wakes it when it wants to be woken.

The same for a master behind HTTP and for one in a simulation; only what its streams are differs. When it is killed
everything that it held is gone but the registry, which its successor gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Protocol, assert_never

import msgspec

from mesos.core.messages import Message
from mesos.core.scheduler_api import Call, Event
from mesos.core.wire import encode
from mesos.local.core.cluster import Answer, Effect, SendOperator
from mesos.local.core.master import Master
from mesos.local.core.protocol import CloseStream, FromAgent, FromMaster, Ping, SendAgent, SendEvent
from mesos.local.faults import Parcel, Way
from mesos.local.link import Link, Post
from mesos.local.streams import Outbox
from mesos.local.timeline import Alarm


class Sink(Protocol):
    """Where one framework's events go."""

    def put(self, event: Event) -> None: ...

    def finish(self) -> None:
        """The master ends the stream, after what was put."""

    def break_off(self) -> None:
        """The master is gone."""


class OutboxSink:
    """A stream over HTTP."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def put(self, event: Event) -> None:
        self._outbox.put(encode(event))

    def finish(self) -> None:
        self._outbox.finish()

    def break_off(self) -> None:
        self._outbox.break_off()


class _Stream:
    """`framework` is known once SUBSCRIBED went by."""

    __slots__ = ("framework", "sink")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.framework = ""


class MasterHost:
    def __init__(self, master: Master, identity: str, post: Post) -> None:
        self.master = master
        self.identity = identity
        self.is_alive = True
        self._post = post
        self._timeline = post.timeline
        self._alarm = Alarm(self._timeline, self._ring)
        self._links: dict[str, Link] = {}
        self._newest: dict[str, Link] = {}  # by address: pings find an agent that restarts before it is registered
        self._streams: dict[str, _Stream] = {}
        self._operators: dict[str, Outbox] = {}
        self._numbers = count()
        self._alarm.set(master.next_wake)

    # --- agents

    def open_link(self, agent: int, to_agent: Callable[[FromMaster], None]) -> Link:
        """A new connection of this agent; there is nothing said on it yet."""
        link = Link(f"agent{agent}#{next(self._numbers)}", agent, self._post, self._from_agent, to_agent)
        self._links[link.name] = self._newest[_address(link.name)] = link
        return link

    def close_link(self, link: Link) -> None:
        """The agent's end broke it; the master notices."""
        link.cut()
        if self._newest.get(_address(link.name)) is link:
            del self._newest[_address(link.name)]
        if self._links.pop(link.name, None) is not None and self.is_alive:
            self._did(self.master.link_broken(link.name, self._timeline.now()))

    def _from_agent(self, link: str, message: FromAgent) -> None:
        if self.is_alive:
            self._did(self.master.from_agent(link, message, self._timeline.now()))

    # --- schedulers

    def subscribe(self, call: Call, stream_id: str, sink: Sink, principal: str | None) -> Answer:
        self._streams[stream_id] = _Stream(sink)
        answer = self.master.subscribe(call, stream_id, principal, self._timeline.now())
        self._did(answer.effects)
        if answer.status != 200:
            self._streams.pop(stream_id, None)
        return answer

    def call(self, call: Call, stream_id: str | None, principal: str | None) -> Answer:
        answer = self.master.call(call, stream_id, principal, self._timeline.now())
        self._did(answer.effects)
        return answer

    def stream_closed(self, stream_id: str) -> None:
        """The client's end. (After the master's own it is no news.)"""
        if self._streams.pop(stream_id, None) is not None and self.is_alive:
            self._did(self.master.stream_closed(stream_id, self._timeline.now()))

    # --- operators

    def operate(self, call: Mapping[str, object], principal: str | None) -> Answer:
        """A call of the operator API, everything but SUBSCRIBE."""
        answer = self.master.operator(call, principal, self._timeline.now())
        self._did(answer.effects)
        return answer

    def endpoint(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        answer = self.master.endpoint(method, path, query, body, self._timeline.now())
        self._did(answer.effects)
        return answer

    def watch(self, stream_id: str, outbox: Outbox, principal: str | None) -> None:
        """SUBSCRIBE of the operator API: events go into the outbox from now on."""
        self._operators[stream_id] = outbox
        self._did(self.master.subscribe_operator(stream_id, principal, self._timeline.now()).effects)

    def unwatch(self, stream_id: str) -> None:
        if self._operators.pop(stream_id, None) is not None and self.is_alive:
            self._did(self.master.stream_closed(stream_id, self._timeline.now()))

    # --- end

    def kill(self) -> None:
        """Between two events, as kill -9 would: nobody is told, sockets break. Telling the agents that their links
        broke is the matter of who kills."""
        self.is_alive = False
        self._alarm.stop()
        for link in self._links.values():
            link.cut()
        self._links.clear()
        self._newest.clear()
        for stream in tuple(self._streams.values()):
            stream.sink.break_off()
        self._streams.clear()
        for outbox in tuple(self._operators.values()):
            outbox.break_off()
        self._operators.clear()

    # --- performing

    def _ring(self) -> None:
        if self.is_alive:
            self._did(self.master.on_timer(self._timeline.now()))

    def _did(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._perform(effect)
        self._alarm.set(self.master.next_wake)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendAgent(link=name, message=message):
                link = self._links.get(name)
                if link is None and isinstance(message, Ping):
                    link = self._newest.get(_address(name))
                if link is not None:
                    link.send_agent(message)
            case SendEvent(stream_id=stream_id, event=event):
                stream = self._streams.get(stream_id)
                if stream is not None:
                    self._tell(stream_id, stream, event)
            case CloseStream(stream_id=stream_id):
                stream = self._streams.pop(stream_id, None)
                if stream is not None:
                    stream.sink.finish()
                watched = self._operators.pop(stream_id, None)
                if watched is not None:
                    watched.finish()
            case SendOperator(stream_id=stream_id, event=told):
                outbox = self._operators.get(stream_id)
                if outbox is not None:
                    outbox.put(json_bytes(told))
            case _:
                assert_never(effect)

    def _tell(self, stream_id: str, stream: _Stream, event: Event) -> None:
        if event.subscribed is not None:
            stream.framework = event.subscribed.framework_id.value
        if self._post.faults:
            parcel = Parcel(Way.TO_SCHEDULER, event, framework_of_stream=stream.framework)
            self._post.carry(parcel, stream_id, lambda: stream.sink.put(event))
        else:
            stream.sink.put(event)


def _address(link: str) -> str:
    """Of the agent at the other end; it stays the same when a connection does not."""
    return link.partition("#")[0]


def json_bytes(value: object) -> bytes:
    """Of the operator API: plain objects, with messages of ours in them."""
    return encode(value) if isinstance(value, Message) else msgspec.json.encode(value)
