"""What is just acceptable, and that a problem does not hide or repeat others. The refusals are in `bad/`."""

from typing import Any

import pytest

from config.core.finding import Finding, mapping_at, number_at, objects_at, text_at
from config.core.refs import addresses, escape_literals, referenced_ports, walk_refs
from config.core.rules import check_job, check_task
from config.core.updates import to_ranges
from config.schema import (
    GB,
    MB,
    Announcer,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    HealthCheckConfig,
    Job,
    PercentageSlaPolicy,
    Process,
    Resources,
    Task,
    UpdateConfig,
)


def job(**fields: Any) -> Any:
    task = Task(processes=[Process(name="a", cmdline="true")], resources=Resources(cpu=0.01, ram=1 * MB, disk=1 * MB))
    named = {"role": "www", "cluster": "rz1", "environment": "prod", "name": "web", "task": task, **fields}
    return Job(**named)


def texts(obj: Any) -> list[str]:
    return [problem.text for problem in check_job(obj).problems]


@pytest.mark.parametrize(
    "fields",
    [
        {"environment": "staging"},
        {"environment": "staging12"},
        {"name": "A-b_c.d-0"},
        {"max_task_failures": -1},
        {
            "health_check_config": HealthCheckConfig(
                min_consecutive_successes=0, initial_interval_secs=0, interval_secs=0
            )
        },
        {"instances": 3, "update_config": UpdateConfig(max_total_failures=2)},
        {"update_config": UpdateConfig(watch_secs=0, pulse_interval_secs=60)},
        {
            "instances": 200,
            "constraints": {"dedicated": "www/x"},
            "update_config": UpdateConfig(max_total_failures=4),
        },
        {"instances": 49, "constraints": {"dedicated": "*"}},
        {"instances": 20, "sla_policy": PercentageSlaPolicy(percentage=95, duration_secs=7200)},
        {"instances": 20, "sla_policy": CountSlaPolicy(count=19, duration_secs=0)},
        {"sla_policy": CoordinatorSlaPolicy(coordinator_url="http://x"), "update_config": UpdateConfig(sla_aware=True)},
        {"announce": Announcer(primary_port="web", portmap={"web": "http", "alias": "web"})},
        {"constraints": {"dedicated": "www"}, "announce": Announcer(primary_port="web", portmap={"web": 80})},
        {"cron_schedule": "0 0 * * *", "cron_collision_policy": "kill_existing"},
        {"production": True, "tier": "preferred"},
        {"constraints": {}},
    ],
)
def test_just_acceptable(fields: dict[str, Any]) -> None:
    assert texts(job(**fields)) == []


@pytest.mark.parametrize("ref", ["mesos.instance", "mesos.hostname", "thermos.task_id", "thermos.ports[x-1/a.b]"])
def test_what_a_host_binds_may_stay_open_in_a_job(ref: str) -> None:
    open_task = Task(
        processes=[Process(name="a", cmdline=f"{{{{{ref}}}}}")], resources=Resources(cpu=1, ram=GB, disk=GB)
    )
    assert texts(job(task=open_task)) == []


@pytest.mark.parametrize("ref", ["thermos.task_id", "thermos.user", "thermos.ports[x]"])
def test_what_a_runner_binds_may_stay_open_in_a_task(ref: str) -> None:
    assert check_task(Task(processes=[Process(name="a", cmdline=f"{{{{{ref}}}}}")])).ok
    assert not check_task(Task(processes=[Process(name="a", cmdline="{{mesos.instance}}")])).ok


def test_a_field_with_an_error_gets_no_second_one() -> None:
    assert len(texts(job(instances="{{nobody}}"))) == 1
    assert len(texts(job(update_config=UpdateConfig(watch_secs="x")))) == 1


def test_warnings_do_not_count_as_errors() -> None:
    checked = check_job(job(production=True))
    assert checked.ok
    assert len(checked.problems) == 1


def test_a_broken_part_does_not_hide_the_others() -> None:
    found = texts(job(task=Task(processes=[Process(name="a")]), cron_schedule="x", constraints={"host": "limit:x"}))
    assert len(found) == 4, found


def test_plain_data_of_the_wrong_type_is_nobodys_fault_here() -> None:
    data = {"a": 5, "b": "{{x}}", "c": True, "d": float("nan"), "e": [1, {"f": 2}]}
    assert mapping_at(data, "a") == {}
    assert objects_at(data, "a") == []
    assert objects_at(data, "e") == [(1, {"f": 2})]
    assert [text_at(data, field) for field in "ab"] == [None, None]
    assert [number_at(data, field) for field in "abcd"] == [5, None, None, None]
    assert Finding("x").path == ()


def test_references_in_plain_data() -> None:
    data = {"x": ["{{a}} {{b.c[d]}}", "{{&no}} {{}} {y}"], "y": "{{thermos.ports[p]}}{{thermos.ports[p]}}"}
    assert list(walk_refs(data)) == [
        (("x", 0), "a"),
        (("x", 0), "b.c[d]"),
        (("y",), "thermos.ports[p]"),
        (("y",), "thermos.ports[p]"),
    ]
    assert addresses("{{{a}}} {{ b }}") == ["a", " b "]
    assert referenced_ports(data) == ["p"]


def test_literals_are_escaped_for_the_second_reading() -> None:
    assert escape_literals({"{{k}}": ["{{.ID}} {{mesos.instance}} {{thermos.ports[x]}} {{ a }}", 5, None]}) == {
        "{{&k}}": ["{{&.ID}} {{mesos.instance}} {{thermos.ports[x]}} {{& a }}", 5, None]
    }


@pytest.mark.parametrize(
    ("instances", "ranges"),
    [([], []), ([3], [(3, 3)]), ([2, 0, 1, 1, 5], [(0, 2), (5, 5)]), (range(1000), [(0, 999)])],
)
def test_instances_become_ranges(instances: Any, ranges: list[tuple[int, int]]) -> None:
    assert to_ranges(instances) == [{"first": first, "last": last} for first, last in ranges]
