"""One update, watched: a look at all of it, and another one whenever an event says that something has changed; where
there are no events, looks at growing intervals. A look that takes long is not repeated often; waiting for a scheduler
that is away does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from client.api_client import ApiClient, job_path
from client.api_errors import NetworkError, TimedOut
from client.aurora.core.answers import parse, reasons_of
from client.aurora.core.tasks import Task
from client.aurora.core.updates import Update, parse_update, unplaced, with_reasons
from client.aurora.event_feed import EventFeed, MakeStream
from client.aurora.event_stream import EventStream
from client.job_keys import ClusterJobKey
from thermos.clock import now

#: Seconds between looks without events: doubled each time, up to the most.
LOOK_S, MOST_LOOK_S = 1.0, 5.0
#: With events: for what it waits for, which is no event.
RELOOK_S = 5.0
#: Between looks because of events: at least, and that many times what a look takes.
GAP_S, GAP_TIMES = 0.2, 5.0
#: A scheduler that is away for no longer than this will be there again.
AWAY_S = 600.0
#: Of an instance that has waited so long for a host it is asked why; and of so many at most.
PLACEMENT_MS, MOST_REASONS = 2_000, 200


def wall_ms() -> int:
    return int(now().wall * 1000)


def find_update(api: ApiClient, job: ClusterJobKey, update_id: str, now_ms: Callable[[], int] = wall_ms) -> Update:
    """`active` is the one that the job is in. Raises what the client raises."""
    update = parse_update(api.get(job_path(job, "updates", update_id)))
    waiting = unplaced(update, now_ms() - PLACEMENT_MS)
    if not waiting:
        return update
    query = {"role": job.role, "environment": job.environment, "name": job.name, "statuses": "PENDING"}
    answer = api.get("/tasks", {**query, "configs": "false", "limit": MOST_REASONS})
    tasks, reasons = parse(answer.get("tasks", []), list[Task]), reasons_of(answer)
    return with_reasons(update, {task.instance: reasons[task.id] for task in tasks if task.id in reasons})


class UpdateWatch:
    """Close it after use; looks raise what the client raises."""

    def __init__(
        self,
        api: ApiClient,
        job: ClusterJobKey,
        update_id: str,
        *,
        make_stream: MakeStream = EventStream,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._job = job
        self._id = update_id
        self._clock = clock
        self._feed = EventFeed(api, job, make_stream, clock, pause)
        self._away_since: float | None = None
        self._look_s = LOOK_S
        self._look_at = self._soonest = clock()  # of the next look: when it is due, and not before
        self.update = self._fetch()

    def look(self) -> None:
        """The scheduler may be away for a while."""
        try:
            self.update = self._fetch()
            self._away_since = None
        except (NetworkError, TimedOut):
            now = self._clock()
            self._away_since = self._away_since if self._away_since is not None else now
            if now - self._away_since > AWAY_S:
                raise
            self._looked(now)

    def wait(self, seconds: float | None) -> None:
        """Until it was looked at again, or the time is over."""
        end = None if seconds is None else self._clock() + max(0.0, seconds)
        while True:
            now = self._clock()
            if now >= self._look_at:
                self._look_s = min(self._look_s * 2, MOST_LOOK_S)
                self.look()
                return
            if end is not None and now >= end:
                return
            if list(self._feed.heard((self._look_at if end is None else min(self._look_at, end)) - now)):
                self._look_s = LOOK_S
                self._look_at = min(self._look_at, max(self._clock(), self._soonest))

    def close(self) -> None:
        self._feed.close()

    def _fetch(self) -> Update:
        begun, waited_s = self._clock(), self._api.waited_s
        update = find_update(self._api, self._job, self._id)
        self._looked(begun + self._api.waited_s - waited_s)
        return update

    def _looked(self, begun: float) -> None:
        now = self._clock()
        self._soonest = now + max(GAP_S, GAP_TIMES * (now - begun))
        self._look_at = max(now + (RELOOK_S if self._feed.is_open else self._look_s), self._soonest)
