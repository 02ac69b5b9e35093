"""Every rule of spec/scheduler.md §1.10, alone and all at once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from scheduler.core.model import (
    DEDICATED,
    Constraint,
    Container,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    DockerContainer,
    DockerParameter,
    ExecutorConfig,
    FetcherUri,
    Identity,
    JobConfiguration,
    JobKey,
    LimitConstraint,
    MesosContainer,
    PercentageSlaPolicy,
    Resource,
    SlaPolicy,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
    Volume,
)
from scheduler.core.validation import Rules, check_job, check_update

KEY = JobKey(role="www", environment="prod", name="web")
ENOUGH = (Resource(num_cpus=1.0), Resource(ram_mb=128), Resource(disk_mb=128), Resource(named_port="http"))
GOOD = TaskConfig(job=KEY, resources=ENOUGH, executor_config=ExecutorConfig(name="AuroraExecutor", data="{}"))
RULES = Rules()


def job(config: TaskConfig = GOOD, **more: Any) -> JobConfiguration:
    return JobConfiguration(**{"key": config.job, "task_config": config, "instance_count": 30} | more)


def with_(**changes: Any) -> TaskConfig:
    return structs.replace(GOOD, **changes)


def keyed(**changes: str) -> TaskConfig:
    return with_(job=structs.replace(KEY, **changes))


def dedicated(*values: str, negated: bool = False) -> TaskConfig:
    value = ValueConstraint(values=values, negated=negated)
    return with_(constraints=(Constraint(name=DEDICATED, constraint=TaskConstraint(value=value)),))


def sla(instances: int = 30, tier: str | None = "preferred", **policy: Any) -> JobConfiguration:
    return job(with_(tier=tier, sla_policy=SlaPolicy(**policy)), instance_count=instances)


def fields(found: JobConfiguration, rules: Rules = RULES) -> list[str]:
    return [problem.field for problem in check_job(found, rules)]


LIMIT_0 = Constraint(name="rack", constraint=TaskConstraint(limit=LimitConstraint(limit=0)))
NEITHER = Constraint(name="rack", constraint=TaskConstraint())
ONE = Constraint(name="rack", constraint=TaskConstraint(limit=LimitConstraint(limit=1)))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (job(), []),
        (job(keyed(role="")), ["job.role"]),
        (job(keyed(name="a/b")), ["job.name"]),
        (job(keyed(role=".", name="..")), ["job.role", "job.name"]),
        (job(keyed(name="...")), []),
        (job(keyed(environment="staging12")), []),
        (job(keyed(environment="stage")), ["job.environment"]),
        (job(owner=Identity(user="a b")), ["owner.user"]),
        (job(instance_count=0), ["instanceCount"]),
        (job(instance_count=4000), []),
        (job(instance_count=4001), ["instanceCount"]),
        (job(key=structs.replace(KEY, name="other")), ["taskConfig.job"]),
        (job(cron_schedule="* * * * *"), []),
        (job(cron_schedule="* * *"), ["cronSchedule"]),
        (job(cron_schedule="61 * * * *"), ["cronSchedule"]),
        (job(cron_schedule="0 0 1 * MON"), ["cronSchedule"]),
        (job(with_(is_service=True), cron_schedule="* * * * *"), ["cronSchedule"]),
        (job(cron_schedule="* * * * *", cron_collision_policy="RUN_OVERLAP"), ["cronCollisionPolicy"]),
        (job(cron_schedule="* * * * *", cron_collision_policy="X"), ["cronCollisionPolicy"]),
        (job(with_(tier="gold")), ["tier"]),
        (job(with_(executor_config=None)), ["executorConfig"]),
        (job(with_(executor_config=ExecutorConfig(name="x"))), ["executorConfig.name"]),
        (job(dedicated("www/pool")), []),
        (job(dedicated("*/pool")), []),
        (job(dedicated("db/pool")), ["constraints.dedicated"]),
        (job(dedicated("www/a", "www/b")), ["constraints.dedicated"]),
        (job(dedicated("www/a", negated=True)), ["constraints.dedicated"]),
        (job(with_(constraints=(LIMIT_0,))), ["constraints.rack"]),
        (job(with_(constraints=(NEITHER,))), ["constraints.rack"]),
        (job(with_(constraints=(ONE, ONE))), ["constraints"]),
        (job(with_(container=Container(docker=DockerContainer(image="i")))), ["container"]),
        (job(with_(container=Container(mesos=MesosContainer(volumes=(Volume(container_path="/", host_path="/"),))))),
         ["container.mesos.volumes"]),
        (job(with_(resources=ENOUGH[:2])), ["resources"]),
        (job(with_(resources=(*ENOUGH, Resource(num_cpus=1.0)))), ["resources"]),
        (job(with_(resources=(*ENOUGH, Resource(named_port="http")))), ["resources"]),
        (job(with_(resources=(*ENOUGH, Resource(named_port="admin")))), []),
        (job(with_(resources=(*ENOUGH, Resource(num_gpus=1)))), ["resources"]),
        (job(with_(resources=(Resource(num_cpus=-1.0), *ENOUGH[1:]))), ["resources"]),
        (job(with_(mesos_fetcher_uris=(FetcherUri(value="x"),))), ["mesosFetcherUris"]),
        (sla(percentage_sla_policy=PercentageSlaPolicy(percentage=95, duration_secs=60)), []),
        (sla(percentage_sla_policy=PercentageSlaPolicy(percentage=96.6, duration_secs=60)), []),
        (sla(percentage_sla_policy=PercentageSlaPolicy(percentage=96.7, duration_secs=60)), ["slaPolicy.percentage"]),
        (sla(count_sla_policy=CountSlaPolicy(count=29, duration_secs=60)), []),
        (sla(count_sla_policy=CountSlaPolicy(count=30, duration_secs=60)), ["slaPolicy.count"]),
        (sla(count_sla_policy=CountSlaPolicy(count=1, duration_secs=7201)), ["slaPolicy.durationSecs"]),
        (sla(19, count_sla_policy=CountSlaPolicy(count=1, duration_secs=60)), ["slaPolicy"]),
        (sla(19, coordinator_sla_policy=CoordinatorSlaPolicy(coordinator_url="u")), []),
        (sla(tier=None, count_sla_policy=CountSlaPolicy(count=1, duration_secs=60)), ["slaPolicy"]),
        (sla(), ["slaPolicy"]),
    ],
)  # fmt: skip
def test_rules(found: JobConfiguration, expected: list[str]) -> None:
    assert fields(found) == expected


def test_what_a_cluster_allows() -> None:
    generous = Rules(
        container_types=("mesos", "docker"), container_volumes=True, docker_parameters=True,
        docker_without_executor=True, fetcher=True, gpus=True, environments=".*", sla_for_all_tiers=True,
    )  # fmt: skip
    parameters = (DockerParameter(name="a", value="b"),)
    docker = with_(container=Container(docker=DockerContainer(image="i", parameters=parameters)), executor_config=None)
    for config in (
        docker,
        with_(mesos_fetcher_uris=(FetcherUri(value="x"),)),
        with_(resources=(*ENOUGH, Resource(num_gpus=1))),
        keyed(environment="anything"),
    ):
        assert fields(job(config), generous) == []
    assert fields(sla(tier=None, count_sla_policy=CountSlaPolicy(count=1, duration_secs=60)), generous) == []
    assert fields(job(with_(container=Container(docker=DockerContainer()))), generous) == ["container.docker.image"]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    awful = job(keyed(role="", environment="x"), instance_count=0, owner=Identity(user="a b"), cron_schedule="x")
    assert fields(awful) == ["job.role", "job.environment", "owner.user", "instanceCount", "cronSchedule"]
    for problem in check_job(awful, RULES):
        assert "\n" not in str(problem) and str(problem).startswith(problem.field)


def test_an_update_is_checked_as_a_job_is() -> None:
    assert check_update(GOOD, 30, RULES) == []
    assert [p.field for p in check_update(keyed(environment="x"), 0, RULES)] == ["job.environment", "instanceCount"]
