"""What is told of jobs, tasks, hosts and quota; pages against a scan of everything; and what a question costs."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.cluster_model import ResourceAggregate
from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import DEDICATED, ExecutorConfig, JobKey, Resource, ScheduledTask, TaskConfig
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.service import queries, task_queries
from scheduler.service.job_queries import JobKind
from scheduler.service.refusals import RefusalCode
from scheduler.service.task_queries import TasksAsked
from scheduler.store.ops import Op, SaveCronJob, SaveHostAttributes, SaveQuota, SaveTasks
from scheduler.store.task_query import order
from scheduler.store.trial import Trial
from tests.scheduler.core.making import JOB, config, offer, value
from tests.scheduler.service.desks import RUNNING, Desk, S, group, job_of, refused
from tests.scheduler.store.worlds import HOSTS, JOBS, any_ops, task_of
from thermos.errors import Bug

C = RefusalCode


def key(text: str) -> JobKey:
    role, environment, name = text.split("/")
    return JobKey(role=role, environment=environment, name=name)


def desk_with(*names: str, count: int = 1, **more: Any) -> Desk:
    desk = Desk()
    for name in names:
        desk.create(config(job=key(name), **more), count)
    return desk


# --- roles and jobs ----------------------------------------------------------------------------------------------


def test_roles_count_their_jobs_with_and_without_a_schedule() -> None:
    desk = desk_with("www/prod/a", "www/test/a", "db/prod/x")
    for name in ("www/prod/c", "ops/prod/c"):
        desk.apply(SaveCronJob(job=job_of(config(job=key(name)), cron_schedule="* * * * *")))
    found = [(each.role, each.job_count, each.cron_job_count) for each in queries.roles(desk.context).roles]
    assert found == [("db", 1, 0), ("ops", 0, 1), ("www", 2, 1)]


@pytest.mark.parametrize(
    ("role", "environment", "name", "expected"),
    [
        ("", "", "", ["db/prod/web", "www/prod/api", "www/prod/web", "www/test/web"]),
        ("www", "", "", ["www/prod/api", "www/prod/web", "www/test/web"]),
        ("w*", "", "", ["www/prod/api", "www/prod/web", "www/test/web"]),
        ("", "prod", "", ["db/prod/web", "www/prod/api", "www/prod/web"]),
        ("", "", "w?b", ["db/prod/web", "www/prod/web", "www/test/web"]),
        ("[dw]*", "prod", "web", ["db/prod/web", "www/prod/web"]),
        ("WWW", "", "", []),
        ("ww", "", "", []),
    ],
)
def test_jobs_are_found_by_patterns(role: str, environment: str, name: str, expected: list[str]) -> None:
    desk = desk_with("www/prod/web", "www/prod/api", "www/test/web", "db/prod/web")
    found = queries.jobs(desk.context, role, environment, name)
    assert ([str(each.key) for each in found.jobs], found.total) == (expected, len(expected))
    second = queries.jobs(desk.context, role, environment, name, queries.Page(limit=1, offset=1))
    assert ([str(each.key) for each in second.jobs], second.total) == (expected[1:2], len(expected))


def test_a_summary_counts_by_kinds_of_states() -> None:
    desk = Desk()
    desk.create(structs.replace(config(tier="preferred"), is_service=True), 6)
    desk.move(0, *RUNNING)
    desk.move(1, *RUNNING, S.KILLING, S.KILLED)
    desk.move(2, *RUNNING, S.LOST)  # replaced by one that is PENDING
    desk.move(3, S.ASSIGNED)
    (found,) = queries.jobs(desk.context).jobs
    stats = found.stats
    assert (stats.active_task_count, stats.pending_task_count) == (2, 3)
    assert (stats.finished_task_count, stats.failed_task_count) == (1, 1)
    assert (found.instance_count, found.kind, found.tier) == (5, JobKind.SERVICE, "preferred")
    assert (found.updating, found.next_cron_run_ms) == (False, None)
    desk.begin_update()
    assert queries.jobs(desk.context).jobs[0].updating


def test_kinds_of_jobs() -> None:
    desk = Desk()
    desk.create(config(job=key("r/prod/adhoc")))
    desk.create(structs.replace(config(job=key("r/prod/service")), is_service=True))
    desk.apply(SaveCronJob(job=job_of(config(job=key("r/prod/cron")), cron_schedule="* * * * *")))
    found = {each.key.name: each for each in queries.jobs(desk.context).jobs}
    assert {name: each.kind.value for name, each in found.items()} == {name: name for name in found}
    assert found["cron"].instance_count == 0
    assert queries.job(desk.context, key("r/prod/cron")).configs == ()


def test_a_job_with_its_configurations_and_what_is_left_of_an_ended_one() -> None:
    desk = Desk()
    desk.create(count=3)
    other = structs.replace(desk.active(0).config, priority=1)
    desk.act(lambda turn: desk.engine.insert(turn, other, [5, 6]))
    found = queries.job(desk.context, JOB)
    assert [(each.config.priority, each.instances) for each in found.configs] == [(0, ((0, 2),)), (1, ((5, 6),))]
    assert found.statuses == {"PENDING": 5} and found.key == JOB
    for n in desk.instances():
        desk.move(n, *RUNNING, S.FINISHED)
    ended = queries.job(desk.context, JOB)
    assert (ended.configs, ended.statuses, ended.instance_count) == ((), {"FINISHED": 5}, 0)
    assert refused(lambda: queries.job(desk.context, key("a/b/c"))) == (C.NOT_FOUND, "There is no job a/b/c")


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda c: queries.jobs(c, page=queries.Page(limit=0)), "limit"),
        (lambda c: queries.jobs(c, page=queries.Page(limit=10_001)), "limit"),
        (lambda c: queries.jobs(c, page=queries.Page(offset=-1)), "offset"),
        (lambda c: queries.jobs(c, role="*" * 256), "role"),
        (lambda c: queries.tasks(c, TasksAsked(page=queries.Page(limit=10_001))), "limit"),
        (lambda c: queries.hosts(c, page=queries.Page(limit=-1)), "limit"),
    ],
)
def test_questions_that_nobody_answers(ask: Callable[[Any], object], field: str) -> None:
    desk = Desk()
    code, text = refused(lambda: ask(desk.context))
    assert code is C.INVALID_REQUEST and text.startswith(f"{field}: ")


def test_every_field_of_an_answer_is_told_also_when_it_is_nothing() -> None:
    desk = desk_with("www/prod/web")
    told = msgspec.json.decode(msgspec.json.encode(queries.jobs(desk.context)))
    assert told["jobs"][0] == {
        "key": {"role": "www", "environment": "prod", "name": "web"}, "kind": "adhoc", "instanceCount": 1,
        "stats": {"activeTaskCount": 0, "finishedTaskCount": 0, "failedTaskCount": 0, "pendingTaskCount": 1},
        "nextCronRunMs": None, "updating": False, "tier": "preemptible",
    }  # fmt: skip
    details = msgspec.json.decode(msgspec.json.encode(queries.task(desk.context, desk.active(0).id)))
    assert details["reason"] == "Not tried yet" and details["failureCount"] == 0


# --- tasks -------------------------------------------------------------------------------------------------------

asked_tasks = st.builds(
    TasksAsked,
    role=st.sampled_from([None, None, "www", "nobody"]),
    environment=st.sampled_from([None, None, "prod"]),
    name=st.sampled_from([None, "a"]),
    instances=st.frozensets(st.integers(0, 4), max_size=2),
    task_ids=st.frozensets(st.integers(0, 13).map(lambda n: f"t{n}"), max_size=3),
    statuses=st.frozensets(st.sampled_from([*ACTIVE, S.FINISHED, S.LOST]), max_size=3),
    active=st.sampled_from([None, True, False]),
    hosts=st.frozensets(st.sampled_from([*HOSTS, "unknown"]), max_size=2),
    page=st.builds(queries.Page, limit=st.integers(1, 4), offset=st.integers(0, 5)),
)


def is_asked_for(task: ScheduledTask, asked: TasksAsked) -> bool:
    """Word for word what a question means."""
    job = task.config.job
    return (
        asked.role in (None, job.role)
        and asked.environment in (None, job.environment)
        and asked.name in (None, job.name)
        and (not asked.instances or task.assigned_task.instance_id in asked.instances)
        and (not asked.task_ids or task.id in asked.task_ids)
        and (not asked.statuses or task.status in asked.statuses)
        and asked.active in (None, task.is_active)
        and (not asked.hosts or task.assigned_task.slave_host in asked.hosts)
    )


def fill(desk: Desk, operations: list[Op]) -> None:
    """Without those that can't be."""
    for op in operations:
        trial = Trial(desk.tables)
        try:
            trial.apply(op)
        except Bug:
            trial.take_back()


