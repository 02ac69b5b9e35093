"""The scheduler's event stream, read by a thread, so that whoever listens can wait with a limit and be interrupted.

    stream = EventStream(api, {"role": …}, after="")
    heard = stream.next(2.0)      Opened, a ServerEvent, Ended, or None: nothing within 2 s

`Opened` comes first: what happens from then on is heard. After `Ended` nothing more comes.
"""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from client.api_client import API, ApiClient
from client.aurora.core.sse import EventParser, ServerEvent, TooLong
from client.connection import Begun, Failed, begin, words_of
from thermos.errors import ThermosError

#: The scheduler sends a comment every 15 s.
SILENCE_S = 45.0
_CHUNK = 65536


@dataclass(frozen=True)
class Opened:
    pass


@dataclass(frozen=True)
class Ended:
    """`for_good`: this scheduler has no such stream."""

    why: str
    for_good: bool = False


Heard = Opened | ServerEvent | Ended


class EventStream:
    def __init__(self, api: ApiClient, query: Mapping[str, str], after: str = "") -> None:
        self._api = api
        self._target = f"{API}/events?{urlencode(query)}"
        self._parser = EventParser(after)
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._begun: Begun | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="events", daemon=True)
        self._thread.start()

    @property
    def last_id(self) -> str:
        """Where to go on."""
        return self._parser.last_id

    def next(self, timeout_s: float) -> Heard | None:
        """What comes next, or None after that time."""
        try:
            return self._heard.get(timeout=timeout_s) if timeout_s > 0 else self._heard.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Wake the thread; it ends by itself."""
        self._closed = True
        if self._begun is not None:
            self._begun.wake()
            self._thread.join(1.0)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            origin = self._api.origin()
            headers = {**self._api.headers(origin), "Accept": "text/event-stream"}
            if self.last_id:
                headers["Last-Event-ID"] = self.last_id
            self._begun = begin(origin, "GET", self._target, headers, None, SILENCE_S)
            try:
                self._heard.put(self._hear(self._begun.response))
            finally:
                self._begun.close()
        except (Failed, ThermosError) as error:
            self._heard.put(Ended(str(error)))
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._heard.put(Ended(words_of(error)))

    def _hear(self, response: http.client.HTTPResponse) -> Ended:
        kind = response.getheader("Content-Type", "")
        if response.status != 200 or not kind.startswith("text/event-stream"):
            return Ended(f"no event stream (HTTP status {response.status})", response.status in (404, 405, 406))
        self._heard.put(Opened())
        while not self._closed:
            data = response.read1(_CHUNK)
            if not data:
                return Ended("the scheduler ended it")
            try:
                for event in self._parser.feed(data):
                    self._heard.put(event)
            except TooLong as error:
                return Ended(f"{error}")
        return Ended("closed")
