"""A small terminal: enough of the codes that we write to see what would stand on the screen."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


class Screen:
    """Endless lines; the cursor is a row and a column."""

    def __init__(self) -> None:
        self._rows: list[str] = [""]
        self._row = 0
        self._column = 0
        self.cursor_visible = True

    def feed(self, text: str) -> None:
        position = 0
        for token in _TOKEN.finditer(text):
            assert token.start() == position, f"a code this screen does not know: {text[position : position + 20]!r}"
            position = token.end()
            if token[3]:
                self._control(token[1], token[2], token[3])
            elif token[0] == "\r":
                self._column = 0
            elif token[0] == "\n":
                self._row, self._column = self._row + 1, 0
                if self._row == len(self._rows):
                    self._rows.append("")
            else:
                line = self._rows[self._row].ljust(self._column)
                self._rows[self._row] = line[: self._column] + token[0] + line[self._column + len(token[0]) :]
                self._column += len(token[0])
        assert position == len(text), f"unfinished code: {text[position:]!r}"

    def _control(self, private: str, number: str, code: str) -> None:
        if private and number == "25":
            self.cursor_visible = code == "h"
        elif code == "A":
            self._row = max(0, self._row - int(number or 1))
        elif code == "K":
            self._rows[self._row] = self._rows[self._row][: self._column]
        elif code == "J":
            self._rows[self._row] = self._rows[self._row][: self._column]
            del self._rows[self._row + 1 :]
        else:
            assert code == "m", f"unknown code {code}"

    def lines(self) -> list[str]:
        """What stands there, without the empty line that the cursor rests on."""
        rows = list(self._rows)
        while rows and not rows[-1]:
            rows.pop()
        return rows
