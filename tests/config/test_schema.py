"""Every field and default of the schema, and the numbers that it refuses."""

import copy
import pickle
from typing import Any

import pytest

from config import schema
from config.dsl import Empty, Struct
from config.schema import GB, MB, Job, Process, Resources, Service, Task

NO = "no default"
MUST = "required"

#: Defaults as plain data; a nested object stands for itself.
FIELDS: dict[str, dict[str, Any]] = {
    "Process": {
        "name": MUST,
        "cmdline": MUST,
        "max_failures": 1,
        "daemon": False,
        "ephemeral": False,
        "min_duration": 5,
        "final": False,
        "logger": NO,
        "resources": NO,
    },
    "Logger": {"destination": "file", "mode": "standard", "rotate": NO},
    "RotatePolicy": {"log_size": 100 * MB, "backups": 5},
    "Resources": {"cpu": MUST, "ram": MUST, "disk": MUST, "gpu": 0},
    "Constraint": {"order": NO},
    "Task": {
        "name": "{{processes[0].name}}",
        "processes": NO,
        "constraints": (),
        "resources": NO,
        "max_failures": 1,
        "max_concurrency": 0,
        "finalization_wait": 30,
        "user": NO,
    },
    "Job": {
        "name": "{{task.name}}",
        "role": MUST,
        "contact": NO,
        "cluster": MUST,
        "environment": MUST,
        "instances": 1,
        "task": MUST,
        "announce": NO,
        "tier": NO,
        "cron_schedule": NO,
        "cron_collision_policy": "KILL_EXISTING",
        "update_config": schema.UpdateConfig(),
        "constraints": NO,
        "service": False,
        "max_task_failures": 1,
        "production": False,
        "priority": 0,
        "health_check_config": schema.HealthCheckConfig(),
        "lifecycle": schema.DefaultLifecycleConfig,
        "task_links": NO,
        "executor_config": schema.ExecutorConfig(),
        "enable_hooks": False,
        "partition_policy": NO,
        "sla_policy": NO,
        "metadata": (),
        "container": NO,
    },
    "UpdateConfig": {
        "batch_size": 1,
        "watch_secs": 45,
        "max_per_shard_failures": 0,
        "max_total_failures": 0,
        "rollback_on_failure": True,
        "wait_for_batch_completion": False,
        "pulse_interval_secs": NO,
        "sla_aware": False,
        "update_strategy": NO,
    },
    "QueueUpdateStrategy": {"batch_size": 1},
    "BatchUpdateStrategy": {"batch_size": 1, "autopause_after_batch": False},
    "VariableBatchUpdateStrategy": {"batch_sizes": MUST, "autopause_after_batch": False},
    "HealthCheckConfig": {
        "health_checker": schema.HealthCheckerConfig(http=schema.HttpHealthChecker()),
        "initial_interval_secs": 15.0,
        "interval_secs": 10.0,
        "max_consecutive_failures": 0,
        "min_consecutive_successes": 1,
        "timeout_secs": 1.0,
    },
    "HealthCheckerConfig": {"http": NO, "shell": NO, "tcp": NO},
    "HttpHealthChecker": {"endpoint": "/health", "expected_response": "ok", "expected_response_code": 0},
    "ShellHealthChecker": {"shell_command": MUST},
    "TcpHealthChecker": {"port": "health"},
    "LifecycleConfig": {"http": NO},
    "HttpLifecycleConfig": {
        "port": "health",
        "graceful_shutdown_endpoint": "/quitquitquit",
        "graceful_shutdown_wait_secs": 5,
        "shutdown_endpoint": "/abortabortabort",
        "shutdown_wait_secs": 5,
    },
    "Announcer": {"primary_port": "http", "portmap": {"aurora": "{{primary_port}}"}, "zk_path": NO},
    "Container": {"docker": NO},
    "Docker": {"image": MUST, "parameters": ()},
    "Parameter": {"name": MUST, "value": MUST},
    "Mesos": {"image": NO, "volumes": ()},
    "AppcImage": {"name": MUST, "image_id": MUST},
    "DockerImage": {"name": MUST, "tag": MUST},
    "Volume": {"container_path": MUST, "host_path": MUST, "mode": MUST},
    "PartitionPolicy": {"reschedule": True, "delay_secs": 0},
    "Metadata": {"key": MUST, "value": MUST},
    "ExecutorConfig": {"name": "AuroraExecutor", "data": ""},
    "PercentageSlaPolicy": {"percentage": MUST, "duration_secs": MUST},
    "CountSlaPolicy": {"count": MUST, "duration_secs": MUST},
    "CoordinatorSlaPolicy": {"coordinator_url": MUST, "status_key": "drain"},
    "MesosTaskInstance": {
        "task": MUST,
        "instance": MUST,
        "role": MUST,
        "announce": NO,
        "environment": MUST,
        "health_check_config": schema.HealthCheckConfig(),
        "lifecycle": NO,
    },
    "MesosContext": {"instance": MUST, "hostname": MUST},
    "ThermosContext": {"ports": NO, "task_id": NO, "user": NO},
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_and_defaults(name: str) -> None:
    found: dict[str, Any] = {}
    for field, signature in getattr(schema, name).TYPEMAP.items():
        if signature.required:
            found[field] = MUST
        elif signature.default is Empty:
            found[field] = NO
        else:
            found[field] = signature.default if isinstance(signature.default, Struct) else signature.default.get()
    assert found == FIELDS[name]


def test_the_table_is_complete() -> None:
    structs = {
        kind.__name__
        for kind in vars(schema).values()
        if isinstance(kind, type) and issubclass(kind, Struct) and kind is not Struct
    }
    assert structs == set(FIELDS)


def test_units_and_constants() -> None:
    assert (schema.BYTES, schema.KB, schema.MB, schema.GB, schema.TB) == (1, 2**10, 2**20, 2**30, 2**40)
    assert Service.service().get() is True
    assert schema.MesosJob is Job
    assert not schema.DisableLifecycle.has_http()


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in ("MesosContext", "ThermosContext")])
@pytest.mark.parametrize("wrong", [-5, 1.5, True, "many", float("nan"), float("inf")])
def test_whole_numbers_refuse_what_is_none(name: str, wrong: object) -> None:
    """A negative number may be left to a rule with the original's words; everything else is refused here."""
    kind = getattr(schema, name)
    for field, signature in kind.TYPEMAP.items():
        if getattr(signature.klazz, "PLAIN", None) is not schema.Integer:
            continue
        errors = [p for p in kind({field: wrong}).problems() if p.field == field]
        if wrong != -5 or signature.klazz.LIMITS[0] is not None:
            assert errors, f"{name}.{field} accepts {wrong!r}"


def test_sizes_take_whole_floats_and_numeric_text() -> None:
    resources = Resources(cpu="0.5", ram=0.5 * GB, disk="1024").resolve()
    assert resources.problems == []
    assert resources.data == {"cpu": 0.5, "ram": GB // 2, "disk": 1024, "gpu": 0}


def test_names_default_to_the_first_process() -> None:
    job = Job(task=Task(processes=[Process(name="first"), Process(name="second")]))
    assert str(job.name()) == "first"


def test_a_job_survives_pickle_and_deepcopy_and_json() -> None:
    job = Service(
        name="web",
        role="www",
        cluster="c",
        environment="devel",
        task=Task(processes=[Process(name="a", cmdline="{{mesos.instance}}")]),
        container=schema.Docker(image="python:3"),
    )
    assert pickle.loads(pickle.dumps(job)) == job
    assert copy.deepcopy(job) == job
    assert Job.json_loads(job.json_dumps()) == job
