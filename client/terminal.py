"""A frame of lines on a terminal that changes in place: only lines that differ are written, so it never flickers.

The cursor rests on the line below the frame. Nothing of the terminal is changed for good: whoever is killed in the
middle leaves it as it was. Pure: bytes are for the caller to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from client.render import fit, width_of

#: (text, style); a line is a sequence of them.
Segment = tuple[str, str]
StyledLine = Sequence[Segment]

STYLES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold red": "1;31",
    "bold green": "1;32",
}


def paint_line(line: StyledLine, columns: int, *, colours: bool = True) -> str:
    """The line with its styles, cut to the terminal's width."""
    painted, left = "", columns
    for text, style in line:
        text = fit(text, left)
        left -= width_of(text)
        painted += f"\x1b[{STYLES[style]}m{text}\x1b[0m" if colours and STYLES[style] and text else text
        if left <= 0:
            break
    return painted


class Frame:
    """What stands on the terminal now."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def draw(self, lines: Sequence[str]) -> str:
        """What to write so that `lines` stand there; "" when they do already."""
        if list(lines) == self._lines:
            return ""
        moves = [self._to_top()]
        for old, new in zip_longest(self._lines, lines):
            if new is None:
                break
            moves.append("\n" if new == old else f"{new}\x1b[K\n")
        if len(lines) < len(self._lines):
            moves.append("\x1b[J")
        self._lines = list(lines)
        return "\x1b[?25l" + "".join(moves) + "\x1b[?25h"

    def clear(self) -> str:
        """Take the frame away."""
        erased = f"{self._to_top()}\x1b[J" if self._lines else ""
        self._lines = []
        return erased

    def _to_top(self) -> str:
        return f"\r\x1b[K\x1b[{len(self._lines)}A" if self._lines else "\r\x1b[K"
