"""Configurations as clients write them, read and written again; ids; what makes two the same."""

from __future__ import annotations

import msgspec
import pytest

from config.builders import SequentialTask
from config.core.rules import check_job
from config.core.taskconfig import job_configuration
from config.schema import CountSlaPolicy, Job, Metadata, PartitionPolicy, Process, Resources
from scheduler.core.model import DEDICATED, JobConfiguration, JobKey, TaskConfig, parse_task_config, task_id_of
from scheduler.core.resources import amount_of

KEY = JobKey(role="www", environment="prod", name="web")


def written(**more: object) -> dict[str, object]:
    """As the client sends a job."""
    task = SequentialTask(
        name="web",
        processes=[Process(name="main", cmdline="serve {{thermos.ports[http]}} {{thermos.ports[admin]}}")],
        resources=Resources(cpu=0.5, ram=128 * 2**20, disk=2**30),
    )
    job = Job(cluster="rz1", role="www", environment="prod", name="web", task=task, instances=3)(**more)
    checked = check_job(job)
    assert checked.ok, checked.problems
    return job_configuration(checked.data, user="me")


def test_what_the_client_writes_is_read_and_written_again() -> None:
    sent = written(
        constraints={"rack": "limit:1", DEDICATED: "www/pool", "os": "!a,b"},
        metadata=[Metadata(key="k", value="v")],
        partition_policy=PartitionPolicy(reschedule=False, delay_secs=7),
        sla_policy=CountSlaPolicy(count=2, duration_secs=60),
        service=True,
    )
    job = msgspec.convert(sent, JobConfiguration)
    assert job.key == KEY and job.instance_count == 3
    config = job.task_config
    assert config.is_service and config.dedicated is not None
    assert config.partition_policy is not None and config.partition_policy.delay_secs == 7
    amount = amount_of(config.resources)
    assert (amount.milli_cpus, amount.ram_mb, amount.disk_mb, amount.ports) == (500, 128, 1024, 2)
    assert msgspec.json.decode(msgspec.json.encode(job), type=JobConfiguration) == job


def test_equal_jobs_are_equal_configurations() -> None:
    first, second = (msgspec.convert(written(instances=n), JobConfiguration).task_config for n in (1, 9))
    assert first == second
    assert first != msgspec.convert(written(priority=7), JobConfiguration).task_config


def test_a_wrong_field_is_told_with_its_place() -> None:
    config = written()["taskConfig"]
    assert isinstance(config, dict)
    with pytest.raises(msgspec.ValidationError, match=r"\$\.priority"):
        parse_task_config({**config, "priority": "high"})
    with pytest.raises(msgspec.ValidationError, match="missing required field `job`"):
        parse_task_config({})


def test_an_id_is_a_name_of_a_directory() -> None:
    assert task_id_of(KEY, 3, "u-1") == "www-prod-web-3-u-1"
    assert task_id_of(JobKey(role="a.b", environment="c", name="d.e"), 0, "u") == "a-b-c-d-e-0-u"


def test_defaults_are_those_of_the_original() -> None:
    config = TaskConfig(job=KEY)
    assert (config.priority, config.max_task_failures, config.is_service) == (0, 1, False)
    assert str(KEY) == "www/prod/web"
