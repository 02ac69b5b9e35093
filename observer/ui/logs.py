"""A part of a log as lines: each with its address (byte offset), its colours, and what matches the search.

Offsets are exact as long as the text is valid UTF-8; the end of the part always is, so a follower never drifts. The
last line of a live log that has no end yet is `partial`: a follower asks for it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from observer.core.views import Chunk
from web.core.ansi import PLAIN, render_line

#: An unfinished line longer than this is shown as if it were whole, or a follower would ask for it for ever.
MAX_PARTIAL = 32 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """`offset` of its first byte; `cut` characters and `overwritten` parts are not shown."""

    offset: int
    markup: Markup
    partial: bool = False
    cut: int = 0
    overwritten: int = 0


@dataclass(frozen=True, slots=True)
class Lines:
    """`next_offset` is where a follower reads on; `more`: there is more in the file already."""

    rows: tuple[Row, ...]
    next_offset: int
    more: bool


def lines(chunk: Chunk, query: str = "", *, live: bool = False) -> Lines:
    """The lines of a part."""
    texts = chunk.text.split("\n")
    tail = texts.pop()
    rows, offset, look = [], chunk.offset, PLAIN
    for text in texts:
        shown = render_line(text, look, query)
        rows.append(Row(offset, shown.markup, cut=shown.cut, overwritten=shown.overwritten))
        offset, look = offset + len(text.encode(errors="replace")) + 1, shown.look
    end = chunk.end
    if tail:
        size = len(tail.encode(errors="replace"))
        partial = live and chunk.end >= chunk.size and size <= MAX_PARTIAL and "\ufffd" not in tail
        shown = render_line(tail, look, query)
        rows.append(Row(chunk.end - size if partial else offset, shown.markup, partial, shown.cut, shown.overwritten))
        end -= size if partial else 0
    return Lines(tuple(rows), end, chunk.end < chunk.size)


def tail_rows(texts: Sequence[str]) -> tuple[Markup, ...]:
    """A few last lines, without addresses."""
    rows, look = [], PLAIN
    for text in texts:
        shown = render_line(text, look)
        rows.append(shown.markup)
        look = shown.look
    return tuple(rows)


def hit(text: str, query: str) -> Markup:
    """A line that a search found."""
    return render_line(text, PLAIN, query).markup
