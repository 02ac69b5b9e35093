"""What people want of updates: §4.1's checks and texts, wishes, pulses, pages, plans."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec import structs

from scheduler.core.model import (
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    InstanceKey,
    JobKey,
    Metadata,
    SlaPolicy,
    TaskConfig,
)
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import (
    BatchStrategy,
    InstanceRange,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateStatus,
    QueueStrategy,
    UpdateStrategy,
    VarBatchStrategy,
)
from scheduler.core.update_start import UPDATE_ID
from scheduler.core.update_states import Wish
from scheduler.core.validation import Rules
from scheduler.service import jobs, update_queries, updates
from scheduler.service.pages import Page
from scheduler.service.refusals import Refusal, RefusalCode
from scheduler.service.update_queries import UpdatePlanned, Updates
from scheduler.service.updates import UpdateInProgress, UpdateMoved, UpdateStarted
from tests.scheduler.core.making import JOB, config
from tests.scheduler.service.desks import RUNNING, Desk, refused

C, S, U = RefusalCode, ScheduleStatus, JobUpdateStatus
OLD = structs.replace(config(), is_service=True)
NEW = structs.replace(OLD, priority=1)


def desk_of(instances: int = 3, rules: Rules | None = None, **more: Any) -> Desk:
    desk = Desk(rules, **more)
    if instances:
        desk.create(OLD, instances)
    for instance in range(instances):
        desk.move(instance, *RUNNING)
    desk.tick(3600)
    return desk


def request(wanted: TaskConfig = NEW, count: int = 3, metadata: tuple[Metadata, ...] = (), **settings: Any) -> Any:
    return JobUpdateRequest(
        task_config=wanted, instance_count=count, settings=JobUpdateSettings(**settings), metadata=metadata
    )


def start(desk: Desk, asked: JobUpdateRequest | None = None, who: str = "jane", message: str = "") -> UpdateStarted:
    wanted = asked or request()
    return desk.act(lambda turn: updates.start_update(desk.context, turn, wanted, who, message))


def wish(desk: Desk, kind: Wish, name: str = "active", message: str = "") -> UpdateMoved:
    return desk.act(lambda turn: updates.wish(desk.context, turn, JOB, name, kind, "joe", message))


def page(desk: Desk, **wanted: Any) -> Updates:
    return update_queries.updates(desk.context, **wanted)


# --- starting --------------------------------------------------------------------------------------------------------


def test_a_start() -> None:
    desk = desk_of()
    made = start(desk, request(metadata=(Metadata(key="a", value="b"),)), message="go")
    assert made.started and made.key is not None and made.update is not None
    assert (made.key.job, made.update.user, made.update.status) == (JOB, "jane", U.ROLLING_FORWARD)
    assert (made.update.progress.done, made.update.progress.total) == (0, 3)
    (event,) = updates.find_update(desk.context, JOB, made.key.id).events
    assert (event.user, event.message) == ("jane", "go")


#: What is wrong, and what is said of it. The order is that of the original's checks.
BAD: list[tuple[JobUpdateRequest, str]] = [
    (request(structs.replace(NEW, is_service=False)), "Updates are not supported for non-service tasks."),
    (request(update_group_size=0), "All update group sizes must be positive."),
    (
        request(update_strategy=UpdateStrategy(var_batch_strategy=VarBatchStrategy(group_sizes=(1, 0)))),
        "All update group sizes must be positive.",
    ),
    (
        request(update_strategy=UpdateStrategy(var_batch_strategy=VarBatchStrategy())),
        "Update results in no instance being modified.",
    ),
    (
        request(
            update_strategy=UpdateStrategy(queue_strategy=QueueStrategy(), batch_strategy=BatchStrategy(group_size=2))
        ),
        "it has to be one of queue, batch and varBatch",
    ),
    (request(max_per_instance_failures=-1), "settings.maxPerInstanceFailures: -1; it must not be negative"),
    (request(max_failed_instances=-1), "settings.maxFailedInstances: -1; it must not be negative"),
    (request(max_per_instance_failures=7000), "7000 failures of each of 3 instances are too many; 20000 in all"),
    (request(min_wait_in_instance_running_ms=-1), "settings.minWaitInInstanceRunningMs: -1"),
    (request(block_if_no_pulses_after_ms=-1), "settings.blockIfNoPulsesAfterMs: -1"),
    (request(progress_deadline_ms=-1), "settings.progressDeadlineMs: -1"),
    (request(sla_aware=True), "an update that is aware of the SLA needs a task with an SLA policy"),
    (request(structs.replace(NEW, tier="none")), "tier"),
    (request(count=0), "instance"),
    (request(count=4001), "instance"),
    (
        request(update_only_these_instances=(InstanceRange(first=2, last=3),)),
        "settings.updateOnlyTheseInstances: there is not every instance of 2-3, neither now nor after the update",
    ),
    (request(update_only_these_instances=(InstanceRange(first=1, last=0),)), "1-0 is no range of instances"),
    (request(update_only_these_instances=(InstanceRange(first=0, last=0),) * 1001), "there are 1001 entries; 1000 is"),
    (request(metadata=(Metadata(key="k" * 256),)), "has 256 letters; 255 is the most"),
    (request(metadata=(Metadata(key="k"),) * 101), "metadata: there are 101 entries; 100 is the most"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_starts(number: int) -> None:
    asked, words = BAD[number]
    desk = desk_of()
    code, text = refused(lambda: start(desk, asked))
    assert code is C.INVALID_REQUEST and words in text
    # a plan is refused alike
    code, said = refused(lambda: plan(desk, asked))
    assert (code, said) == (C.INVALID_REQUEST, text)


def test_a_message_that_is_too_long() -> None:
    desk = desk_of()
    assert refused(lambda: start(desk, message="x" * 1025))[0] is C.INVALID_REQUEST
    start(desk, message="x" * 1024)
    assert refused(lambda: wish(desk, Wish.PAUSE, message="x" * 1025))[0] is C.INVALID_REQUEST


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(Refusal) as caught:
        start(desk_of(), request(max_failed_instances=-1, min_wait_in_instance_running_ms=-1))
    assert [each.field for each in caught.value.problems] == [
        "settings.maxFailedInstances", "settings.minWaitInInstanceRunningMs"
    ]  # fmt: skip


def test_how_many_failures_may_be_allowed() -> None:
    desk = desk_of(max_update_failures=10)
    assert "10 in all is the most" in refused(lambda: start(desk, request(max_per_instance_failures=4)))[1]
    start(desk, request(max_per_instance_failures=3))


def test_coordinators_are_not_asked() -> None:
    rules = Rules(sla_for_all_tiers=True, sla_min_instances=1)
    asks = SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy(coordinator_url="http://c"))
    counts = SlaPolicy(count_sla_policy=CountSlaPolicy(count=1, duration_secs=1))
    desk = desk_of(rules=rules)
    asked = request(structs.replace(NEW, sla_policy=asks), sla_aware=True)
    assert "updates don't ask coordinators; use a count or a percentage" in refused(lambda: start(desk, asked))[1]
    desk = Desk(rules)
    desk.create(structs.replace(OLD, sla_policy=asks), 3)
    asked = request(structs.replace(NEW, sla_policy=counts), sla_aware=True)
    assert "instance 0 has one now; update it without slaAware first" in refused(lambda: start(desk, asked))[1]
    start(desk, request(structs.replace(NEW, sla_policy=counts)))


def test_nothing_to_do_is_no_refusal() -> None:
    desk = desk_of()
    assert start(desk, request(OLD)) == UpdateStarted(started=False, message="Job is unchanged by proposed update.")
    # what the defaults fill in is no difference
    assert not start(desk, request(structs.replace(OLD, tier=None))).started
    assert len(desk.tables.updates) == 0


def test_one_update_at_a_time() -> None:
    desk = desk_of()
    key = start(desk, request(metadata=(Metadata(key=UPDATE_ID, value="1"),))).key
    assert key is not None
    with pytest.raises(UpdateInProgress) as caught:
        start(desk, request(structs.replace(OLD, priority=2)))
    assert caught.value.code is C.JOB_UPDATING
    assert str(caught.value) == f"{JOB} is being updated already: {key.id}, by jane; wait for it or abort it"
    assert caught.value.more["update"]["key"]["id"] == key.id
    # another user, another id: a second one; the same id: the first one
    for value, is_same in (("1", True), ("2", False)):
        asked = request(metadata=(Metadata(key=UPDATE_ID, value=value),))
        if is_same:
            assert start(desk, asked).key == key
        else:
            assert refused(lambda asked=asked: start(desk, asked))[0] is C.JOB_UPDATING  # type: ignore[misc]
    assert len(desk.tables.updates) == 1
    wish(desk, Wish.ABORT)
    assert start(desk).key != key


def test_what_is_refused_meanwhile() -> None:
    desk = desk_of()
    start(desk)
    context = desk.context
    for ask in (
        lambda turn: jobs.kill_tasks(context, turn, JOB, None, "jane"),
        lambda turn: jobs.restart(context, turn, JOB, frozenset({0}), "jane"),
        lambda turn: jobs.add_instances(context, turn, InstanceKey(job_key=JOB, instance_id=0), 1, "jane"),
    ):
        assert refused(lambda ask=ask: desk.act(ask)) == (C.JOB_UPDATING, "Job is currently updating")  # type: ignore[misc]
    assert refused(lambda: desk.create(OLD, 1))[0] is C.JOB_UPDATING
    wish(desk, Wish.ABORT)
    desk.act(lambda turn: jobs.kill_tasks(context, turn, JOB, None, "jane"))


def test_a_subset_is_a_canary() -> None:
    desk = desk_of()
    start(desk, request(update_only_these_instances=(InstanceRange(first=1, last=1),)))
    for _ in range(20):
        desk.step()
        for task in list(desk.tables.tasks.active_of_job(JOB)):
            if task.status is S.KILLING:
                desk.move(task.assigned_task.instance_id, S.KILLED)
            elif task.status is S.PENDING:
                desk.move(task.assigned_task.instance_id, *RUNNING)
    assert [desk.active(n).config.priority for n in range(3)] == [0, 1, 0]
    assert page(desk).updates[0].status is U.ROLLED_FORWARD


# --- wishes ----------------------------------------------------------------------------------------------------------

TABLE: list[tuple[tuple[Wish, ...], Wish, str]] = [
    ((), Wish.PAUSE, "ROLL_FORWARD_PAUSED"),
    ((Wish.PAUSE,), Wish.PAUSE, "ROLL_FORWARD_PAUSED"),
    ((Wish.PAUSE,), Wish.RESUME, "ROLLING_FORWARD"),
    ((), Wish.RESUME, "ROLLING_FORWARD"),
    ((), Wish.ROLLBACK, "ROLLING_BACK"),
    ((Wish.PAUSE,), Wish.ROLLBACK, "ROLLING_BACK"),
    ((Wish.ROLLBACK,), Wish.ROLLBACK, "ROLLING_BACK"),
    ((Wish.ROLLBACK,), Wish.PAUSE, "ROLL_BACK_PAUSED"),
    ((Wish.ROLLBACK, Wish.PAUSE), Wish.RESUME, "ROLLING_BACK"),
    ((), Wish.ABORT, "ABORTED"),
]


@pytest.mark.parametrize(("before", "asked", "status"), TABLE)
def test_wishes(before: tuple[Wish, ...], asked: Wish, status: str) -> None:
    desk = desk_of()
    start(desk)
    for each in before:
        wish(desk, each)
    assert wish(desk, asked).status == status


def test_a_wish_that_can_t_be() -> None:
    desk = desk_of()
    key = start(desk).key
    assert key is not None
    wish(desk, Wish.ROLLBACK)
    wish(desk, Wish.PAUSE)
    code, text = refused(lambda: wish(desk, Wish.ROLLBACK))
    assert (code, text) == (C.INVALID_REQUEST, f"cannot rollback {JOB} update {key.id}: it is ROLL_BACK_PAUSED")
    wish(desk, Wish.ABORT)
    assert wish(desk, Wish.ABORT, key.id).status == "ABORTED"
    assert refused(lambda: wish(desk, Wish.RESUME, key.id))[0] is C.INVALID_REQUEST


def test_an_update_that_is_not_there() -> None:
    desk = desk_of()
    assert refused(lambda: wish(desk, Wish.PAUSE)) == (C.NOT_FOUND, f"Job {JOB} is not being updated")
    text = f"There is no update u of {JOB}; it may have been forgotten"
    assert refused(lambda: wish(desk, Wish.PAUSE, "u")) == (C.NOT_FOUND, text)
    # a pulse for one that has ended long ago is no mistake
    other = JobKey(role="a", environment="b", name="c")
    assert desk.act(lambda turn: updates.pulse(desk.context, turn, other, "u")).status == "FINISHED"
    assert refused(lambda: desk.act(lambda turn: updates.pulse(desk.context, turn, JOB, "active")))[0] is C.NOT_FOUND


def test_resuming_waits_for_a_pulse_where_there_is_none() -> None:
    desk = desk_of()
    start(desk, request(block_if_no_pulses_after_ms=60_000))
    assert wish(desk, Wish.PAUSE).status == "ROLL_FORWARD_PAUSED"
    assert wish(desk, Wish.RESUME).status == "ROLL_FORWARD_AWAITING_PULSE"
    wish(desk, Wish.PAUSE)
    assert desk.act(lambda turn: updates.pulse(desk.context, turn, JOB, "active")).status == "OK"
    assert wish(desk, Wish.RESUME).status == "ROLLING_FORWARD"


# --- pages and details -----------------------------------------------------------------------------------------------


def test_pages() -> None:
    desk = Desk()
    keys = []
    for role, name, who in itertools.product(("www", "ads"), ("a", "b"), ("ann", "bob")):
        key = JobKey(role=role, environment="prod", name=f"{name}-{who}")
        desk.tick(1)
        made = start(desk, request(structs.replace(NEW, job=key, owner=OLD.owner), 1), who)
        assert made.key is not None
        keys.append(made.key)

    def names(**wanted: Any) -> list[str]:
        return [str(each.key.job) for each in page(desk, **wanted).updates]

    assert names() == [str(key.job) for key in reversed(keys)], "the last changed first"
    assert names(role="w*", name="a-*") == ["www/prod/a-bob", "www/prod/a-ann"]
    assert names(role="ads", user="ann") == ["ads/prod/b-ann", "ads/prod/a-ann"]
    assert names(statuses=[U.FAILED]) == names(active=False) == names(statuses=[U.FAILED], active=True) == []
    found = page(desk, page=Page(limit=3, offset=6))
    assert found.total == 8 and [each.key for each in found.updates] == [keys[1], keys[0]]
    assert refused(lambda: page(desk, name="x" * 256))[0] is C.INVALID_REQUEST
    assert refused(lambda: page(desk, page=Page(limit=0)))[0] is C.INVALID_REQUEST


def test_how_far_it_is() -> None:
    desk = desk_of()
    start(desk, request(update_group_size=2))
    desk.step()
    for instance in (0, 1):
        desk.move(instance, S.KILLED)
    desk.step()
    desk.move(0, *RUNNING)
    desk.step()
    (found,) = page(desk).updates
    assert (found.progress.done, found.progress.total) == (1, 3)
    entry = updates.find_update(desk.context, JOB, "active")
    details = update_queries.details_of(desk.context, entry, desk.now)
    assert [(each.stage.value, each.instances) for each in details.stages] == [
        ("UPDATING", ((1, 2),)), ("UPDATED", ((0, 0),))
    ]  # fmt: skip
    waits = [(each.instance, each.kind.value) for each in details.waits_for]
    assert waits == [(1, "PLACEMENT"), (2, "STOP")]
    wish(desk, Wish.ABORT)
    assert page(desk).updates[0].progress == found.progress
    assert page(desk).updates[0].progress == found.progress, "remembered"


def test_on_the_way_back_what_was_touched_counts() -> None:
    desk = desk_of()
    start(desk)
    desk.step()
    wish(desk, Wish.ROLLBACK)
    (found,) = page(desk).updates
    assert (found.progress.done, found.progress.total) == (0, 1)


# --- plans -----------------------------------------------------------------------------------------------------------


def plan(desk: Desk, asked: JobUpdateRequest) -> UpdatePlanned:
    job = updates.job_now(desk.context, JOB)
    return update_queries.plan(desk.context, updates.accepted(desk.context, asked, job), job)()


def test_a_plan() -> None:
    desk = desk_of(3)
    batches = UpdateStrategy(batch_strategy=BatchStrategy(group_size=2, autopause_after_batch=True))
    found = plan(desk, request(NEW, 5, update_strategy=batches, min_wait_in_instance_running_ms=10_000))
    assert [each.instances for each in found.diff.add] == [((3, 4),)]
    assert [each.instances for each in found.diff.update] == [((0, 2),)]
    told = [(each.instances, each.lowest_running, each.pauses_before) for each in found.batches]
    assert told == [(((3, 4),), 3, False), (((0, 1),), 3, True), (((2, 2),), 4, True)]
    assert (found.running_before, found.running_after, found.lowest_running) == (3, 5, 3)
    assert found.seconds_at_least == 30
    assert found.start_seconds is not None and found.start_seconds.samples == 3
    assert found.stop_samples == 0
    assert desk.tables.updates.active(JOB) is None


def test_a_plan_of_nothing() -> None:
    found = plan(desk_of(3), request(OLD))
    assert found.batches == () and found.lowest_running == 3
    assert [each.instances for each in found.diff.unchanged] == [((0, 2),)]


def test_a_plan_of_a_job_that_is_not_there() -> None:
    found = plan(Desk(), request(NEW, 2, update_group_size=2))
    assert [(each.instances, each.kinds.add) for each in found.batches] == [(((0, 1),), 2)]
    assert found.start_seconds is None and found.usual_seconds is None
