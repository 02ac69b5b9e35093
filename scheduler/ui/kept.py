"""Pages as HTML, kept until something happens to what they show: two hundred open pages of a job that changes are one
page that is made, and two hundred that are sent.

Source: spec/scheduler.md §13.6.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

from scheduler.event_log import Bell, EventLog, Wish

#: Pages that are kept, and letters of one that is.
MOST, LONGEST = 100, 300_000

#: A look that takes longer than this is not taken anew before it has been shown for many times as long, whatever
#: happens: why a task waits on ten thousand hosts is no small question. What open pages ask for at every word is spared
#: like that however quick it is: two hundred of them look at a job of 4,000 instances. Whoever gets an old one is told
#: when to come again.
SLOW_S, SHARE = 0.05, 10


V = TypeVar("V")


class _Kept(Struct, frozen=True):
    html: str
    true_until: float
    rests_until: float
    bell: Bell

    def is_true(self, now: float) -> bool:
        return not self.bell.has_rung and now < self.true_until


class Shown(Struct, frozen=True):
    """`fresh_in_s`: 0, or it is old, and a new one can be had then."""

    html: str
    fresh_in_s: float = 0.0


class KeptPages(Generic[V]):
    """By address."""

    def __init__(self, clock: Callable[[], float], lasts_s: Callable[[V], float]) -> None:
        """`clock`: monotonic. `lasts_s`: how long what was seen stays true if nothing happens."""
        self._clock = clock
        self._lasts_s = lasts_s
        self._pages: OrderedDict[str, _Kept] = OrderedDict()
        self.made = 0

    def get(
        self,
        address: str,
        events: EventLog,
        wish: Wish,
        look: Callable[[], V],
        show: Callable[[V], str],
        *,
        at_every_word: bool = False,
    ) -> Shown:
        """`wish`: what the page is about. `at_every_word`: open pages ask, whenever something happens. Raises what
        `look` and `show` raise."""
        known = self._pages.get(address)
        now = self._clock()
        if known is not None and known.is_true(now):
            return Shown(known.html)
        if known is not None and now < known.rests_until:
            return Shown(known.html, known.rests_until - now)
        bell = Bell(events, wish)  # what happens from here on is not in it
        try:
            found = look()
            took = self._clock() - now
            html = show(found)
        except Exception:
            bell.close()
            raise
        self.made += 1
        self._drop(address)
        if len(html) <= LONGEST:
            rests = SHARE * (self._clock() - now) if at_every_word else SHARE * took if took > SLOW_S else 0.0
            self._pages[address] = _Kept(html, now + self._lasts_s(found), now + rests, bell)
            if len(self._pages) > MOST:
                self._drop(next(iter(self._pages)))
        else:
            bell.close()
        return Shown(html)

    def _drop(self, address: str) -> None:
        known = self._pages.pop(address, None)
        if known is not None:
            known.bell.close()
