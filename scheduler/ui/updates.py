"""Updates: the list of them, and one with its grid of instances, what it waits for, and how old and new are.

Source: spec/scheduler.md §4, §10.
"""

from __future__ import annotations

from collections import Counter

from scheduler.api.asked import Asked
from scheduler.core.model import TaskConfig
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_diff import same
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    UPDATE_ENDED,
    InstanceTaskConfig,
    JobInstanceUpdateEvent,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateQuery,
)
from scheduler.service.context import Context
from scheduler.store.task_query import TaskQuery
from scheduler.store.update_table import UpdateEntry
from scheduler.ui.core.config_text import diff_lines
from scheduler.ui.core.listing import Listing, cut
from scheduler.ui.core.update_grid import bands_of, cells_by_instance, cells_of
from scheduler.ui.core.update_words import settings_words, title_of
from scheduler.ui.core.views import (
    ConfigRow,
    Event,
    HealthRow,
    InstanceEvent,
    UpdatesView,
    UpdateView,
    WaitRow,
)
from scheduler.ui.rows import LONGEST_NOTE, config_row, update_row
from scheduler.ui.wanted import here, wanted
from web.asking import Problem, integer, shorten
from web.core.squares import MOST_LINKED
from web.core.svg import clip

#: Active updates on the list; batches of the grid; configurations that are compared.
MOST_ACTIVE, MOST_BATCHES, MOST_BEFORES = 100, 60, 50


def updates(asked: Asked) -> UpdatesView:
    """Those that go on, and those that have ended, the last changed first."""
    context, want = asked.context, wanted(asked.request, ())
    table = context.tables.updates
    active = table.page(JobUpdateQuery(update_statuses=UPDATE_ACTIVE))
    ended = table.page(JobUpdateQuery(update_statuses=UPDATE_ENDED))
    known = len(ended)
    if want.query:
        active = [entry for entry in active if _matches(entry, want.query)]
        ended = [entry for entry in ended if _matches(entry, want.query)]
    page: Listing[UpdateEntry] = cut(ended, want, here(asked.request), known)
    return UpdatesView(
        active=tuple(update_row(context, entry) for entry in active[:MOST_ACTIVE]),
        active_left_out=max(0, len(active) - MOST_ACTIVE),
        ended=page.with_rows(update_row(context, entry) for entry in page.rows),
        at=asked.loop.now().wall,
    )


def _matches(entry: UpdateEntry, query: str) -> bool:
    """A part of the job, the user, the beginning of the id or of the status."""
    key = entry.update.summary.key
    return (
        query.lower() in str(key.job).lower()
        or query.lower() in entry.update.summary.user.lower()
        or key.id.startswith(query)
        or entry.state.status.value.startswith(query.upper().replace(" ", "_"))
    )


def update(asked: Asked) -> UpdateView:
    """By its id. Raises Problem when there is none."""
    context, entry = asked.context, _find(asked)
    instructions, now = entry.update.instructions, asked.loop.now()
    row = update_row(context, entry)
    groups = cells_of(context.engine.updates.progress(entry))
    cells = cells_by_instance(groups)
    is_over = row.status in UPDATE_ENDED
    begin, end = row.created, row.modified if is_over else now.wall
    befores = tuple(_config(context, each) for each in instructions.initial_state[:MOST_BEFORES])
    after = _config(context, instructions.desired_state) if instructions.desired_state is not None else None
    left = min(max(0, len(befores) - 1), integer(asked.request, "left", 0))
    return UpdateView(
        row=row,
        title=title_of(row.status),
        is_over=is_over,
        cells=cells,
        batches=groups if 1 < len(groups) <= MOST_BATCHES and len(cells) <= MOST_LINKED else (),
        batch_count=len(groups),
        bands=bands_of(len(cells), begin, entry.instance_events, end),
        events=tuple(_event(each) for each in entry.events),
        instance_events=_instance_events(asked, entry.instance_events),
        settings=tuple(settings_words(instructions.settings)),
        metadata=tuple((each.key, each.value) for each in entry.update.summary.metadata),
        waits=tuple(
            WaitRow(each.instance, each.text, each.since_ms / 1000, (each.until_ms or 0) / 1000)
            for each in context.engine.updates.waits_for(entry, now)
        ),
        health=_health(context, entry),
        befores=befores,
        after=after,
        left=left,
        diff=tuple(diff_lines(befores[left].text, after.text)) if befores and after is not None else (),
        at=now.wall,
    )


def _event(event: JobUpdateEvent) -> Event:
    return Event(event.timestamp_ms / 1000, event.status, clip(event.message or "", LONGEST_NOTE), event.user or "")


def _find(asked: Asked) -> UpdateEntry:
    name = asked.part("uid")
    found = asked.context.tables.updates.get(JobUpdateKey(job=asked.job, id=name))
    if found is None:
        raise Problem(404, f"there is no update {shorten(name)} of {shorten(str(asked.job))}; it may have been pruned")
    return found


def _config(context: Context, group: InstanceTaskConfig) -> ConfigRow:
    return config_row(context, group.task, ((each.first, each.last) for each in group.instances))


def _instance_events(asked: Asked, events: list[JobInstanceUpdateEvent]) -> Listing[InstanceEvent]:
    """The newest first; of one instance, if its number is asked for, or those that say something."""
    want = wanted(asked.request, ())
    found = events
    if want.query:
        found = [event for event in events if _says(event, want.query)]
    page = cut(found[::-1], want, here(asked.request, ("left",)), len(events))
    return page.with_rows(
        InstanceEvent(e.instance_id, e.timestamp_ms / 1000, e.action, clip(e.message or "", LONGEST_NOTE))
        for e in page.rows
    )


def _says(event: JobInstanceUpdateEvent, query: str) -> bool:
    if query.isdigit():
        return str(event.instance_id) == query
    words = f"{event.action} {event.message or ''}".replace("_", " ").lower()
    return query.replace("_", " ").lower() in words


# --- old against new -------------------------------------------------------------------------------------------------


def _health(context: Context, entry: UpdateEntry) -> tuple[HealthRow, ...]:
    """Tasks of the job by whether they have the new configuration; failures count from the update's beginning."""
    desired = entry.update.instructions.desired_state
    if desired is None:
        return ()
    job, began_ms = entry.update.summary.key.job, entry.state.created_timestamp_ms
    sides = {True: Counter[ScheduleStatus](), False: Counter[ScheduleStatus]()}
    failed = {True: 0, False: 0}
    known: dict[int, bool] = {}

    def is_new(config: TaskConfig) -> bool:
        """Tasks of one configuration share the object."""
        if id(config) not in known:
            known[id(config)] = same(config, desired.task)
        return known[id(config)]

    tasks = context.tables.tasks
    for task in tasks.active_of_job(job):
        sides[is_new(task.config)][task.status] += 1
    for task in tasks.select(TaskQuery(job_keys=frozenset({job}), statuses=frozenset({ScheduleStatus.FAILED}))):
        failed[is_new(task.config)] += task.task_events[-1].timestamp >= began_ms
    return tuple(_side(words, sides[side], failed[side]) for words, side in (("New", True), ("Old", False)))


def _side(words: str, statuses: Counter[ScheduleStatus], failed: int) -> HealthRow:
    return HealthRow(
        words=words,
        statuses=tuple((status, statuses[status]) for status in ScheduleStatus if statuses[status]),
        running=statuses[ScheduleStatus.RUNNING],
        total=statuses.total(),
        failed=failed,
    )
