"""What Mesos is told of a task: names, labels, data, executor, containers, files; and that the executor can read it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import structs

from executor.payload import read_assigned
from mesos.core.messages import CommandInfo, CommandURI, OperationType, TaskInfo
from mesos.core.wire import decode, encode
from scheduler.core.allocate import allocate
from scheduler.core.executors import THERMOS, ExecutorSettings, LaunchSettings
from scheduler.core.launch import launch, task_info
from scheduler.core.model import (
    AppcImage,
    AssignedTask,
    Container,
    DockerContainer,
    DockerImage,
    DockerParameter,
    FetcherUri,
    Image,
    MesosContainer,
    Metadata,
    TaskConfig,
    Volume,
)
from scheduler.core.pools import pools_of
from tests.scheduler.core.making import chances, config, offer

MOUNT = Volume(container_path="/in", host_path="/out", mode="RW")
GLOBAL = Volume(container_path="/g", host_path="/G")
WIRE_MOUNT = {"container_path": "/in", "host_path": "/out", "mode": "RW"}
WIRE_GLOBAL = {"container_path": "/g", "host_path": "/G", "mode": "RO"}


def settings(*mounts: Volume, discovery: bool = False) -> LaunchSettings:
    command = CommandInfo(value="./x", user="root", uris=(CommandURI(value="/opt/x", executable=True),))
    return LaunchSettings(
        "rz1",
        {THERMOS: ExecutorSettings(THERMOS, command, mounts=mounts)},
        populate_discovery_info=discovery,
        global_mounts=(GLOBAL,),
    )


def told(wanted: TaskConfig, by: LaunchSettings | None = None) -> TaskInfo:
    by = by or settings()
    needs = by.wanted_of(wanted)
    assert needs is not None
    got = allocate(pools_of(offer()), needs, chances())
    assigned = AssignedTask(
        task_id="t-1", task=wanted, instance_id=3, slave_id="a", slave_host="h", assigned_ports=got.ports
    )
    return task_info(assigned, got, by)


def test_a_task_with_the_thermos_executor() -> None:
    wanted = structs.replace(config(ports=("http",)), metadata=(Metadata(key="k", value="v"),))
    info = told(wanted)
    assert (info.name, info.task_id.value, info.agent_id.value) == ("www/prod/web", "t-1", "a")
    assert [r.name for r in info.resources] == ["cpus", "mem", "disk", "ports"]
    assert info.labels is not None
    assert {each.key: each.value for each in info.labels.labels} == {
        "org.apache.aurora.tier": "preemptible",
        "org.apache.aurora.metadata.k": "v",
        "source": "www.prod.web.3",
    }
    assert info.command is None and info.container is None and info.discovery is None
    executor = info.executor
    assert executor is not None and executor.command is not None
    assert (executor.executor_id.value, executor.name, executor.source) == ("thermos-t-1", THERMOS, "www.prod.web.3")
    assert [(r.name, r.scalar.value if r.scalar else 0) for r in executor.resources] == [("cpus", 0.25), ("mem", 128)]
    assert (executor.command.value, executor.command.user, executor.container) == ("./x", "root", None)


def test_data_is_the_assigned_task_as_the_executor_reads_it() -> None:
    info = told(config(ports=("http",)))
    data = msgspec.json.decode(info.data)
    assert data["assignedPorts"] == {"http": 31000} and data["slaveHost"] == "h" and data["instanceId"] == 3
    assert data["task"]["executorConfig"] == {"name": THERMOS, "data": "{}"}
    assert msgspec.json.decode(info.data, type=AssignedTask).task == config(ports=("http",))
    read = read_assigned(info.data)
    assert read.taskId == "t-1" and read.assignedPorts == {"http": 31000}


def test_it_survives_the_wire() -> None:
    info = told(config(ports=("http",)), settings(MOUNT, discovery=True))
    operation = launch([info])
    assert operation.type == OperationType.LAUNCH
    assert decode(encode(operation), type(operation)) == operation


def test_discovery_is_told_if_the_operator_wants_it() -> None:
    info = told(config(ports=("http", "admin")), settings(discovery=True))
    assert info.discovery is not None and info.discovery.ports is not None
    assert (info.discovery.name, info.discovery.location, info.discovery.environment, info.discovery.visibility) == (
        "web.prod.www", "rz1", "prod", "CLUSTER",
    )  # fmt: skip
    assert [(p.name, p.protocol) for p in info.discovery.ports.ports] == [("admin", "TCP"), ("http", "TCP")]


def test_files_are_fetched_and_never_made_executable() -> None:
    uris = (FetcherUri(value="http://f/a.tgz"), FetcherUri(value="b", extract=False, cache=True, output_file="c"))
    info = told(structs.replace(config(), mesos_fetcher_uris=uris))
    assert info.executor is not None and info.executor.command is not None
    assert info.executor.command.uris == (
        CommandURI(value="/opt/x", executable=True),
        CommandURI(value="http://f/a.tgz"),
        CommandURI(value="b", extract=False, cache=True, output_file="c"),
    )


@pytest.mark.parametrize(
    ("container", "mounts", "expected"),
    [
        (Container(), (), None),
        (Container(), (MOUNT,), {"type": "MESOS", "volumes": [WIRE_MOUNT]}),
        (
            Container(mesos=MesosContainer(image=Image(docker=DockerImage(name="i", tag="t")), volumes=(MOUNT,))),
            (),
            {"type": "MESOS", "volumes": [
                {"container_path": "taskfs", "mode": "RO", "image": {"type": "DOCKER", "docker": {"name": "i:t"}}},
                WIRE_MOUNT,
            ]},
        ),
        (
            Container(mesos=MesosContainer(image=Image(appc=AppcImage(name="i", image_id="sha512-1")))),
            (),
            {"type": "MESOS", "volumes": [
                {"container_path": "taskfs", "mode": "RO",
                 "image": {"type": "APPC", "appc": {"name": "i", "id": "sha512-1"}}},
            ]},
        ),
        (
            Container(docker=DockerContainer(image="i", parameters=(DockerParameter(name="net", value="host"),))),
            (MOUNT,),
            {"type": "DOCKER", "docker": {"image": "i", "parameters": [{"key": "net", "value": "host"}]},
             "volumes": [WIRE_MOUNT, WIRE_GLOBAL]},
        ),
    ],
)  # fmt: skip
def test_containers(container: Container, mounts: tuple[Volume, ...], expected: object) -> None:
    info = told(structs.replace(config(), container=container), settings(*mounts))
    assert info.executor is not None and info.executor.container == expected


def test_a_docker_container_can_do_without_an_executor() -> None:
    wanted = structs.replace(config(executor=None), container=Container(docker=DockerContainer(image="i")))
    info = told(wanted)
    assert info.executor is None and info.command == CommandInfo(shell=False)
    assert info.container == {"type": "DOCKER", "docker": {"image": "i"}, "volumes": [WIRE_GLOBAL]}
    assert [r.scalar.value for r in info.resources if r.scalar] == [1.0, 128, 64]


def test_an_executor_of_ones_own() -> None:
    own = ExecutorSettings("mine", CommandInfo(value="run"), prefix="my-")
    info = told(config(executor="mine"), LaunchSettings("rz1", {"mine": own}))
    assert info.executor is not None and info.executor.executor_id.value == "my-t-1"


def test_a_port_that_is_named_twice_is_one() -> None:
    needs = settings().wanted_of(config(ports=("a", "a", "b")))
    assert needs is not None and needs.port_names == ("a", "b") and needs.task.ports == 2
