"""The tables: indexes against scans, the same from the same operations, and back again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.core.model import InstanceKey, ScheduledTask
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.core.update_model import UPDATE_ACTIVE, JobUpdateQuery, JobUpdateStatus
from scheduler.store import ops, task_query, update_table
from scheduler.store.ops import Op
from scheduler.store.snapshot import Frozen
from scheduler.store.tables import Tables, apply, replay
from scheduler.store.task_query import TaskQuery
from scheduler.store.trial import Trial
from tests.scheduler.store.worlds import HOSTS, JOBS, STORED, any_ops, task_of, update_key, update_of
from thermos.errors import Bug

S = ScheduleStatus


def fold(operations: list[Op]) -> tuple[Tables, list[Op]]:
    """Without the operations that can't be."""
    tables, done = Tables(), []
    for op in operations:
        trial = Trial(tables)
        try:
            trial.apply(op)
        except Bug:
            trial.take_back()
        else:
            done.append(op)
    return tables, done


def some(values: list[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values), max_size=2)


queries = st.builds(
    TaskQuery,
    role=st.sampled_from([None, None, "www", "nobody"]),
    environment=st.sampled_from([None, None, "prod"]),
    job_name=st.sampled_from([None, None, "a"]),
    task_ids=some([f"t{n}" for n in range(12)]),
    statuses=st.frozensets(st.sampled_from(STORED), max_size=4),
    instance_ids=st.frozensets(st.integers(0, 4), max_size=2),
    slave_hosts=some([*HOSTS, "unknown"]),
    job_keys=st.frozensets(st.sampled_from(JOBS), max_size=2),
    offset=st.none() | st.integers(0, 3),
    limit=st.none() | st.integers(0, 4),
)
update_queries = st.builds(
    JobUpdateQuery,
    role=st.sampled_from([None, "www", "nobody"]),
    key=st.sampled_from([None, None, None, update_key(JOBS[0], 0)]),
    job_key=st.sampled_from([None, *JOBS[:2]]),
    user=st.sampled_from([None, "u", "nobody"]),
    update_statuses=st.frozensets(st.sampled_from(JobUpdateStatus), max_size=5),
    offset=st.none() | st.integers(0, 2),
    limit=st.none() | st.integers(0, 3),
)


@settings(max_examples=250, deadline=None)
@given(any_ops, st.lists(queries, min_size=1, max_size=6))
def test_every_index_leads_to_what_a_scan_finds(operations: list[Op], asked: list[TaskQuery]) -> None:
    tables, _ = fold(operations)
    everything = list(tables.tasks.all())
    assert len(everything) == len(tables.tasks)
    for query in asked:
        found = list(tables.tasks.select(query))
        scanned = [task for task in everything if task_query.matches(query, task)]
        assert len(found) == len(scanned)
        assert sorted(found, key=task_query.order) == sorted(scanned, key=task_query.order)
        start = query.offset or 0
        wanted = sorted(scanned, key=task_query.order)[start:]
        assert tables.tasks.page(query) == (wanted if query.limit is None else wanted[: query.limit])


@settings(max_examples=150, deadline=None)
@given(any_ops)
def test_the_direct_questions_too(operations: list[Op]) -> None:
    tables, _ = fold(operations)
    everything = list(tables.tasks.all())
    for status in STORED:
        assert tables.tasks.count(status) == sum(task.status is status for task in everything)
    assert set(tables.tasks.jobs()) == {task.config.job for task in everything}
    assert set(tables.tasks.roles()) == {task.config.job.role for task in everything}
    for job in JOBS:
        active = [task for task in everything if task.config.job == job and task.status in ACTIVE]
        assert sorted(t.id for t in tables.tasks.active_of_job(job)) == sorted(t.id for t in active)
        for instance in range(5):
            expected = [task for task in active if task.assigned_task.instance_id == instance]
            found = tables.tasks.active(InstanceKey(job_key=job, instance_id=instance))
            assert expected == ([] if found is None else [found])
    configs = {id(task.config) for task in everything}
    assert len(configs) == len(tables.tasks.configs) == len(distinct(everything))


def distinct(tasks: list[ScheduledTask]) -> list[object]:
    found: list[object] = []
    for task in tasks:
        if task.config not in found:
            found.append(task.config)
    return found


@settings(max_examples=200, deadline=None)
@given(any_ops, st.lists(update_queries, min_size=1, max_size=5))
def test_updates_are_found_as_a_scan_finds_them(operations: list[Op], asked: list[JobUpdateQuery]) -> None:
    tables, _ = fold(operations)
    everything = list(tables.updates.walk())
    for query in asked:
        scanned = [entry for entry in everything if update_table.matches(query, entry)]
        scanned.sort(key=lambda e: (-e.summary.state.last_modified_timestamp_ms, e.summary.key.id))
        start = query.offset or 0
        wanted = scanned[start : None if query.limit is None else start + query.limit]
        # those that changed at the same moment and have the same id, of different jobs, may stand in any order
        assert [e.summary.state.last_modified_timestamp_ms for e in tables.updates.page(query)] == [
            e.summary.state.last_modified_timestamp_ms for e in wanted
        ]
        assert len(tables.updates.page(query)) == len(wanted)
    for job in JOBS:
        active = [e for e in everything if e.summary.key.job == job and e.state.status in UPDATE_ACTIVE]
        found = tables.updates.active(job)
        assert (found in active) if active else found is None


