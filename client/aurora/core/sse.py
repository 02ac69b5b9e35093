"""Server-sent events out of bytes as they come; bounded. A comment is a sign of life, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

#: Longer lines and events are nonsense.
MOST = 4 * 1024 * 1024


class TooLong(ValueError):
    """A line or an event without end."""


@dataclass(frozen=True)
class ServerEvent:
    """`id` is the last one that was given, a token to resume with."""

    name: str
    data: str
    id: str = ""


class EventParser:
    def __init__(self, last_id: str = "") -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self.last_id = last_id

    def feed(self, data: bytes) -> list[ServerEvent]:
        """The events that are complete now. Raises TooLong."""
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        if len(self._rest) > MOST:
            raise TooLong("a line without end")
        events = []
        for line in lines:
            event = self._line(line.decode("utf-8", "replace"))
            if event is not None:
                events.append(event)
        return events

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "id":
            self.last_id = value
        elif name == "data":
            self._size += len(value)
            if self._size > MOST:
                raise TooLong("an event without end")
            self._data.append(value)
        return None

    def _complete(self) -> ServerEvent | None:
        event = ServerEvent(self._name or "message", "\n".join(self._data), self.last_id)
        is_one = bool(self._data or self._name)
        self._name, self._data, self._size = "", [], 0
        return event if is_one else None