@settings(max_examples=200, deadline=None)
@given(any_ops, st.lists(asked_tasks, min_size=1, max_size=5))
def test_a_page_of_tasks_is_what_a_scan_of_all_finds(operations: list[Op], questions: list[TasksAsked]) -> None:
    desk = Desk()
    fill(desk, operations)
    for asked in questions:
        expected = sorted((task for task in desk.tables.tasks.all() if is_asked_for(task, asked)), key=order)
        found = queries.tasks(desk.context, asked)
        assert found.total == len(expected)
        start = asked.page.offset
        assert list(found.tasks) == expected[start : start + asked.page.limit]
        pending = {task.id for task in found.tasks if task.status is S.PENDING}
        assert set(found.reasons) == pending


def test_tasks_without_what_their_executors_are_told() -> None:
    desk = Desk()
    desk.create(config(), 3)
    found = queries.tasks(desk.context, TasksAsked(data=False)).tasks
    assert {task.config.executor_config for task in found} == {ExecutorConfig(name="AuroraExecutor")}
    assert len({id(task.config) for task in found}) == 1
    assert desk.active(0).config.executor_config == ExecutorConfig(name="AuroraExecutor", data="{}")


def test_a_page_ends_where_configurations_become_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_queries, "MOST_DATA", 250)
    desk = Desk()
    wanted = structs.replace(config(), executor_config=ExecutorConfig(name="AuroraExecutor", data="x" * 100))
    desk.create(wanted, 5)
    seen: list[int] = []
    while True:
        found = queries.tasks(desk.context, TasksAsked(page=queries.Page(offset=len(seen))))
        if not found.tasks:
            break
        assert len(found.tasks) <= 2 and found.total == 5
        seen += [task.assigned_task.instance_id for task in found.tasks]
    assert seen == [0, 1, 2, 3, 4]
    monkeypatch.setattr(task_queries, "MOST_DATA", 10)
    assert len(queries.tasks(desk.context, TasksAsked()).tasks) == 1
    assert len(queries.tasks(desk.context, TasksAsked(data=False)).tasks) == 5


