"""Pages as HTML, kept until something happens to what they show: two hundred open pages of a job that changes are one
page that is made, and two hundred that are sent.

Source: spec/scheduler.md §13.6.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from scheduler.event_log import Bell, EventLog, Wish

#: Pages that are kept, and letters of one that is.
MOST, LONGEST = 200, 1_000_000

#: Seconds after which a page is made anew although nothing has happened: not everything has events.
MOST_AGE_S = 2.0


class _Kept(Struct, frozen=True):
    html: str
    made_at: float
    bell: Bell


class KeptPages:
    """By address."""

    def __init__(self) -> None:
        self._pages: OrderedDict[str, _Kept] = OrderedDict()
        self.made = 0

    def get(self, address: str, events: EventLog, wish: Wish, now: float, make: Callable[[], str]) -> str:
        """`wish`: what the page is about. `now`: monotonic. Raises what `make` raises."""
        known = self._pages.get(address)
        if known is not None and not known.bell.has_rung and now - known.made_at < MOST_AGE_S:
            return known.html
        html = make()
        self.made += 1
        self._drop(address)
        if len(html) <= LONGEST:
            self._pages[address] = _Kept(html, now, Bell(events, wish))
            if len(self._pages) > MOST:
                self._drop(next(iter(self._pages)))
        return html

    def _drop(self, address: str) -> None:
        known = self._pages.pop(address, None)
        if known is not None:
            known.bell.close()
