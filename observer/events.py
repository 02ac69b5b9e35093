"""News for open pages: server-sent events, resumed by the id of the last one that was seen.

Every event has a number; the last `KEPT` are remembered. A subscriber has a bounded queue: who does not read is cut
off, and its browser comes back with `Last-Event-ID` and gets what it missed, or `reset` when that is too long ago (or
the server is another one: the id carries its epoch).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from web.streams import frame

#: Events that can be resumed from; events that may wait for one slow reader; readers in all.
KEPT = 2000
QUEUE = 256
MAX_SUBSCRIBERS = 500

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class NewsItem:
    """`key` is the task it is about, "" for all of them."""

    number: int
    kind: str
    key: str
    data: bytes

    def render(self, epoch: str) -> bytes:
        return frame(f"{epoch}-{self.number}", self.kind, self.data)


@dataclass(slots=True, eq=False)
class Subscription:
    """One reader. `key` "": it wants what the list shows; else all about one task. `None` in the queue is its end."""

    key: str
    queue: asyncio.Queue[NewsItem | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    dropped: bool = False

    def wants(self, item: NewsItem, listed: frozenset[str]) -> bool:
        return item.key == self.key if self.key else item.kind in listed


class TooManyReaders(Exception):
    """No more subscribers fit."""


class Broker:
    """Events in, one queue per subscriber out. All in the event loop's thread."""

    #: Kinds that concern the list of all tasks.
    LISTED = frozenset({"task", "usage"})

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.sent = 0
        self.dropped = 0
        self.subscribers: set[Subscription] = set()
        self._number = 0
        self._kept: deque[NewsItem] = deque(maxlen=KEPT)

    def publish(self, kind: str, key: str, data: dict[str, Any]) -> None:
        """Tell everybody who wants to know; whoever has not read the last QUEUE events is cut off."""
        self._number += 1
        item = NewsItem(self._number, kind, key, _ENCODER.encode(data))
        self._kept.append(item)
        for subscriber in list(self.subscribers):
            if subscriber.wants(item, self.LISTED):
                self._offer(subscriber, item)

    def _offer(self, subscriber: Subscription, item: NewsItem) -> None:
        try:
            subscriber.queue.put_nowait(item)
            self.sent += 1
        except asyncio.QueueFull:
            self._cut_off(subscriber)
            self.dropped += 1

    def _cut_off(self, subscriber: Subscription) -> None:
        subscriber.dropped = True
        self.subscribers.discard(subscriber)
        while not subscriber.queue.empty():
            subscriber.queue.get_nowait()
        subscriber.queue.put_nowait(None)

    def subscribe(self, key: str, last_id: str = "") -> Subscription:
        """A queue that begins behind `last_id`. Raises TooManyReaders."""
        if len(self.subscribers) >= MAX_SUBSCRIBERS:
            raise TooManyReaders(f"{MAX_SUBSCRIBERS} event streams are open already: close some")
        subscriber = Subscription(key)
        if last_id:
            self._resume(subscriber, last_id)
        self.subscribers.add(subscriber)
        return subscriber

    def _resume(self, subscriber: Subscription, last_id: str) -> None:
        epoch, _, text = last_id.rpartition("-")
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
        oldest = self._kept[0].number if self._kept else self._number + 1
        missed = [item for item in self._kept if item.number > number and subscriber.wants(item, self.LISTED)]
        if epoch != self.epoch or not oldest - 1 <= number <= self._number or len(missed) >= QUEUE:
            subscriber.queue.put_nowait(NewsItem(self._number, "reset", subscriber.key, b"{}"))
            return
        for item in missed:
            subscriber.queue.put_nowait(item)

    @property
    def position(self) -> str:
        """The id of the newest event: a page that shows now is at this point."""
        return f"{self.epoch}-{self._number}"

    def unsubscribe(self, subscriber: Subscription) -> None:
        self.subscribers.discard(subscriber)

    def watched(self) -> set[str]:
        """Keys of tasks that somebody looks at; "" stands for the list."""
        return {subscriber.key for subscriber in self.subscribers}

    def close(self) -> None:
        """End every stream."""
        for subscriber in list(self.subscribers):
            self._cut_off(subscriber)


class Coalescer:
    """Calls `action` once, a little after the first of many `poke`s."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float, action: Callable[[], None]) -> None:
        self._loop, self._delay, self._action = loop, delay, action
        self._timer: asyncio.TimerHandle | None = None

    def poke(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._delay, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._action()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