def test_reasons_of_pending_tasks_as_they_become_known() -> None:
    desk = Desk()
    desk.create(config(cpus=8.0), 2)

    def reasons() -> set[str]:
        found = queries.tasks(desk.context, TasksAsked())
        assert [queries.task(desk.context, each).reason for each in found.reasons] == list(found.reasons.values())
        return set(found.reasons.values())

    assert reasons() == {"Not tried yet"}
    desk.offers(offer(0), offer(1))
    desk.step(0.01)
    assert reasons() == {"Insufficient: CPU"}
    desk.move(0, *RUNNING)
    assert len(queries.tasks(desk.context, TasksAsked()).reasons) == 1
    assert refused(lambda: queries.task(desk.context, "nobody")) == (C.NOT_FOUND, "There is no task nobody")


def test_a_question_about_one_job_does_not_look_at_the_others() -> None:
    desk = Desk()
    for n in range(300):
        job = JobKey(role=f"r{n % 10}", environment="prod", name=f"j{n:03}")
        desk.apply(SaveTasks(tasks=tuple(task_of(f"t{n}-{i}", job, i) for i in range(3))))
    looked: list[int] = []
    table = desk.tables.tasks
    select = table.select
    table.select = lambda query: looked.append(1) or select(query)  # type: ignore[method-assign,func-returns-value]
    found = queries.tasks(desk.context, TasksAsked(role="r3", environment="prod", name="j003"))
    assert (found.total, len(found.tasks), len(looked)) == (3, 3, 1)
    everything = queries.tasks(desk.context, TasksAsked(page=queries.Page(limit=6, offset=600)))
    assert (everything.total, len(everything.tasks), len(looked)) == (900, 6, 3)


# --- quota, tiers ------------------------------------------------------------------------------------------------


