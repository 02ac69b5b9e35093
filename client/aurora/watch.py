"""One job, watched: a look at all of its tasks, then events; where there are none, looks at growing intervals.

While tasks wait for a host it is looked anew now and then, for the reasons, which are no events.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection

from client.api_client import ApiClient
from client.api_errors import NetworkError, TimedOut
from client.aurora.core.answers import parse, reasons_of
from client.aurora.core.instances import Instances, seen_of
from client.aurora.core.sse import ServerEvent
from client.aurora.core.tasks import DeletedNews, TaskNews, parse_task
from client.aurora.event_feed import EventFeed, MakeStream
from client.aurora.event_stream import EventStream
from client.job_keys import ClusterJobKey
from thermos.errors import RemoteError

#: Seconds between looks without events: doubled each time, up to the most.
LOOK_S = 2.0
MOST_LOOK_S = 15.0
#: With events: for reasons while something waits, else in case that something was missed.
REASONS_S = 5.0
RELOOK_S = 60.0
#: A scheduler that is away for no longer than this will be there again.
AWAY_S = 600.0


class Watch:
    """`only`: the instances that matter. Close it after use; looks raise what the client raises."""

    def __init__(
        self,
        api: ApiClient,
        job: ClusterJobKey,
        only: Collection[int] | None = None,
        *,
        look_s: float = LOOK_S,
        make_stream: MakeStream = EventStream,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._query = {"role": job.role, "environment": job.environment, "name": job.name}
        self._look_s = self._least_s = look_s
        self._clock = clock
        self._feed = EventFeed(api, job, make_stream, clock, pause)
        self._away_since: float | None = None
        self.instances = Instances(only)
        #: Nothing has changed since all tasks were looked at.
        self.fresh = False
        self._fetch()

    def look(self) -> None:
        """At all tasks of the job, if the scheduler is there; it may be away for a while."""
        try:
            self._fetch()
            self._away_since = None
        except (NetworkError, TimedOut):
            self.fresh = False
            now = self._looked_at = self._clock()
            self._away_since = self._away_since if self._away_since is not None else now
            if now - self._away_since > AWAY_S:
                raise

    def _fetch(self) -> None:
        tasks = []
        reasons: dict[str, str] = {}
        for page in self._api.each_page("/tasks", "tasks", {**self._query, "configs": "false"}):
            tasks += [parse_task(task) for task in page["tasks"]]
            reasons.update(reasons_of(page))
        self.instances.look(tasks, reasons)
        self.fresh = True
        self._looked_at = self._clock()

    def wait(self, seconds: float | None) -> None:
        """Until something may have changed, or the time is over."""
        end = None if seconds is None else self._clock() + max(0.0, seconds)
        while True:
            now = self._clock()
            look_at = self._looked_at + self._interval()
            until = look_at if end is None else min(look_at, end)
            if self._heard(max(0.0, until - now)):
                self._look_s = self._least_s
                return
            now = self._clock()
            if now >= look_at:
                self._look_s = min(self._look_s * 2, max(MOST_LOOK_S, self._least_s))
                self.look()
                return
            if end is not None and now >= end:
                return

    def close(self) -> None:
        self._feed.close()

    def _interval(self) -> float:
        if not self._feed.is_open:
            return self._look_s
        return REASONS_S if self.instances.waits else RELOOK_S

    # --- events ------------------------------------------------------------------------------------------------------

    def _heard(self, seconds: float) -> bool:
        """Whether something may have changed, within the time; all that has come is taken in."""
        changed = False
        for heard in self._feed.heard(seconds):
            if isinstance(heard, ServerEvent):
                changed = self._event(heard) or changed
            else:
                self.look()
                changed = True
        return changed

    def _event(self, event: ServerEvent) -> bool:
        """Whether it changed anything; one that nobody understands does not."""
        if event.name == "reset":
            self.look()
            return True
        try:
            if event.name == "deleted":
                changed = self.instances.deleted(parse(json.loads(event.data), DeletedNews).task_ids)
            elif event.name == "task":
                changed = self.instances.event(seen_of(parse(json.loads(event.data), TaskNews)))
            else:
                return False
        except (ValueError, RecursionError, RemoteError):
            return False
        self.fresh = self.fresh and not changed
        return changed
