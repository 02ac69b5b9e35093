"""Create, add, kill, restart: what they do, in which words they refuse, and that a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import structs

from config.schema import Metadata, PartitionPolicy
from scheduler.core.effects import KillTask, TaskChanged, TasksDeleted
from scheduler.core.model import Identity, InstanceKey, JobConfiguration, JobKey
from scheduler.core.states import ScheduleStatus
from scheduler.core.validation import Rules
from scheduler.service import jobs
from scheduler.service.config_groups import ConfigGroup
from scheduler.service.refusals import Refusal, RefusalCode
from scheduler.store.ops import SaveCronJob
from tests.scheduler.core.making import JOB, config
from tests.scheduler.core.test_model import written
from tests.scheduler.service.desks import RUNNING, Desk, S, job_of, refused

C = RefusalCode
UPDATING = (C.JOB_UPDATING, "Job is currently updating")
SERVICE = structs.replace(config(), is_service=True)


def add(desk: Desk, template: int, count: int, job: JobKey = JOB) -> Any:
    key = InstanceKey(job_key=job, instance_id=template)
    return desk.act(lambda turn: jobs.add_instances(desk.context, turn, key, count, "jane"))


def kill(desk: Desk, *instances: int, job: JobKey = JOB, message: str = "", everything: bool = False) -> Any:
    chosen = None if everything else frozenset(instances)
    return desk.act(lambda turn: jobs.kill_tasks(desk.context, turn, job, chosen, "jane", message))


def restart(desk: Desk, *instances: int, job: JobKey = JOB) -> Any:
    return desk.act(lambda turn: jobs.restart(desk.context, turn, job, frozenset(instances), "jane"))


def template(desk: Desk, key: JobKey = JOB) -> None:
    desk.apply(SaveCronJob(job=job_of(config(job=key), cron_schedule="* * * * *")))


# --- create ------------------------------------------------------------------------------------------------------


def test_a_new_job_is_pending_and_as_it_is_kept() -> None:
    desk = Desk()
    made = desk.create(SERVICE, 3)
    assert made == jobs.JobCreated(key=JOB, instances=(0, 1, 2), url="http://s:8081/scheduler/www/prod/web")
    assert desk.instances() == [0, 1, 2]
    tasks = [desk.active(n) for n in range(3)]
    assert {task.status for task in tasks} == {S.PENDING}
    assert len({id(task.config) for task in tasks}) == 1
    assert tasks[0].config == jobs.populate(desk.context, job_of(SERVICE)).task_config
    assert tasks[0].config.tier == "preemptible" and tasks[0].config.container.mesos is not None
    assert [effect.old for effect in desk.effects if isinstance(effect, TaskChanged)] == [None] * 3
    assert desk.engine.groups.tasks == 3 and len(desk.engine.groups) == 1


def test_a_job_that_exists_is_not_made_again() -> None:
    desk = Desk()
    desk.create()
    text = "Job www/prod/web already exists"
    assert refused(desk.create) == (C.ALREADY_EXISTS, text)
    desk.move(0, *RUNNING)
    assert refused(desk.create) == (C.ALREADY_EXISTS, text)
    desk.move(0, S.FINISHED)
    assert desk.create(count=2).instances == (0, 1)  # history is no hindrance


def test_a_cron_job_of_that_name_is_a_job() -> None:
    desk = Desk()
    template(desk)
    assert refused(desk.create) == (C.ALREADY_EXISTS, "Job www/prod/web already exists")


def test_cron_jobs_are_not_created() -> None:
    desk = Desk()
    asked = job_of(config(), cron_schedule="* * * * *")
    line = refused(lambda: desk.act(lambda turn: jobs.create_job(desk.context, turn, asked, "jane")))
    assert line == (C.INVALID_REQUEST, "Cron jobs may only be created/updated by calling scheduleCronJob.")


@pytest.mark.parametrize(("count", "is_taken"), [(0, False), (-1, False), (1, True), (5, True), (6, False)])
def test_how_many_instances(count: int, is_taken: bool) -> None:
    desk = Desk(Rules(max_tasks_per_job=5))
    if is_taken:
        assert len(desk.create(count=count).instances) == count
    else:
        code, text = refused(lambda: desk.create(count=count))
        assert (code, text) == (C.INVALID_REQUEST, "instanceCount: Instance count must be between 1 and 5 inclusive.")


def test_all_problems_are_told_and_the_line_is_short() -> None:
    desk = Desk()
    awful = JobConfiguration(
        key=JobKey(role="", environment="x", name="/"), owner=Identity(user=" "), instance_count=0,
        task_config=structs.replace(config(executor=None, cpus=-1.0, tier="gold"), owner=Identity(user="-/")),
    )  # fmt: skip
    with pytest.raises(Refusal) as caught:
        jobs.populate(desk.context, awful)
    fields = [problem.field for problem in caught.value.problems]
    assert fields == [
        "job.role", "job.name", "job.environment", "owner.user", "instanceCount", "taskConfig.job",
        "taskConfig.owner.user", "tier", "executorConfig", "resources",
    ]  # fmt: skip
    assert str(caught.value).startswith("job.role: ") and str(caught.value).endswith("; and 5 more")


# --- while an update is active -----------------------------------------------------------------------------------


def test_an_active_update_refuses_all_wishes_until_it_has_ended() -> None:
    desk = Desk()
    desk.create(count=2)
    other = JobKey(role="www", environment="prod", name="other")
    key = desk.begin_update()
    wishes = (
        lambda: add(desk, 0, 1),
        lambda: kill(desk, 0),
        lambda: kill(desk, everything=True),
        lambda: restart(desk, 0),
        desk.create,
    )
    assert [refused(wish) for wish in wishes] == [UPDATING] * 5
    assert desk.create(config(job=other)).instances == (0,)
    desk.end_update(key)
    assert add(desk, 0, 1).instances == (2,)
    assert kill(desk, 0).instances == (0,)


# --- add ---------------------------------------------------------------------------------------------------------


def test_instances_are_added_behind_the_last_one_and_holes_stay() -> None:
    desk = Desk()
    desk.create(SERVICE, 4)
    kill(desk, 1)
    assert add(desk, 2, 2) == jobs.InstancesAdded(key=JOB, instances=(4, 5))
    assert desk.instances() == [0, 2, 3, 4, 5]
    assert desk.active(5).config is desk.active(2).config
    kill(desk, 4, 5)
    assert add(desk, 0, 1).instances == (4,)


def test_what_can_not_be_added() -> None:
    desk = Desk(Rules(max_tasks_per_job=4))
    desk.create(count=3)
    inactive = "No active task found for a given instance ID: www/prod"
    assert refused(lambda: add(desk, 7, 1)) == (C.NOT_FOUND, f"{inactive}/web/7")
    assert refused(lambda: add(desk, 0, 1, JobKey(role="www", environment="prod", name="x"))) == (
        C.NOT_FOUND,
        f"{inactive}/x/0",
    )
    for count in (0, -3):
        assert refused(lambda n=count: add(desk, 0, n)) == (C.INVALID_REQUEST, "Instance count must be positive.")  # type: ignore[misc]
    too_many = (C.INVALID_REQUEST, "Instance count must be between 1 and 4 inclusive.")
    assert refused(lambda: add(desk, 0, 2)) == too_many
    assert add(desk, 0, 1).instances == (3,)
    assert refused(lambda: add(desk, 0, 1)) == too_many
    template(desk)
    assert refused(lambda: add(desk, 0, 1)) == (C.INVALID_REQUEST, "Instances may not be added to cron jobs.")


def test_an_instance_that_has_ended_is_no_template() -> None:
    desk = Desk()
    desk.create()
    desk.move(0, *RUNNING, S.FINISHED)
    assert refused(lambda: add(desk, 0, 1))[0] is C.NOT_FOUND


def test_numbers_of_instances_end_somewhere() -> None:
    desk = Desk()
    desk.act(lambda turn: desk.engine.insert(turn, config(), [2**31 - 2]))
    assert refused(lambda: add(desk, 2**31 - 2, 2))[0] is C.INVALID_REQUEST
    assert add(desk, 2**31 - 2, 1).instances == (2**31 - 1,)


# --- kill --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "told"), [("", "Killed by jane"), ("too old\nreally", "Killed by jane.\ntoo old\nreally")]
)
def test_a_killed_task_knows_by_whom(message: str, told: str) -> None:
    desk = Desk()
    desk.create(SERVICE, 2)
    task = desk.move(1, *RUNNING)
    answer = kill(desk, 1, message=message)
    assert answer == jobs.TasksKilled(key=JOB, instances=(1,), task_ids=(task.id,), message="")
    killing = desk.active(1)
    assert killing.status is S.KILLING and killing.task_events[-1].message == told
    assert [effect.task_id for effect in desk.effects if isinstance(effect, KillTask)] == [task.id]
    assert desk.move(1, S.KILLED).status is S.KILLED
    assert desk.instances() == [0]  # nobody takes its place


def test_without_instances_all_are_killed_and_without_an_agent_at_once() -> None:
    desk = Desk()
    desk.create(SERVICE, 3)
    desk.move(2, *RUNNING)
    answer = kill(desk, everything=True)
    assert answer.instances == (0, 1, 2) and len(answer.task_ids) == 3
    assert desk.instances() == [2]
    deleted = [task.id for effect in desk.effects if isinstance(effect, TasksDeleted) for task in effect.tasks]
    assert sorted(deleted) == sorted(answer.task_ids[:2])
    assert desk.engine.groups.tasks == 0


def test_nothing_to_kill_is_an_answer() -> None:
    desk = Desk()
    nothing = jobs.TasksKilled(key=JOB, instances=(), task_ids=(), message="No tasks to kill.")
    assert kill(desk, everything=True) == kill(desk, 1) == nothing
    desk.create(count=2)
    assert kill(desk, 7) == nothing
    desk.move(0, *RUNNING)
    assert kill(desk, 0, 7).instances == (0,)
    assert kill(desk, 0) == nothing  # it is being killed
    assert kill(desk, 0, 1).instances == (1,)


def test_a_list_without_instances_kills_nothing() -> None:
    desk = Desk()
    desk.create()
    assert refused(lambda: kill(desk))[0] is C.INVALID_REQUEST
    assert desk.instances() == [0]


def test_long_messages_are_refused() -> None:
    desk = Desk()
    desk.create()
    code, text = refused(lambda: kill(desk, 0, message="x" * 1025))
    assert code is C.INVALID_REQUEST and text.endswith("has 1025 letters; 1024 is the most")
    assert kill(desk, 0, message="x" * 1024).instances == (0,)


def test_a_task_out_of_sight_is_given_up_when_it_is_killed() -> None:
    desk = Desk()
    desk.create(SERVICE)
    task = desk.move(0, *RUNNING, S.PARTITIONED)
    assert kill(desk, 0).instances == (0,)
    lost = desk.tables.tasks.get(task.id)
    assert lost is not None and lost.status is S.LOST and desk.instances() == []


def test_runs_of_cron_jobs_can_be_killed() -> None:
    desk = Desk()
    desk.create(count=1)
    template(desk)
    assert kill(desk, everything=True).instances == (0,)


@pytest.mark.parametrize(
    "way",
    [
        (), RUNNING[:1], RUNNING[:2], RUNNING, (*RUNNING, S.RESTARTING), (*RUNNING, S.DRAINING),
        (*RUNNING, S.PREEMPTING), (*RUNNING, S.PARTITIONED),
    ],
)  # fmt: skip
def test_no_state_withstands_a_kill_and_nobody_takes_the_place(way: tuple[ScheduleStatus, ...]) -> None:
    desk = Desk()
    desk.create(SERVICE)
    if way:
        desk.move(0, *way)
    assert kill(desk, 0).instances == (0,)
    if desk.instances():
        desk.move(0, S.KILLED)
    assert desk.instances() == []


# --- restart -----------------------------------------------------------------------------------------------------


def test_a_restart_replaces_with_the_same_configuration() -> None:
    desk = Desk()
    desk.create(SERVICE, 2)
    tasks = [desk.move(n, *RUNNING) for n in range(2)]
    assert restart(desk, 0, 1) == jobs.InstancesRestarted(key=JOB, instances=(0, 1))
    restarting = desk.active(0)
    assert restarting.status is S.RESTARTING and restarting.task_events[-1].message == "Restarted by jane"
    assert [effect.task_id for effect in desk.effects if isinstance(effect, KillTask)] == [task.id for task in tasks]
    desk.move(0, S.KILLED)
    again = desk.active(0)
    assert (again.status, again.ancestor_id, again.config) == (S.PENDING, tasks[0].id, tasks[0].config)


def test_all_that_are_named_have_to_be_active() -> None:
    desk = Desk()
    desk.create(SERVICE, 2)
    line = (C.INVALID_REQUEST, "Not all requested shards are active.")
    assert refused(lambda: restart(desk, 0, 2)) == line
    desk.move(1, *RUNNING)
    kill(desk, 1)
    desk.move(1, S.KILLED)
    assert refused(lambda: restart(desk, 1)) == line
    assert refused(lambda: restart(desk))[0] is C.INVALID_REQUEST


def test_what_needs_no_restart_is_left_alone_and_counts_as_no_illegal_change() -> None:
    desk = Desk()
    desk.create(SERVICE, 4)
    for n in (1, 2, 3):
        desk.move(n, *RUNNING)
    kill(desk, 2)
    restart(desk, 3)
    assert restart(desk, 0, 1, 2, 3).instances == (1,)
    assert [desk.active(n).status for n in range(4)] == [S.PENDING, S.RESTARTING, S.KILLING, S.RESTARTING]
    assert desk.engine.stats.illegal_transitions == 0


# --- diff --------------------------------------------------------------------------------------------------------


def ranges(groups: tuple[ConfigGroup, ...]) -> list[tuple[tuple[int, int], ...]]:
    return [each.instances for each in groups]


def test_a_diff_tells_instance_by_instance() -> None:
    desk = Desk()
    desk.create(SERVICE, 4)
    small = desk.active(0).config
    kill(desk, 2)
    wide = structs.replace(SERVICE, priority=7)
    same = jobs.diff(desk.context, SERVICE, 5)
    assert (ranges(same.add), same.update, same.remove) == ([((2, 2), (4, 4))], (), ())
    assert ranges(same.unchanged) == [((0, 1), (3, 3))]
    other = jobs.diff(desk.context, wide, 2)
    assert (other.add, other.unchanged) == ((), ())
    assert (ranges(other.update), ranges(other.remove)) == ([((0, 1),)], [((3, 3),)])
    assert other.update[0].config == small
    few = jobs.diff(desk.context, wide, 5, only=[1, 4])
    assert (ranges(few.add), ranges(few.update), few.remove, few.unchanged) == ([((4, 4),)], [((1, 1),)], (), ())
    assert few.add[0].config.priority == 7


def test_a_diff_of_a_job_that_is_not_there_adds_it_and_makes_nothing() -> None:
    desk = Desk()
    applied = desk.tables.applied
    assert ranges(jobs.diff(desk.context, SERVICE, 3).add) == [((0, 2),)]
    assert desk.tables.applied == applied and desk.instances() == []


def test_a_diff_refuses_what_an_update_would_refuse() -> None:
    desk = Desk()
    for wanted, count in ((SERVICE, 0), (structs.replace(SERVICE, tier="gold"), 1)):
        assert refused(lambda c=wanted, n=count: jobs.diff(desk.context, c, n))[0] is C.INVALID_REQUEST  # type: ignore[misc]


# --- what clients write ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"service": True, "tier": "preferred", "priority": 3, "contact": "me@example"},
        {"constraints": {"rack": "limit:1", "dedicated": "www/pool", "os": "!b,a"}},
        {"metadata": [Metadata(key="k", value="2"), Metadata(key="k", value="1")]},
        {"partition_policy": PartitionPolicy(reschedule=False)},
    ],
)
def test_what_the_client_makes_of_a_config_is_taken_and_taken_again(more: dict[str, object]) -> None:
    desk = Desk()
    asked = msgspec.convert(written(**more), JobConfiguration)
    kept = jobs.populate(desk.context, asked)
    assert jobs.populate(desk.context, kept) == kept
    assert kept.task_config.task_links == {"http": "http://%host%:%port:http%"}
    made = desk.act(lambda turn: jobs.create_job(desk.context, turn, kept, "jane"))
    assert made.instances == (0, 1, 2)
    nothing = jobs.diff(desk.context, asked.task_config, 3)
    assert (nothing.add, nothing.remove, nothing.update) == ((), (), ())
