"""How large parts of a job may be: at the bound nothing is said, one beyond it one clear problem."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from scheduler.core.bounds import KEY_BYTES, Bounds, check_bounds, check_message
from scheduler.core.model import (
    AppcImage,
    Constraint,
    Container,
    DockerContainer,
    DockerParameter,
    ExecutorConfig,
    FetcherUri,
    Identity,
    Image,
    LimitConstraint,
    MesosContainer,
    Metadata,
    PartitionPolicy,
    Resource,
    TaskConfig,
    TaskConstraint,
    Volume,
    task_id_of,
)
from scheduler.core.problem import Problem, quoted
from scheduler.core.validation import MOST_PROBLEMS, Rules, check_job
from tests.scheduler.core.making import limit, value
from tests.scheduler.core.test_validation import ENOUGH, KEY, fields, job, keyed, with_

SMALL = Bounds(executor_data=10, entries=2, values=2, name=5, text=8, message=4, cpus=8.0, megabytes=128, gpus=1)


def volume(path: str = "/x") -> Volume:
    return Volume(container_path=path, host_path="/y")


def mesos(*volumes: Volume, image: Image | None = None) -> Container:
    return Container(mesos=MesosContainer(image=image, volumes=volumes))


def docker(image: str = "i", *parameters: tuple[str, str]) -> Container:
    found = tuple(DockerParameter(name=name, value=text) for name, text in parameters)
    return Container(docker=DockerContainer(image=image, parameters=found))


def executor(size: int) -> TaskConfig:
    return with_(executor_config=ExecutorConfig(name="AuroraExecutor", data="x" * size))


@pytest.mark.parametrize(
    ("make", "most", "field"),
    [
        (executor, 10, "executorConfig.data"),
        (lambda n: with_(metadata=tuple(Metadata(key=str(i)) for i in range(n))), 2, "metadata"),
        (lambda n: with_(metadata=(Metadata(key="k" * n),)), 5, "metadata.key"),
        (lambda n: with_(metadata=(Metadata(key="k", value="v" * n),)), 8, "metadata.value"),
        (lambda n: with_(task_links={str(i): "" for i in range(n)}), 2, "taskLinks"),
        (lambda n: with_(task_links={"a": "x" * n}), 8, "taskLinks"),
        (lambda n: with_(mesos_fetcher_uris=tuple(FetcherUri(value=str(i)) for i in range(n))), 2, "mesosFetcherUris"),
        (lambda n: with_(mesos_fetcher_uris=(FetcherUri(value="x" * n),)), 8, "mesosFetcherUris.value"),
        (lambda n: with_(constraints=tuple(limit(str(i), 1) for i in range(n))), 2, "constraints"),
        (lambda n: with_(constraints=(limit("n" * n, 1),)), 5, "constraints.name"),
        (lambda n: with_(constraints=(value("os", *map(str, range(n))),)), 2, "constraints.os"),
        (lambda n: with_(constraints=(value("os", "v" * n),)), 5, "constraints.os"),
        (lambda n: with_(contact_email="x" * n), 8, "contactEmail"),
        (lambda n: with_(container=docker("i" * n)), 8, "container.docker.image"),
        (lambda n: with_(container=docker("i", *[("a", "b")] * n)), 2, "container.docker.parameters"),
        (lambda n: with_(container=docker("i", ("a", "b" * n))), 8, "container.docker.parameters"),
        (lambda n: with_(container=mesos(*[volume()] * n)), 2, "container.mesos.volumes"),
        (lambda n: with_(container=mesos(volume("/" * n))), 8, "container.mesos.volumes.containerPath"),
        (lambda n: with_(container=mesos(image=Image(appc=AppcImage(name="n" * n, image_id="i")))), 8,
         "container.mesos.image"),
        (lambda n: with_(resources=(*ENOUGH[:3], *(Resource(named_port=str(i)) for i in range(n)))), 2, "resources"),
        (lambda n: with_(resources=(Resource(named_port="p" * n),)), 5, "resources.namedPort"),
        (lambda n: with_(resources=(Resource(num_cpus=float(n)),)), 8, "resources.numCpus"),
        (lambda n: with_(resources=(Resource(ram_mb=n),)), 128, "resources.ramMb"),
        (lambda n: with_(resources=(Resource(disk_mb=n),)), 128, "resources.diskMb"),
        (lambda n: with_(resources=(Resource(num_gpus=n),)), 1, "resources.numGpus"),
        (lambda n: with_(priority=n), 2**31 - 1, "priority"),
        (lambda n: with_(max_task_failures=n), 2**31 - 1, "maxTaskFailures"),
        (lambda n: with_(max_task_failures=-n), 1, "maxTaskFailures"),
        (lambda n: with_(partition_policy=PartitionPolicy(delay_secs=n)), 2**31 - 1, "partitionPolicy.delaySecs"),
        (lambda n: with_(constraints=(limit("os", n),)), 2**31 - 1, "constraints.os"),
    ],
)  # fmt: skip
def test_bounds(make: Callable[[int], TaskConfig], most: int, field: str) -> None:
    assert list(check_bounds(make(most), SMALL)) == []
    assert [problem.field for problem in check_bounds(make(most + 1), SMALL)] == [field]


@pytest.mark.parametrize(
    "config",
    [
        with_(metadata=(Metadata(key=""),)),
        with_(constraints=(value("", "a"),)),
        with_(mesos_fetcher_uris=(FetcherUri(value=""),)),
        with_(resources=(*ENOUGH[:3], Resource(named_port=""))),
        with_(container=mesos(volume(""))),
    ],
)
def test_names_are_not_empty(config: TaskConfig) -> None:
    assert [problem.text for problem in check_bounds(config)] == ["it must not be empty"]


def test_the_longest_key_makes_a_directorys_name() -> None:
    longest = structs.replace(KEY, name="n" * (KEY_BYTES - len("wwwprod")))
    assert fields(job(with_(job=longest))) == []
    longer = structs.replace(longest, name=longest.name + "n")
    assert fields(job(with_(job=longer))) == ["job"]
    uuid = "01234567-0123-0123-0123-0123456789ab"
    assert len("thermos-" + task_id_of(longest, 2**31 - 1, uuid)) <= 255


def test_numbers_that_are_none() -> None:
    for cpus in (float("inf"), float("nan"), 1e300, -1e300):
        resources = (Resource(num_cpus=cpus), *ENOUGH[1:])
        found = fields(job(with_(resources=resources)))
        assert "resources.numCpus" in found, cpus


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (with_(resources=(*ENOUGH, Resource())), "resources"),
        (with_(resources=(*ENOUGH[1:], Resource(num_cpus=1.0, num_gpus=0))), "resources"),
        (with_(container=Container(mesos=MesosContainer(), docker=DockerContainer(image="i"))), "container"),
        (with_(container=mesos(image=Image())), "container.mesos.image"),
        (with_(container=mesos(Volume(container_path="/", host_path="/", mode="X"))), "container.mesos.volumes.mode"),
        (with_(constraints=(value("os"),)), "constraints.os"),
        (with_(owner=Identity(user="ü")), "taskConfig.owner.user"),
        (keyed(role="wüw"), "job.role"),
    ],
)
def test_what_is_neither_this_nor_that(config: TaskConfig, field: str) -> None:
    rules = Rules(container_types=("mesos", "docker"), container_volumes=True, gpus=True)
    assert [problem.field for problem in check_job(job(config), rules)] == [field]


def test_long_values_are_not_told_in_full() -> None:
    megabyte = "x" * 1_000_000
    awful = keyed(role=megabyte, environment=megabyte, name=megabyte + "/")
    awful = structs.replace(
        awful, tier=megabyte, owner=Identity(user=megabyte), executor_config=ExecutorConfig(name=megabyte),
        constraints=tuple(Constraint(name=megabyte, constraint=union) for union in (
            TaskConstraint(), TaskConstraint(limit=LimitConstraint(limit=0)),
        )),
        resources=(Resource(named_port=megabyte), Resource(named_port=megabyte)),
    )  # fmt: skip
    found = check_job(job(awful, owner=Identity(user=megabyte), cron_schedule="x"), Rules())
    assert len(found) > 8
    assert all(len(str(problem)) < 300 for problem in found)
    assert quoted("a'b") == '"a\'b"' and len(quoted(megabyte)) < 70


def test_messages() -> None:
    assert list(check_message("", SMALL)) == list(check_message("1234", SMALL)) == []
    assert list(check_message("12345", SMALL)) == [Problem("message", "'12345' has 5 letters; 4 is the most")]


def test_of_thousands_of_problems_some_are_told() -> None:
    awful = with_(
        resources=tuple(Resource(num_cpus=1e9) for _ in range(20_000)),
        constraints=tuple(limit(str(n), 0) for n in range(20_000)),
        metadata=tuple(Metadata(key="") for _ in range(20_000)),
    )
    assert len(check_job(job(awful), Rules())) == MOST_PROBLEMS
