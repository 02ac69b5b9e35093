"""Killing and restarting a job, some instances at a time, each followed to where it should come.

Decided in `core/rolling` and `core/waiting`; a batch begins when the one before it has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from client.api_client import ApiClient
from client.aurora.context import Context
from client.aurora.core.rolling import Rolling
from client.aurora.core.waiting import Restarted, until_ended
from client.aurora.exits import Exit
from client.aurora.progress import Progress, follow, progress_for
from client.aurora.watch import LOOK_S, Watch
from client.job_keys import ClusterJobKey, instance_ranges
from thermos.errors import ThermosError, UserError

#: A killed task that is still there after this has not been killed in time (2 + 4 + … + 128 s, as ever).
KILL_WAIT_S = 254.0

#: Asks the scheduler to kill or restart these instances (None: all), with the hooks around it.
Ask = Callable[[Sequence[int] | None], Any]


@dataclass(frozen=True)
class Batching:
    """`size` None: all at once."""

    size: int | None = 1
    max_total: int = 0
    max_per_instance: int = 0


class Working:
    """One job that is worked through. Use it in a `with`: the watch is closed at its end."""

    def __init__(
        self, context: Context, api: ApiClient, key: ClusterJobKey, only: Collection[int] | None, look_s: float = LOOK_S
    ) -> None:
        self.context = context
        self.api = api
        self.key = key
        self.only = only
        self.watch = Watch(api, key, only, look_s=look_s)
        self.progress: Progress = progress_for(context, key)

    def __enter__(self) -> Working:
        return self

    def __exit__(self, *_error: object) -> None:
        self.progress.close()
        self.watch.close()

    def chosen(self, strict: bool) -> list[int]:
        """The instances to work on: the active ones of those that were asked for; others don't matter from now on.
        Raises UserError."""
        active = [number for number, seen in self.watch.instances.known.items() if seen.is_active]
        missing = sorted(set(self.only or ()) - set(active))
        if strict and missing:
            raise UserError(f"{self.key}: these instances are not active: {instance_ranges(missing)}")
        if not active:
            which = f"instances {instance_ranges(self.only)} of {self.key}" if self.only else str(self.key)
            raise UserError(f"no active tasks of {which}; see `aurora job status {self.key}`")
        if missing:
            self.context.say(f"not active, and left alone: instances {instance_ranges(missing)}")
        self.watch.instances.narrow(active)
        return active

    def stopped(self, rolling: Rolling, done: str) -> None:
        """Said when it ends in the middle: how far it is."""
        self.progress.close()
        left = f", {instance_ranges(rolling.left)} left" if rolling.left else ""
        self.context.say(f"stopped: instances {done}: {instance_ranges(rolling.done) or 'none'}{left}; the job goes on")


def kill(working: Working, chosen: Sequence[int], batching: Batching, ask: Ask) -> Rolling:
    """Each batch is told to end, and waited for."""
    rolling = Rolling(chosen, batching.size or len(chosen), max_total=batching.max_total)
    everything = batching.size is None and working.only is None
    try:
        while batch := rolling.next_batch():
            ask(None if everything else batch)
            deadline = time.monotonic() + KILL_WAIT_S
            follow(working.watch, working.progress, until_ended(batch), deadline=deadline)
            known = working.watch.instances.known
            late = [number for number in batch if number in known and known[number].is_active]
            rolling.judged(batch, {number: f"not killed in time: {known[number].status}" for number in late})
    except (KeyboardInterrupt, ThermosError):
        working.stopped(rolling, "killed")
        raise
    return rolling


def restart(working: Working, chosen: Sequence[int], batching: Batching, watch_s: float, ask: Ask) -> Rolling:
    """Each batch is told to restart, and has to run for a while before the next one is."""
    rolling = Rolling(
        chosen,
        batching.size or len(chosen),
        max_per_instance=batching.max_per_instance,
        max_total=batching.max_total,
    )
    try:
        while batch := rolling.next_batch():
            working.watch.look()
            known = working.watch.instances.known
            restarted = Restarted({number: known[number].task_id for number in batch}, watch_s)
            ask(batch)
            verdict, _over = follow(working.watch, working.progress, restarted.judge)
            rolling.judged(batch, verdict.bad)
            for number, why in verdict.bad.items():
                working.context.say(f"{working.key}/{number} {why}")
    except (KeyboardInterrupt, ThermosError):
        working.stopped(rolling, "restarted")
        raise
    return rolling


def finish(working: Working, rolling: Rolling, verb: str, done: str) -> int:
    """The last words and the exit code: 0 only if all went well."""
    context, key = working.context, working.key
    working.progress.close()
    document = {
        "job": str(key),
        "ok": not rolling.failed,
        done: sorted(rolling.done),
        "failed": {str(number): why for number, why in sorted(rolling.failed.items())},
        "left": sorted(rolling.left),
    }
    context.answer(document, [] if rolling.failed else [f"Job {verb} succeeded"])
    if not rolling.failed:
        return Exit.OK
    context.say(f"{verb} failed for instances {instance_ranges(rolling.failed)} of {key}{_left(rolling)}")
    return Exit.FAILED


def _left(rolling: Rolling) -> str:
    return f"; instances {instance_ranges(rolling.left)} were left alone" if rolling.left else ""
