"""A local cluster as plain data: hosts, attributes, ports, and what its parts are started with."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
import pytest

from client.aurora.local_plan import (
    PARTS,
    LocalPlan,
    attributes_of,
    check_cluster,
    cluster_entry,
    hosts_of,
    is_local,
    make_task,
    mesos_words,
    observer_words,
    plan_json,
    ports_of,
    scheduler_words,
    task_port_ranges,
)
from client.clusters import parse_clusters
from mesos.local.__main__ import make_cluster, parse_arguments
from scheduler.main import make_command
from tests.client.local.plans import plan
from thermos.core.graph import check_graph
from thermos.errors import UserError
from thermos.paths import check_task_id

FOUR = hosts_of(4)


def test_hosts_are_addresses_of_this_machine() -> None:
    assert FOUR == ("127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14")
    for wrong in (0, -1, 49):
        with pytest.raises(UserError, match=f"cannot run {wrong} agents: expected 1 to 48"):
            hosts_of(wrong)


@pytest.mark.parametrize(
    ("agents", "given", "expected"),
    [
        (2, (), ["host:127.0.0.11;rack:a", "host:127.0.0.12;rack:b"]),
        (3, (), ["host:127.0.0.11;rack:a", "host:127.0.0.12;rack:a", "host:127.0.0.13;rack:b"]),
        (1, (), ["host:127.0.0.11;rack:a"]),
        (2, ("rack:r{i};zone:east",), ["host:127.0.0.11;rack:r0;zone:east", "host:127.0.0.12;rack:r1;zone:east"]),
        (2, ("rack:x", "disk:ssd"), ["host:127.0.0.11;rack:x", "host:127.0.0.12;disk:ssd"]),
        (1, ("host:mine;rack:x",), ["host:mine;rack:x"]),
    ],
)
def test_attributes(agents: int, given: tuple[str, ...], expected: list[str]) -> None:
    assert list(attributes_of(hosts_of(agents), given)) == expected


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (("rack",), "bad attributes 'rack': write NAME:VALUE;NAME:VALUE, e.g. rack:a;zone:east"),
        (("",), "bad attributes ''"),
        (("a b:c",), "bad attributes 'a b:c'"),
        ((":x",), "bad attributes ':x'"),
        (("rack:a", "rack:b"), "--attributes was given 2 times, and there are 4 agents"),
    ],
)
def test_attributes_that_are_none(given: tuple[str, ...], text: str) -> None:
    with pytest.raises(UserError) as error:
        attributes_of(FOUR, given)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("name", ["", "a/b", "-x", ".x", "a b", "x" * 101, "a\n"])
def test_bad_names_of_clusters(name: str) -> None:
    with pytest.raises(UserError, match="bad name of a cluster"):
        check_cluster(name)


def test_agents_share_the_ports_for_tasks_out() -> None:
    assert task_port_ranges(plan()) == [(31000, 31249), (31250, 31499), (31500, 31749), (31750, 31999)]
    assert task_port_ranges(plan(task_ports=(20000, 20010))) == [
        (20000, 20001), (20002, 20003), (20004, 20005), (20006, 20007),
    ]  # fmt: skip
    for wrong in ((20000, 20002), (20010, 20000), (80, 2000), (65000, 70000)):
        with pytest.raises(UserError, match="bad range of ports"):
            task_port_ranges(plan(task_ports=wrong))


def test_who_listens_where() -> None:
    assert ports_of(plan(hosts=hosts_of(2), attributes=("a:b", "a:b"))) == {
        "the Mesos master": ("127.0.0.1", 5050),
        "Mesos agent 0": ("127.0.0.1", 5051),
        "Mesos agent 1": ("127.0.0.1", 5052),
        "the scheduler": ("127.0.0.1", 8081),
        "the observer at 127.0.0.1": ("127.0.0.1", 1338),
        "the observer at 127.0.0.11": ("127.0.0.11", 1338),
        "the observer at 127.0.0.12": ("127.0.0.12", 1338),
    }


def test_the_task_runs_its_parts_for_ever_and_quotes_what_is_strange() -> None:
    strange = plan("/a b/$HOME;{{x}}")
    task = make_task(strange, "/opt/my python", "/src")
    check_task_id(strange.task_id)
    assert check_graph(task) == []
    assert [process.name for process in task.processes] == list(PARTS)
    for process in task.processes:
        assert (process.daemon, process.max_failures) == (True, 0)
        words = shlex.split(process.cmdline)
        assert words[:6] == ["exec", "env", "PYTHONPATH=/src", "/opt/my python", "-P", "-m"]
    assert "/a b/$HOME;{{x}}/mesos" in shlex.split(task.processes[0].cmdline)
    assert shlex.split(make_task(strange, "py").processes[0].cmdline)[:4] == ["exec", "py", "-P", "-m"]


def test_the_embedded_mesos_understands_its_words() -> None:
    module, *words = mesos_words(plan("/tmp/w"))
    assert module == "mesos.local"
    given = parse_arguments(words)
    cluster = make_cluster(given, given.work_dir)
    assert str(given.control) == "/tmp/w/control"
    assert [str(cluster.agent_work_dir(number)) for number in range(4)] == list(plan("/tmp/w").agent_dirs)
    assert list(cluster.hostname) == list(FOUR)


def test_the_scheduler_understands_its_words() -> None:
    module, *words = scheduler_words(plan("/tmp/w"))
    assert module == "scheduler.main"
    given = make_command().make_context("aurora_scheduler", words).params
    assert (given["cluster_name"], given["store"]) == ("rz1", "/tmp/w/scheduler")
    assert given["mesos_master_address"] == "127.0.0.1:5050"
    assert given["thermos_executor_flags"] == "--nosetuid"
    assert (given["executor_user"], given["observer_port"]) == ("ann", 1338)
    assert given["partition_aware"] is True


def test_the_observer_is_at_every_host() -> None:
    words = observer_words(plan())
    ips = [words[at + 1] for at, word in enumerate(words) if word == "--ip"]
    assert ips == ["127.0.0.1", *FOUR]


def test_the_entry_is_one_that_clients_read() -> None:
    entry = cluster_entry(plan())
    text = msgspec.json.encode([entry]).decode()
    (known,) = parse_clusters(Path("clusters.json"), text).values()
    assert (known.name, known.scheduler_uri) == ("rz1", "http://127.0.0.1:8081")
    assert is_local(known.fields)
    assert not is_local({"name": "rz1", "local": True})


def test_a_plan_is_kept_as_json() -> None:
    text = msgspec.json.encode(plan())
    assert msgspec.json.decode(text, type=LocalPlan) == plan()
    shown = plan_json(plan())
    assert shown["urls"] == {
        "mesos": "http://127.0.0.1:5050",
        "scheduler": "http://127.0.0.1:8081",
        "observer": "http://127.0.0.1:1338",
    }
    assert shown["agents"][3] == {"number": 3, "host": "127.0.0.14", "attributes": "host:127.0.0.14;rack:b"}