def test_quota_and_what_a_role_holds_of_it() -> None:
    desk = Desk()
    wanted = config(cpus=1.5, ram=100, disk=10, tier="preferred")
    desk.create(wanted, 2)
    desk.create(structs.replace(config(value(DEDICATED, "www/x"), job=key("www/prod/d")), tier="preferred"))
    desk.create(config(job=key("www/prod/cheap"), ports=("http",)))
    desk.create(config(job=key("db/prod/other"), tier="preferred"))
    given = (Resource(num_cpus=10.0), Resource(ram_mb=1000), Resource(disk_mb=500))
    desk.apply(SaveQuota(role="www", quota=ResourceAggregate(resources=given)))
    told = msgspec.json.decode(msgspec.json.encode(queries.quota(desk.context, "www")))
    assert told == {
        "role": "www", "quota": {"cpus": 10.0, "ramMb": 1000, "diskMb": 500},
        "prodShared": {"cpus": 3.0, "ramMb": 200, "diskMb": 20},
        "prodDedicated": {"cpus": 1.0, "ramMb": 128, "diskMb": 64},
        "nonProdShared": {"cpus": 1.0, "ramMb": 128, "diskMb": 64},
        "nonProdDedicated": {"cpus": 0.0, "ramMb": 0, "diskMb": 0},
    }  # fmt: skip
    assert queries.quotas(desk.context) == {"www": {"cpu_cores": 10.0, "ram_mb": 1000, "disk_mb": 500}}
    assert queries.quotas(desk.context, "db") == {"db": {"cpu_cores": 0.0, "ram_mb": 0, "disk_mb": 0}}


def test_quota_sees_updates_and_schedules() -> None:
    desk = Desk()
    small, wide = config(cpus=1.0, tier="preferred"), config(cpus=4.0, tier="preferred")
    desk.create(small, 2)
    desk.begin_update(before=(group(small, 0, 0),), after=group(wide, 0, 0))
    cron = config(cpus=2.0, tier="preferred", job=key("www/prod/cron"))
    desk.apply(SaveCronJob(job=job_of(cron, 3, cron_schedule="* * * * *")))
    assert queries.quota(desk.context, "www").prod_shared.cpus == 4.0 + 1.0 + 6.0
    new = key("www/prod/new")  # an update may make a job
    desk.begin_update(new, after=group(structs.replace(wide, job=new), 0, 1))
    assert queries.quota(desk.context, "www").prod_shared.cpus == 11.0 + 8.0
    assert queries.quota(desk.context, "nobody").prod_shared.cpus == 0.0


def test_tiers() -> None:
    told = msgspec.json.decode(msgspec.json.encode(queries.tiers(Desk().context)))
    assert told["default"] == "preemptible"
    assert told["tiers"]["preferred"] == {"preemptible": False, "revocable": False}


def test_use_by_role_and_job() -> None:
    desk = desk_with("www/prod/a", "www/prod/b", "db/prod/x", count=2)
    desk.create(config(value(DEDICATED, "www/x"), job=key("www/prod/d"), tier="preferred"))
    metric = queries.Metric
    assert {role: each.cpus for role, each in queries.utilization(desk.context, metric.TOTAL).items()} == {
        "db": 2.0, "www": 5.0,
    }  # fmt: skip
    assert {job: each.cpus for job, each in queries.utilization(desk.context, metric.FREE_POOL, "www").items()} == {
        "www/prod/a": 2.0, "www/prod/b": 2.0,
    }  # fmt: skip
    totals = {name: each.cpus for name, each in queries.totals(desk.context).items()}
    assert totals == {
        "total_consumed": 7.0, "dedicated_consumed": 1.0, "quota_consumed": 0.0, "free_pool_consumed": 6.0,
    }  # fmt: skip


# --- hosts, and what waits ---------------------------------------------------------------------------------------


def test_hosts_with_what_they_offer() -> None:
    desk = Desk()
    desk.offers(offer(0, host="h0", rack="r2,r1", cpus=2.5), offer(1, host="h1", ports=()))
    found = queries.hosts(desk.context)
    assert found.total == 2
    first = msgspec.json.decode(msgspec.json.encode(found.hosts[0]))
    assert first.pop("attributes")["rack"] == ["r1", "r2"]
    assert first == {
        "host": "h0", "agentId": "a00000", "mode": "NONE",
        "offered": {"cpus": 2.5, "ramMb": 4096, "diskMb": 10000, "ports": 1000},
    }  # fmt: skip
    desk.act(lambda turn: desk.engine.rescinded(turn, "o00000"))
    assert [each.offered is None for each in queries.hosts(desk.context).hosts] == [True, False]
    assert [each.host for each in queries.hosts(desk.context, ["h1", "unknown"]).hosts] == ["h1"]
    page = queries.hosts(desk.context, page=queries.Page(limit=1, offset=1))
    assert ([each.host for each in page.hosts], page.total) == (["h1"], 2)
    (held,) = queries.offers(desk.context)
    assert held["hostname"] == "h1"


