"""An announcer in a loop of its own thread, as in an executor, and what it reported."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from executor.announcer import Announcer, AnnouncerEvent, Waits, ZooKeeperOptions
from executor.core.announcement import Announcement
from thermos.clock import Now, now
from thermos.host.loop import PlainLoop

DEADLINE_S = 40.0


def wait_until(what: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    end = time.monotonic() + deadline_s
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def an_announcement(path: str = "/aurora/role/env/job", shard: int = 0) -> Announcement:
    return Announcement(path, "host.example.com", "http", {"http": 31001, "aurora": 31001}, shard)


def brief(ensemble: str) -> ZooKeeperOptions:
    """Sessions that expire while a test waits, but not while it does something on a busy machine."""
    return ZooKeeperOptions(ensemble, session_timeout_s=4.0, reconnect_max_s=0.5)


class Rig:
    def __init__(
        self, ensemble: str, announcement: Announcement | None = None, *, waits: Waits | None = None,
        paused: bool = False, options: ZooKeeperOptions | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.loop = PlainLoop(now)
        self.reports: list[tuple[AnnouncerEvent, str]] = []
        self.announcer = Announcer(
            announcement or an_announcement(),
            options or ZooKeeperOptions(ensemble, session_timeout_s=10.0, reconnect_max_s=0.5),
            self.loop,
            self._note,
            waits=waits or Waits(),
            paused=paused,
            **settings,
        )
        self._thread = threading.Thread(target=self.loop.run, daemon=True)
        self._thread.start()

    def _note(self, event: AnnouncerEvent, text: str, now: Now) -> None:
        assert threading.current_thread() is self._thread, "reports are made in the loop"
        self.reports.append((event, text))

    def events(self) -> list[AnnouncerEvent]:
        return [event for event, _ in self.reports]

    def post(self, call: Callable[[Now], None]) -> Rig:
        self.loop.post(call)
        return self

    def start(self) -> Rig:
        return self.post(self.announcer.start)

    def stop(self) -> Rig:
        return self.post(self.announcer.stop)

    def state(self) -> dict[str, Any]:
        """As the loop sees it."""
        found: list[dict[str, Any]] = []
        self.loop.post(lambda now: found.append(self.announcer.state()))
        wait_until(lambda: found)
        return found[0]

    def wait(self, event: AnnouncerEvent, times: int = 1, deadline_s: float = DEADLINE_S) -> str:
        """Until so many reports of `event` came; the text of the last."""
        wait_until(lambda: self.events().count(event) >= times, deadline_s)
        return [text for what, text in self.reports if what is event][-1]

    def wait_for_state(self, state: str) -> dict[str, Any]:
        found: dict[str, Any] = wait_until(lambda: (now := self.state())["state"] == state and now)
        return found

    def close(self) -> None:
        """Ends whatever it has begun."""
        if not self._thread.is_alive():
            return
        self.stop()
        if AnnouncerEvent.LEFT not in self.events():
            self.wait(AnnouncerEvent.LEFT)
        idle: list[bool] = []
        self.announcer._workers.submit(lambda: True, lambda outcome, now: idle.append(True))
        wait_until(lambda: idle)  # what was to be closed is closed
        self.loop.post(lambda now: self.loop.stop())
        self._thread.join(10)
        self.loop.close()
