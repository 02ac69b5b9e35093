"""Updates in text, as people know it: `update list` and `update info`. Pure.

Source: spec/scheduler.md §11.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from client.aurora.core.answers import one_line
from client.aurora.core.update_lines import wait_text
from client.aurora.core.updates import Update
from client.job_keys import instance_ranges
from client.render import long_time, utc_time
from thermos.core.words import plural

_COLUMNS = (
    ("JOB", 47), ("UPDATE ID", 36), ("STATUS", 15), ("CREATED BY", 11), ("STARTED", 19), ("LAST MODIFIED", 19),
)  # fmt: skip


def job_text(cluster: str, update: Update) -> str:
    key = update.key.job
    return f"{cluster}/{one_line(f'{key.role}/{key.environment}/{key.name}')}"


# --- update list -----------------------------------------------------------------------------------------------------


def list_lines(cluster: str, updates: Iterable[Update]) -> Iterator[str]:
    """A header and a line for each; nothing if there is none. Times are UTC."""
    for number, update in enumerate(updates):
        if not number:
            yield _line(name for name, _ in _COLUMNS)
        yield _line(
            (
                job_text(cluster, update),
                one_line(update.id),
                one_line(update.status),
                one_line(update.user),
                utc_time(update.created_ms / 1000),
                utc_time(update.modified_ms / 1000),
            )
        )


def _line(words: Iterable[str]) -> str:
    return " ".join(f"{word:{width}}" for word, (_, width) in zip(words, _COLUMNS, strict=True)).rstrip()


def list_entry(cluster: str, update: Update) -> dict[str, Any]:
    """For -o json."""
    return {
        "job": job_text(cluster, update),
        "id": update.id,
        "user": update.user,
        "started": utc_time(update.created_ms / 1000),
        "lastModified": utc_time(update.modified_ms / 1000),
        "status": update.status,
        "startedMs": update.created_ms,
        "lastModifiedMs": update.modified_ms,
        "progress": {"done": update.progress.done, "total": update.progress.total},
        "metadata": [{"key": pair.key, "value": pair.value} for pair in update.metadata],
    }


# --- update info -----------------------------------------------------------------------------------------------------


def info_lines(job: str, update: Update, now_ms: int) -> Iterator[str]:
    yield f"Job: {job}, UpdateID: {one_line(update.id)}"
    yield f"Started {long_time(update.created_ms / 1000)}, last activity: {long_time(update.modified_ms / 1000)}"
    yield f"Current status: {one_line(update.status)}"
    yield f"Progress: {update.progress.done} of {plural(update.progress.total, 'instance')}"
    if update.waits_for:
        yield "Waits for:"
        yield from _wait_lines(update, now_ms)
    if update.update_events:
        yield "Update events:"
        for event in update.update_events:
            by = f" by {one_line(event.user)}" if event.user else ""
            yield f"  Status: {one_line(event.status)} at {long_time(event.timestamp_ms / 1000)}{by}"
            if event.message:
                yield f"      message: {one_line(event.message)}"
    if update.instance_events:
        yield "Instance events:"
        for each in update.instance_events:
            when, message = long_time(each.timestamp_ms / 1000), f" ({one_line(each.message)})" if each.message else ""
            yield f"  Instance {each.instance_id} at {when}: {one_line(each.action)}{message}"
    if update.metadata:
        yield "Metadata:"
        for pair in update.metadata:
            yield f"  {one_line(pair.key)}: {one_line(pair.value)}"


def _wait_lines(update: Update, now_ms: int) -> Iterator[str]:
    """Instances that wait for the same in one line."""
    found: dict[str, list[int]] = {}
    for wait in update.waits_for:
        instances = found.setdefault(wait_text(wait, now_ms), [])
        if wait.instance is not None:
            instances.append(wait.instance)
    for text, instances in found.items():
        which = f"Instance{'s' if len(instances) > 1 else ''} {instance_ranges(instances)}: " if instances else ""
        yield f"  {which}{text}"


def info_document(job: str, update: Update) -> dict[str, Any]:
    """For -o json: the old names, and what is new."""
    return {
        "updateId": update.id,
        "job": job,
        "started": update.created_ms,
        "last_updated": update.modified_ms,
        "status": update.status,
        "user": update.user,
        "progress": {"done": update.progress.done, "total": update.progress.total},
        "waits_for": [
            {
                "instance": wait.instance,
                "kind": wait.kind,
                "what": wait.what,
                "sinceMs": wait.since_ms,
                "untilMs": wait.until_ms,
            }
            for wait in update.waits_for
        ],
        "update_events": [
            _without_nothing(
                status=event.status, timestampMs=event.timestamp_ms, user=event.user, message=event.message
            )
            for event in update.update_events
        ],
        "instance_update_events": [
            _without_nothing(
                instance=event.instance_id, timestamp=event.timestamp_ms, action=event.action, message=event.message
            )
            for event in update.instance_events
        ],
        "metadata": [{"key": pair.key, "value": pair.value} for pair in update.metadata],
    }


def _without_nothing(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value != ""}
