"""The address of the page that is looked at, and the same page with something changed: how lists are sorted, filtered
and paged by plain links that can be shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Here:
    """`path` is quoted already. `words`: what the query says, without what goes without saying."""

    path: str
    words: Mapping[str, str] = field(default_factory=dict)

    def to(self, **changes: str | int | bool | None) -> str:
        """None, False and "" take a word out. Another order or filter begins at the first page."""
        words = dict(self.words)
        if changes and "offset" not in changes:
            words.pop("offset", None)
        for name, value in changes.items():
            if value is None or value is False or value == "":
                words.pop(name, None)
            else:
                words[name] = "1" if value is True else str(value)
        return self.path + (f"?{urlencode(words)}" if words else "")

    def sorting(self, by: str, now: str, reverse: bool) -> str:
        """The link of a column's head: sort by it, or turn the order round if that is so already."""
        return self.to(sort=by, reverse=by == now and not reverse)

    def hidden(self, *changed: str) -> list[tuple[str, str]]:
        """What a form has to carry along besides its own fields."""
        return [(name, value) for name, value in self.words.items() if name not in (*changed, "offset")]
