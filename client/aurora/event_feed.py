"""The events of a job over as many streams as it takes: one that breaks is opened anew behind what was heard last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from client.api_client import ApiClient
from client.aurora.core.sse import ServerEvent
from client.aurora.event_stream import Ended, EventStream, Opened
from client.job_keys import ClusterJobKey

#: A broken stream is opened anew after so long.
REOPEN_S = 2.0

MakeStream = Callable[[ApiClient, Mapping[str, str], str], EventStream]


class EventFeed:
    """`is_open`: events come by themselves now. Close it after use."""

    def __init__(
        self,
        api: ApiClient,
        job: ClusterJobKey,
        make_stream: MakeStream,
        clock: Callable[[], float],
        pause: Callable[[float], None],
    ) -> None:
        self.is_open = False
        self._api = api
        self._query = {"role": job.role, "environment": job.environment, "name": job.name}
        self._make_stream = make_stream
        self._clock = clock
        self._pause = pause
        self._stream: EventStream | None = None
        self._reopen_at: float | None = clock()
        self._after = ""

    def heard(self, seconds: float) -> Iterator[Opened | ServerEvent]:
        """What comes within the time, and all that has come with it; without a stream time passes."""
        if self._stream is None and self._reopen_at is not None and self._clock() >= self._reopen_at:
            self._stream = self._make_stream(self._api, self._query, self._after)
        if self._stream is None:
            self._pause(min(seconds, REOPEN_S))
            return
        heard = self._stream.next(seconds)
        while heard is not None:
            if isinstance(heard, Ended):
                self._ended(self._stream, for_good=heard.for_good)
                return
            if isinstance(heard, Opened):
                self.is_open = True
            yield heard
            heard = self._stream.next(0)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _ended(self, stream: EventStream, *, for_good: bool) -> None:
        self.is_open = False
        self._after = stream.last_id
        self._reopen_at = None if for_good else self._clock() + REOPEN_S
        self.close()
