"""Following an update to its end: a table that changes in place on a terminal, lines elsewhere, nothing for programs.
Whoever follows may go away at any time (Ctrl-C): the update goes on.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Protocol

from client.api_client import ApiClient, is_missing
from client.aurora.context import Context
from client.aurora.core.answers import one_line
from client.aurora.core.update_lines import counts_line, instance_line, state_line, table_lines, waiting_line
from client.aurora.core.updates import BACK, FORWARD, Event, InstanceEvent, Update
from client.aurora.exits import Exit
from client.aurora.update_watch import UpdateWatch, find_update, wall_ms
from client.exits import echo_lines
from client.job_keys import ClusterJobKey
from client.terminal import Frame, paint_line
from thermos.errors import RemoteError, UserError

ACTIVE = "active"

#: Updates of more instances have a line for all of them, now and then, where each change would be too much.
MOST_SINGLE = 50
#: A table is drawn at least so often; lines say so often what takes long.
TICK_S, LINES_TICK_S = 1.0, 2.0
#: What has been waited for so long is told, each once.
LONG_MS = 10_000

#: How an update ended -> exit code, for one that was to go forward and for one that was to go back.
ENDS: Mapping[str, Exit] = {FORWARD: Exit.OK, BACK: Exit.FAILED}
ENDS_OF_ROLLBACK: Mapping[str, Exit] = {BACK: Exit.OK, FORWARD: Exit.FAILED}


def look_up(api: ApiClient, job: ClusterJobKey, update_id: str | None) -> Update:
    """That one, or the one that the job is in. Raises UserError: there is none."""
    try:
        return find_update(api, job, update_id or ACTIVE)
    except RemoteError as error:
        if is_missing(error):
            raise UserError(f"{missing_text(job, update_id)}; `aurora update list {job}` shows all") from error
        raise


def missing_text(job: ClusterJobKey, update_id: str | None = None) -> str:
    """Why there is nothing to do, or to see."""
    if update_id is not None and update_id != ACTIVE:
        return f"No update {update_id} found for this job: {job}"
    return f"No active update found for this job: {job}"


def follow_update(context: Context, api: ApiClient, job: ClusterJobKey, update_id: str, *, from_start: bool) -> Update:
    """As it ended. `from_start`: what has happened already is told, too. Ctrl-C ends the following:
    KeyboardInterrupt."""
    watch = UpdateWatch(api, job, update_id)
    progress = progress_for(context, str(job), from_start)
    try:
        while True:
            progress.show(watch.update)
            if watch.update.is_over:
                return watch.update
            watch.wait(progress.tick_s)
    except KeyboardInterrupt:
        context.say(f"no longer following; the update goes on: aurora update wait {job}")
        raise
    finally:
        watch.close()


def exit_code(context: Context, job: ClusterJobKey, update: Update, ends: Mapping[str, Exit] = ENDS) -> int:
    """Of an update that is over; says what did not go well."""
    code = ends.get(update.status, Exit.UNKNOWN)
    if code is not Exit.OK:
        why = f": {update.message}" if update.message else ""
        context.say(one_line(f"update {update.id} of {job} ended as {update.status}{why}"))
    return code


# --- showing ---------------------------------------------------------------------------------------------------------


class Progress(Protocol):
    """`tick_s`: how often to be shown although nothing happens."""

    tick_s: float | None

    def show(self, update: Update) -> None: ...


class Silent:
    tick_s: float | None = None

    def show(self, update: Update) -> None:
        """Programs see the end."""


class Live:
    """A table in place; it stays as it was last."""

    def __init__(self, job: str, colours: bool) -> None:
        self.tick_s: float | None = TICK_S
        self._job = job
        self._colours = colours
        self._frame = Frame()

    def show(self, update: Update) -> None:
        size = shutil.get_terminal_size()
        lines = table_lines(self._job, update, wall_ms(), max(2, size.lines - 2), size.columns)
        sys.stdout.write(self._frame.draw([paint_line(line, size.columns, colours=self._colours) for line in lines]))
        sys.stdout.flush()


class Lines:
    """A line for each change, or for the counts of a big update; and for what takes long, once."""

    def __init__(self, job: str, from_start: bool) -> None:
        self.tick_s: float | None = LINES_TICK_S
        self._job = job
        self._told = (0, 0) if from_start else None  # events of the update, events of instances
        self._counts = ""
        self._waits: set[tuple[int | None, str, int]] = set()

    def show(self, update: Update) -> None:
        if self._told is None:  # nothing but how it stands
            self._told = max(0, len(update.update_events) - 1), len(update.instance_events)
        echo_lines(self._news(update, *self._told))
        self._told = len(update.update_events), len(update.instance_events)
        echo_lines(self._long_waits(update, wall_ms()))

    def _news(self, update: Update, states: int, instances: int) -> Iterable[str]:
        new: list[Event | InstanceEvent] = [*update.update_events[states:], *update.instance_events[instances:]]
        is_small = update.progress.total <= MOST_SINGLE
        for event in sorted(new, key=_order):
            if isinstance(event, Event):
                yield state_line(event)
            elif is_small:
                yield instance_line(self._job, event)
        counts = "" if is_small else counts_line(self._job, update)
        if counts != self._counts:
            self._counts = counts
            yield counts

    def _long_waits(self, update: Update, now_ms: int) -> Iterable[str]:
        """Those whose end nobody knows."""
        for wait in update.waits_for[:MOST_SINGLE]:
            key = wait.instance, wait.kind or wait.what, wait.since_ms
            if wait.until_ms is None and wait.since_ms and now_ms - wait.since_ms >= LONG_MS and key not in self._waits:
                self._waits.add(key)
                yield waiting_line(self._job, wait, now_ms)


def progress_for(context: Context, job: str, from_start: bool) -> Progress:
    if context.json:
        return Silent()
    return Live(job, context.colours) if context.is_live else Lines(job, from_start)


def _order(event: Event | InstanceEvent) -> tuple[int, int]:
    """By time; of one moment as one comes of the other: forward, instances, back, instances, pause or end."""
    if isinstance(event, InstanceEvent):
        return event.timestamp_ms, 3 if "ROLL" in event.action else 1
    return event.timestamp_ms, {"ROLLING_FORWARD": 0, "ROLLING_BACK": 2}.get(event.status, 4)
