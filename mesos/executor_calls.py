"""What an executor has to say to its agent, one call at a time: the ledger's updates, then messages.

After a failed call all calls pause (`acks.pause_s`), because it is mostly the agent that is unwell; what is wrong is
told once, however often it happens on end. A call that is cut off with its connection is an update that the next
SUBSCRIBE says again, or a message that is lost.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable

from mesos.core.acks import Ledger, pause_s
from mesos.core.executor_api import Speaker
from mesos.core.wire import encode
from mesos.http1 import Answer

#: What is under way when it is no update.
_MESSAGE = b""


class Calls:
    """`order` carries a call out: its number and its body."""

    def __init__(
        self, ledger: Ledger, speaker: Speaker, max_messages: int, order: Callable[[int, bytes], None]
    ) -> None:
        self.number = 0  # of the newest call
        self.counts: Counter[str] = Counter()
        self._ledger = ledger
        self._speaker = speaker
        self._order = order
        self._max_messages = max_messages
        self._messages: deque[bytes] = deque()
        self._under_way: bytes | None = None  # an update's uuid, or `_MESSAGE`
        self._failures = 0  # on end
        self._not_before = -math.inf  # they pause
        self._trouble = ""  # what was told of that

    @property
    def messages(self) -> int:
        """How many wait."""
        return len(self._messages)

    @property
    def is_busy(self) -> bool:
        """Is a call under way, or does a message wait for its turn?"""
        return self._under_way is not None or bool(self._messages)

    @property
    def next_wake(self) -> float:
        """When something is due by itself; while a call is under way its answer is what to wait for."""
        if self._under_way is not None:
            return math.inf
        due = self._ledger.next_wake
        if self._messages or self._ledger.has_ready:
            return self._not_before
        return math.inf if due is None else max(due, self._not_before)

    def add_message(self, data: bytes) -> bool:
        """False when too many wait."""
        if len(self._messages) >= self._max_messages:
            return False
        self._messages.append(data)
        return True

    def say(self, now: float) -> None:
        """Begin the next call, if none is under way. There has to be a subscription."""
        if self._under_way is not None or now < self._not_before:
            return
        status = self._ledger.take(now)
        if status is not None:
            self._under_way, call = status.uuid, self._speaker.update(status)
        elif self._messages:
            self._under_way, call = _MESSAGE, self._speaker.message(self._messages.popleft())
        else:
            return
        self.number += 1
        self.counts[f"call {call.type}"] += 1
        self._order(self.number, encode(call))

    def answered(self, number: int, answer: Answer | None, text: str, now: float, random: float) -> str:
        """What became of a call; what there is to be told of it, "" for nothing (new)."""
        if number != self.number or self._under_way is None:
            return ""  # it was cut off before
        uuid, self._under_way = self._under_way, None
        if answer is not None and answer.status < 300:
            self._go_on()
            self._ledger.sent(uuid, now)
            return ""
        if answer is not None and answer.status == 400:
            self._ledger.refused(uuid, now)
        else:
            self._failures += 1
            self._not_before = now + pause_s(self._failures, random)
            self._ledger.failed(uuid, now)
        what = "a message" if uuid == _MESSAGE else "a status update"
        trouble = f"cannot send {what}: {answer.words if answer is not None else text}"
        if trouble == self._trouble:
            return ""
        self._trouble = trouble
        return trouble

    def cut_off(self) -> None:
        """The subscription is gone, and whatever is under way with it."""
        self.counts["messages cut off"] += self._under_way == _MESSAGE
        self._under_way = None
        self._go_on()

    def _go_on(self) -> None:
        self._failures, self._not_before, self._trouble = 0, -math.inf, ""