def test_maintenance_by_mode_with_the_tasks_that_have_to_go() -> None:
    desk = Desk()
    desk.create(count=1)
    desk.offers(offer(0, host="h0"), offer(1, host="h1"), offer(2, host="h2"))
    desk.step()
    (host,) = {task.assigned_task.slave_host for task in desk.tables.tasks.all()}
    others = sorted({"h0", "h1", "h2"} - {host})
    for name, mode in ((host, "DRAINING"), (others[0], "DRAINED"), (others[1], "SCHEDULED")):
        record = desk.tables.hosts[name]
        desk.apply(SaveHostAttributes(attributes=structs.replace(record, mode=MaintenanceMode(mode))))
    assert queries.maintenance(desk.context) == {
        "SCHEDULED": [others[1]], "DRAINING": {host: [desk.active(0).id]}, "DRAINED": [others[0]],
    }  # fmt: skip


def test_groups_that_wait() -> None:
    desk = Desk()
    desk.create(config(cpus=100.0), 3)
    desk.create(config(cpus=200.0, job=key("db/prod/x")), 1)
    desk.offers(offer(0))
    for _ in range(3):
        desk.step(0.1)
    found = {each.name: each for each in queries.pending_tasks(desk.context)}
    assert {name: (len(each.task_ids), each.reason) for name, each in found.items()} == {
        "www/prod/web": (3, "Insufficient: CPU"), "db/prod/x": (1, "Insufficient: CPU"),
    }  # fmt: skip
    assert all(each.penalty_ms >= 1000 for each in found.values())


def test_the_state_of_all_active_instances() -> None:
    desk = Desk()
    desk.create(count=3)
    desk.offers(offer(0))
    desk.step()
    found = queries.state(desk.context)
    placed = [task for task in desk.tables.tasks.all() if task.assigned_task.slave_id]
    assert len(placed) == 1
    assert found.agents == {"a00000": [str(placed[0].instance)]}
    assert sorted(found.task_configs) == [f"www/prod/web/{n}" for n in range(3)]
    executors = {each.executor_config for each in found.task_configs.values()}
    assert executors == {ExecutorConfig(name="AuroraExecutor")}


def test_schedules() -> None:
    desk = Desk()
    desk.apply(SaveCronJob(job=job_of(config(), cron_schedule="1 * * * *")))
    assert queries.cron(desk.context) == {"scheduled": {"www/prod/web": "1 * * * *"}}


@settings(max_examples=50, deadline=None)
@given(any_ops, st.randoms(use_true_random=False))
def test_no_question_fails_whatever_is_there(operations: list[Op], chance: random.Random) -> None:
    desk = Desk()
    fill(desk, operations)
    context = desk.context
    told = queries.jobs(context)
    assert told.total == len({*desk.tables.tasks.jobs(), *desk.tables.cron_jobs})
    for each in told.jobs:
        details = queries.job(context, each.key)
        stats = each.stats
        parts = (stats.active_task_count, stats.pending_task_count, stats.finished_task_count, stats.failed_task_count)
        assert sum(parts) == sum(details.statuses.values())
        assert each.instance_count == sum(b - a + 1 for g in details.configs for a, b in g.instances)
    answers = [
        told, queries.roles(context), queries.quota(context, chance.choice(JOBS).role), queries.hosts(context),
        queries.state(context), queries.pending_tasks(context), queries.cron(context), queries.maintenance(context),
        queries.totals(context), queries.quotas(context), queries.offers(context),
    ]  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(answers))
    assert all(isinstance(each.config, TaskConfig) for each in queries.tasks(context, TasksAsked()).tasks)
    assert ScheduleStatus.DELETED not in {each.status for each in queries.tasks(context, TasksAsked()).tasks}