@settings(max_examples=200, deadline=None)
@given(any_ops, any_ops)
def test_what_is_taken_back_never_was(before: list[Op], tried: list[Op]) -> None:
    tables, done = fold(before)
    trial = Trial(tables)
    for op in tried:
        try:
            trial.apply(op)
        except Bug:
            break
    trial.take_back()
    again = replay(done)
    assert tables == again
    assert tables.applied == again.applied
    for query in (TaskQuery(role="www"), TaskQuery(statuses=ACTIVE), TaskQuery(slave_hosts=frozenset(HOSTS))):
        assert tables.tasks.page(query) == again.tasks.page(query)
    assert len(tables.tasks.configs) == len(again.tasks.configs)
    for status in JobUpdateStatus:
        asked = JobUpdateQuery(update_statuses=frozenset({status}))
        assert len(tables.updates.page(asked)) == len(again.updates.page(asked))


@settings(max_examples=200, deadline=None)
@given(any_ops)
def test_a_snapshot_leads_to_the_same_tables(operations: list[Op]) -> None:
    tables, done = fold(operations)
    assert replay(op for chunk in Frozen(tables).ops() for op in chunk) == tables == replay(done)


def test_a_snapshot_is_of_its_moment() -> None:
    tables = replay(
        [ops.SaveTasks(tasks=(task_of("t1"),)), ops.SaveJobUpdate(update=update_of(update_key(JOBS[0], 0)))]
    )
    then = replay(op for chunk in Frozen(tables).ops() for op in chunk)
    frozen = Frozen(tables)
    apply(tables, ops.DeleteTasks(task_ids=("t1",)))
    apply(tables, ops.DeleteJobUpdates(keys=(update_key(JOBS[0], 0),)))
    assert replay(op for chunk in frozen.ops() for op in chunk) == then != tables


def test_an_instance_has_one_active_task() -> None:
    tables = replay([ops.SaveTasks(tasks=(task_of("old", status=S.RUNNING),))])
    with pytest.raises(Bug, match=r"^cannot have two active tasks of www/prod/a/0: old and new$"):
        apply(tables, ops.SaveTasks(tasks=(task_of("new"),)))
    assert "new" not in tables.tasks
    apply(tables, ops.SaveTasks(tasks=(task_of("old", status=S.FAILED), task_of("new"))))
    found = tables.tasks.active(InstanceKey(job_key=JOBS[0], instance_id=0))
    assert found is not None and found.id == "new"


def test_an_event_needs_its_update() -> None:
    with pytest.raises(Bug, match=r"^cannot add an event: there is no www/prod/a update u0$"):
        apply(Tables(), ops.SaveJobUpdateEvents(key=update_key(JOBS[0], 0), events=()))


def test_equal_configs_are_one_object_and_go_with_their_last_task() -> None:
    tables = replay([ops.SaveTasks(tasks=tuple(task_of(f"t{n}", instance=n) for n in range(5)))])
    assert len({id(task.config) for task in tables.tasks.all()}) == len(tables.tasks.configs) == 1
    apply(tables, ops.DeleteTasks(task_ids=tuple(f"t{n}" for n in range(5))))
    assert len(tables.tasks.configs) == 0


@dataclass
class Counting(dict[str, ScheduledTask]):
    """Counts how many tasks a question looks at."""

    looks: list[str] = field(default_factory=list)

    def get(self, key: str, default: object = None) -> ScheduledTask | None:  # type: ignore[override]
        self.looks.append(key)
        return super().get(key)


@pytest.mark.parametrize(
    ("query", "most"),
    [
        (TaskQuery(task_ids=frozenset({"t5"}), role="www"), 1),
        (TaskQuery(job_keys=frozenset({JOBS[0]}), instance_ids=frozenset({7})), 1),
        (TaskQuery(role="www", environment="prod", job_name="a", statuses=ACTIVE, instance_ids=frozenset({7})), 1),
        (TaskQuery(slave_hosts=frozenset({"h1"})), 10),
        (TaskQuery(role="www", slave_hosts=frozenset({"h1"})), 10),
        (TaskQuery(statuses=frozenset({S.PENDING})), 20),
        (TaskQuery(environment="test"), 0),
    ],
)
def test_no_question_scans_where_an_index_serves(query: TaskQuery, most: int) -> None:
    tasks = [
        task_of(
            f"t{n}",
            instance=n,
            status=S.PENDING if n < 20 else S.RUNNING,
            host="h1" if n >= 990 else "h2" if n >= 20 else "",
        )
        for n in range(1000)
    ]
    tables = replay([ops.SaveTasks(tasks=tuple(tasks))])
    counting = Counting()
    counting.update(tables.tasks._tasks)
    tables.tasks._tasks = counting
    list(tables.tasks.select(query))
    assert len(counting.looks) <= most


@settings(max_examples=100, deadline=None)
@given(any_ops)
def test_tasks_of_a_job_are_counted_by_status(operations: list[Op]) -> None:
    tables, _ = fold(operations)
    for job in JOBS:
        scanned = Counter(task.status for task in tables.tasks.all() if task.config.job == job)
        assert tables.tasks.statuses_of(job) == scanned
