"""The instances of a job: looks and events make one picture."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.aurora.core.instances import Instances, Seen, seen_of
from client.aurora.core.tasks import Task, TaskNews, parse_task

#: However busy the machine is.
PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def task(instance: int, task_id: str, status: str, at: int = 1) -> Task:
    return parse_task(
        {
            "assignedTask": {"taskId": task_id, "instanceId": instance, "task": {}},
            "status": status,
            "taskEvents": [{"timestamp": at, "status": status}],
        }
    )


def event(instance: int, task_id: str, status: str, at: int = 1) -> Seen:
    return Seen(instance, task_id, status, at)


def statuses(instances: Instances) -> dict[int, tuple[str, str]]:
    return {number: (seen.task_id, seen.status) for number, seen in instances.known.items()}


def test_an_active_task_is_the_newest_of_its_instance() -> None:
    instances = Instances()
    instances.look([task(0, "a", "FAILED", 5), task(0, "b", "PENDING", 4), task(1, "c", "LOST", 9)], {"b": "no CPU"})
    assert statuses(instances) == {0: ("b", "PENDING"), 1: ("c", "LOST")}
    assert instances.known[0].reason == "no CPU"
    assert instances.waits


def test_of_ended_tasks_the_last_one_counts() -> None:
    instances = Instances()
    instances.look([task(0, "a", "FAILED", 5), task(0, "b", "KILLED", 7), task(0, "c", "LOST", 6)], {})
    assert statuses(instances) == {0: ("b", "KILLED")}


def test_events_go_on() -> None:
    instances = Instances()
    instances.look([task(0, "a", "PENDING", 1)], {})
    assert instances.event(event(0, "a", "ASSIGNED", 2))
    assert instances.event(event(0, "a", "RUNNING", 2)), "in the same millisecond"
    assert not instances.event(event(0, "a", "RUNNING", 2)), "the same again"
    assert not instances.event(event(0, "a", "ASSIGNED", 1)), "one that was under way while we looked"
    assert instances.event(event(0, "a", "FAILED", 3))
    assert instances.event(event(0, "b", "PENDING", 3)), "its successor"
    assert not instances.event(event(0, "a", "LOST", 4)), "an end of one that is not the newest"
    assert statuses(instances) == {0: ("b", "PENDING")}


def test_what_others_wrote_is_one_harmless_line() -> None:
    instances = Instances()
    instances.look([task(0, "a", "PENDING\x1b")], {"a": "no\nCPU\x07"})
    seen = instances.known[0]
    assert (seen.status, seen.reason) == ("PENDING?", "no CPU?")
    news = seen_of(TaskNews(task_id="a", instance=0, status="X\x1b", host="h\x1b", message="m\nn"))
    assert (news.status, news.host, news.message) == ("X?", "h?", "m n")


def test_who_replaces_whom() -> None:
    instances = Instances()
    document = {"assignedTask": {"taskId": "b", "instanceId": 0}, "status": "PENDING", "ancestorId": "a"}
    instances.look([parse_task(document)], {})
    assert instances.known[0].ancestor == "a"
    instances.event(event(0, "b", "RUNNING", 2))
    assert instances.known[0].ancestor == "a"
    instances.event(event(0, "b", "FAILED", 3))
    instances.event(event(0, "c", "PENDING", 3))
    assert instances.known[0].ancestor == "b"


def test_what_is_deleted() -> None:
    instances = Instances()
    instances.look([task(0, "a", "PENDING"), task(1, "b", "FINISHED"), task(2, "c", "RUNNING")], {})
    assert instances.deleted(["a", "b"])
    assert not instances.deleted(["x"])
    assert statuses(instances)[0] == ("a", "DELETED")
    assert statuses(instances)[1] == ("b", "FINISHED"), "history that is pruned stays as it ended"
    instances.look([], {})
    assert [seen.status for seen in instances.known.values()] == ["DELETED", "FINISHED", "DELETED"]


def test_who_came_before_a_deleted_task_does_not_take_its_place() -> None:
    instances = Instances()
    before = task(0, "a", "FAILED", 5)
    instances.look([before, task(0, "b", "THROTTLED", 5)], {})
    for _ in range(2):
        instances.look([before], {})
        assert statuses(instances) == {0: ("b", "DELETED")}
    assert [seen.status for seen in instances.take_changes()] == ["THROTTLED", "DELETED"]
    instances.look([before, task(0, "c", "PENDING", 5)], {})
    assert statuses(instances) == {0: ("c", "PENDING")}, "in the same millisecond"
    instances.look([task(0, "d", "FAILED", 9)], {})
    assert statuses(instances) == {0: ("d", "FAILED")}, "one that began and ended while nobody looked"


def test_only_some_matter() -> None:
    instances = Instances([1])
    instances.look([task(0, "a", "RUNNING"), task(1, "b", "RUNNING")], {})
    assert not instances.event(event(0, "a", "FAILED", 9))
    assert list(instances.known) == [1]
    instances.narrow([])
    assert (instances.known, instances.take_changes()) == ({}, [])


def test_each_change_is_told_once() -> None:
    instances = Instances()
    instances.look([task(1, "b", "PENDING"), task(0, "a", "PENDING")], {})
    assert [seen.instance for seen in instances.take_changes()] == [0, 1]
    instances.look([task(0, "a", "PENDING"), task(1, "b", "PENDING")], {"a": "a reason is no change"})
    instances.event(event(0, "a", "ASSIGNED", 2))
    instances.event(event(0, "a", "RUNNING", 3))
    assert [seen.status for seen in instances.take_changes()] == ["ASSIGNED", "RUNNING"]
    assert instances.take_changes() == []


LIFE = ("PENDING", "ASSIGNED", "STARTING", "RUNNING", "FAILED")


@PATIENT
@given(st.data())
def test_looks_and_late_events_never_lead_back(data: st.DataObject) -> None:
    """Tasks of one instance, one after the other; whatever is looked at and heard when, the picture only goes on, and
    with the last look it is the truth."""
    history = [(f"t{n}", status, n * 10 + i) for n in range(3) for i, status in enumerate(LIFE)]
    instances, seen_at = Instances(), -1
    looked = data.draw(st.lists(st.integers(0, len(history) - 1), min_size=1))
    for upto in sorted(looked):
        instances.look([task(0, *history[i]) for i in _last_of_each(history[: upto + 1])], {})
        for late in data.draw(st.lists(st.integers(0, upto))):
            task_id, status, at = history[late]
            instances.event(event(0, task_id, status, at))
            assert instances.known[0].since_ms >= seen_at
        seen_at = instances.known[0].since_ms
    assert (instances.known[0].task_id, instances.known[0].status) == history[max(looked)][:2]


def _last_of_each(history: list[tuple[str, str, int]]) -> list[int]:
    return list({task_id: index for index, (task_id, _status, _at) in enumerate(history)}.values())
