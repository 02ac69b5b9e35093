"""All job updates in memory, with their events; found by key, job, role, user and status without a scan.

An update's state follows from its events. Events are only ever added at the end, and that costs what they are long,
however many there are. One writer.

Source: spec/scheduler.md §1.7, §4.8.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from msgspec import Struct, structs

from scheduler.core.model import JobKey
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateDetails,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateQuery,
    JobUpdateState,
    JobUpdateStatus,
    JobUpdateSummary,
)
from scheduler.store.buckets import Bucket, drop, put
from thermos.errors import Bug

_Keys = Bucket[JobUpdateKey]


class UpdateEntry(Struct):
    """One update as it grows; `summary` and `details` are frozen copies."""

    update: JobUpdate
    events: list[JobUpdateEvent] = []
    instance_events: list[JobInstanceUpdateEvent] = []

    @property
    def state(self) -> JobUpdateState:
        """Before its first event, the one it was saved with."""
        if not self.events:
            return self.update.summary.state
        last = self.instance_events[-1].timestamp_ms if self.instance_events else 0
        return JobUpdateState(
            status=self.events[-1].status,
            created_timestamp_ms=self.events[0].timestamp_ms,
            last_modified_timestamp_ms=max(self.events[-1].timestamp_ms, last),
        )

    @property
    def summary(self) -> JobUpdateSummary:
        return structs.replace(self.update.summary, state=self.state)

    @property
    def details(self) -> JobUpdateDetails:
        return JobUpdateDetails(
            update=structs.replace(self.update, summary=self.summary),
            update_events=tuple(self.events),
            instance_events=tuple(self.instance_events),
        )


class UpdateTable:
    def __init__(self) -> None:
        self._entries: dict[JobUpdateKey, UpdateEntry] = {}
        self._jobs: dict[JobKey, _Keys] = {}
        self._roles: dict[str, _Keys] = {}
        self._users: dict[str, _Keys] = {}
        self._statuses: dict[JobUpdateStatus, _Keys] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UpdateTable) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]

    def get(self, key: JobUpdateKey) -> UpdateEntry | None:
        """To be read only."""
        return self._entries.get(key)

    def count(self, status: JobUpdateStatus) -> int:
        return len(self._statuses.get(status, ()))

    def walk(self) -> Iterator[UpdateEntry]:
        """Everything, in the order in which it came."""
        return iter(self._entries.values())

    def active(self, job: JobKey) -> UpdateEntry | None:
        """The update that the job is in."""
        entries = (self._entries[key] for key in self._jobs.get(job, ()))
        return next((entry for entry in entries if entry.state.status in UPDATE_ACTIVE), None)

    def page(self, query: JobUpdateQuery) -> list[UpdateEntry]:
        """What matches, the last changed first; the part that offset and limit ask for."""
        found = [self._entries[key] for key in self._candidates(query) if key in self._entries]
        found = [entry for entry in found if matches(query, entry)]
        found.sort(key=lambda e: (-e.state.last_modified_timestamp_ms, e.update.summary.key.id))
        start = query.offset or 0
        return found[start : None if query.limit is None else start + query.limit]

    def _candidates(self, query: JobUpdateQuery) -> Iterable[JobUpdateKey]:
        """Of all indexes that serve, the one with the fewest updates behind it."""
        if query.key is not None:
            return [query.key]
        ways: list[list[Collection[JobUpdateKey]]] = [[self._entries]]
        if query.job_key is not None:
            ways.append([self._jobs.get(query.job_key, {})])
        if query.role is not None:
            ways.append([self._roles.get(query.role, {})])
        if query.user is not None:
            ways.append([self._users.get(query.user, {})])
        if query.update_statuses:
            ways.append([self._statuses.get(status, {}) for status in sorted(query.update_statuses)])
        best = min(ways, key=lambda way: sum(len(keys) for keys in way))
        return chain.from_iterable(best)

    # -- changes

    def save(self, update: JobUpdate) -> None:
        entry = self._entries.get(update.summary.key)
        if entry is None:
            entry = self._entries[update.summary.key] = UpdateEntry(update)
        else:
            self._unindex(entry)
            entry.update = update
        self._index(entry)

    def add_events(self, key: JobUpdateKey, events: tuple[JobUpdateEvent, ...]) -> None:
        entry = self._entry(key)
        before = entry.state.status
        entry.events += events
        self._moved(entry, before)

    def add_instance_events(self, key: JobUpdateKey, events: tuple[JobInstanceUpdateEvent, ...]) -> None:
        self._entry(key).instance_events.extend(events)

    def delete(self, key: JobUpdateKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._unindex(entry)

    def cut(self, key: JobUpdateKey, events: int, instance_events: int) -> None:
        """Take the latest events back: so many stay."""
        entry = self._entry(key)
        before = entry.state.status
        del entry.events[events:]
        del entry.instance_events[instance_events:]
        self._moved(entry, before)

    def put_back(self, entry: UpdateEntry) -> None:
        """One that was deleted."""
        self._entries[entry.update.summary.key] = entry
        self._index(entry)

    def _entry(self, key: JobUpdateKey) -> UpdateEntry:
        entry = self._entries.get(key)
        if entry is None:
            raise Bug(f"cannot add an event: there is no {key}")
        return entry

    def _moved(self, entry: UpdateEntry, before: JobUpdateStatus) -> None:
        key = entry.update.summary.key
        if entry.state.status is not before:
            drop(self._statuses, before, key)
            put(self._statuses, entry.state.status, key)

    def _index(self, entry: UpdateEntry) -> None:
        key = entry.update.summary.key
        put(self._jobs, key.job, key)
        put(self._roles, key.job.role, key)
        put(self._users, entry.update.summary.user, key)
        put(self._statuses, entry.state.status, key)

    def _unindex(self, entry: UpdateEntry) -> None:
        key = entry.update.summary.key
        drop(self._jobs, key.job, key)
        drop(self._roles, key.job.role, key)
        drop(self._users, entry.update.summary.user, key)
        drop(self._statuses, entry.state.status, key)


def matches(query: JobUpdateQuery, entry: UpdateEntry) -> bool:
    """The meaning of a query, whatever index leads to the update."""
    summary = entry.update.summary
    return (
        (query.key is None or summary.key == query.key)
        and (query.job_key is None or summary.key.job == query.job_key)
        and (query.role is None or summary.key.job.role == query.role)
        and (query.user is None or summary.user == query.user)
        and (not query.update_statuses or entry.state.status in query.update_statuses)
    )
