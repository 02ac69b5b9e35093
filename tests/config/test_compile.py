"""Tasks and jobs on a host: TaskSpecs, ports, and what stays unbound."""

import json
from typing import Any

import pytest

from config.core.assigned import compile_assigned
from config.core.compile import bind_host, compile_task, required_ports
from config.core.problem import Severity
from config.core.rules import check_job
from config.core.taskconfig import assigned_task, task_config
from config.schema import (
    GB,
    MB,
    Announcer,
    Constraint,
    HealthCheckConfig,
    HealthCheckerConfig,
    Job,
    Logger,
    Process,
    Resources,
    RotatePolicy,
    ShellHealthChecker,
    Task,
)
from thermos.errors import ConfigError
from thermos.model import (
    LogDestination,
    LoggerSpec,
    LogMode,
    ProcessSpec,
    ResourcesSpec,
    TaskSpec,
    decode_task,
    encode_task,
)


def task(cmdline: str = "true", **fields: Any) -> Any:
    resources = Resources(cpu=1, ram=64 * MB, disk=64 * MB)
    return Task(processes=[Process(name="main", cmdline=cmdline)], resources=resources, **fields)


def job(cmdline: str = "true", **fields: Any) -> Any:
    named = {"role": "www", "cluster": "rz1", "environment": "devel", "name": "web", "task": task(cmdline), **fields}
    return Job(**named)


def cmdline(spec: TaskSpec | None) -> str:
    assert spec is not None
    return spec.processes[0].cmdline


def test_every_field_arrives() -> None:
    rotating = Logger(destination="both", mode="rotate", rotate=RotatePolicy(log_size=5 * MB, backups=2))
    full = Task(
        name="t",
        processes=[
            Process(name="a", cmdline="echo {{name}}", max_failures=0, min_duration=0, logger=rotating),
            Process(name="b", cmdline="true", daemon=True, ephemeral=True, logger=Logger(destination="console")),
            Process(name="c", cmdline="true", final=True),
        ],
        constraints=[Constraint(order=["a", "b"])],
        resources=Resources(cpu=0.5, ram=1 * GB, disk=2 * GB, gpu=1),
        max_failures=3,
        max_concurrency=2,
        finalization_wait=7,
        user="nobody",
    )
    spec, problems = compile_task(full, ports={})
    assert problems == []
    assert spec == TaskSpec(
        name="t",
        processes=(
            ProcessSpec(
                name="a",
                cmdline="echo a",
                max_failures=0,
                min_duration=0,
                logger=LoggerSpec(destination=LogDestination.BOTH, mode=LogMode.ROTATE, log_size=5 * MB, backups=2),
            ),
            ProcessSpec(
                name="b",
                cmdline="true",
                daemon=True,
                ephemeral=True,
                logger=LoggerSpec(destination=LogDestination.CONSOLE),
            ),
            ProcessSpec(name="c", cmdline="true", final=True),
        ),
        order=(("a", "b"),),
        resources=ResourcesSpec(cpu=0.5, ram=1 * GB, disk=2 * GB, gpu=1),
        max_failures=3,
        max_concurrency=2,
        finalization_wait=7,
        user="nobody",
    )
    assert decode_task(encode_task(spec)) == spec


def test_defaults_of_schema_and_model_are_the_same() -> None:
    spec, _ = compile_task(Task(processes=[Process(name="a", cmdline="b")]), ports={})
    assert spec == TaskSpec(name="a", processes=(ProcessSpec(name="a", cmdline="b"),))


def test_host_values_are_bound_instance_zero_included() -> None:
    text = "{{mesos.instance}} {{mesos.hostname}} {{mesos.role}} {{mesos.cluster}} {{thermos.task_id}} {{thermos.user}}"
    spec, problems = compile_task(job(text), ports={}, task_id="t-0", user="me", instance=0, hostname="h1")
    assert problems == []
    assert cmdline(spec) == "0 h1 www rz1 t-0 me"


def test_a_job_without_a_user_runs_as_its_role() -> None:
    assert cmdline(compile_task(job("{{thermos.user}}"), ports={})[0]) == "www"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{thermos.ports[http]}}", "Task requires unbound port http!"),
        ("{{mesos.instance}}", "Unexpected unbound refs: {{mesos.instance}}. Make sure"),
        ("{{nobody}}", "Unexpected unbound refs: {{nobody}}. Make sure you are not nesting template variables."),
        ("{{thermos.ports.http}}", 'Bad port specification "thermos.ports.http"'),
    ],
)
def test_what_stays_unbound_is_an_error(text: str, message: str) -> None:
    spec, problems = compile_task(task(text), ports={"other": 1}, task_id="t", user="u")
    assert spec is None
    (problem,) = problems
    assert problem.text.startswith(message)
    assert problem.field == "processes[0].cmdline"


def test_ports_nest_and_aliases_of_the_announcer_name_them_too() -> None:
    aliased = job(
        "{{thermos.ports[{{which}}]}} {{thermos.ports[aurora]}} {{thermos.ports[fixed]}}",
        announce=Announcer(portmap={"aurora": "{{primary_port}}", "fixed": "8080", "gone": "nowhere"}),
    ).bind(which="http")
    assert required_ports(aliased) == ["http", "nowhere"]
    bound = bind_host(aliased, ports={"http": 31000})
    assert cmdline(bound.spec) == "31000 31000 8080"
    assert bound.ports == {"aurora": 31000, "http": 31000, "fixed": 8080}


def test_required_ports_look_at_processes_only() -> None:
    checker = HealthCheckerConfig(shell=ShellHealthChecker(shell_command="x {{thermos.ports[admin]}}"))
    assert required_ports(task("{{thermos.ports[b]}} {{thermos.ports[a]}} {{&thermos.ports[literal]}}")) == ["a", "b"]
    assert required_ports(job(health_check_config=HealthCheckConfig(health_checker=checker))) == []
    with pytest.raises(ValueError, match="Invalid port name `a b`"):
        required_ports(job(announce=Announcer(primary_port="a b")))
    with pytest.raises(ValueError, match="Bad port specification"):
        required_ports(task("{{thermos.ports.http}}"))


def test_an_executor_runs_what_the_client_sent() -> None:
    checker = HealthCheckerConfig(
        shell=ShellHealthChecker(shell_command="probe {{thermos.ports[http]}} {{thermos.task_id}}")
    )
    written = job(
        "{{mesos.instance}}@{{mesos.hostname}} {{thermos.ports[http]}} {{&.ID}} {{&literal}} ${x} {y}",
        health_check_config=HealthCheckConfig(health_checker=checker),
        instances=3,
    )
    config = task_config(check_job(written).data, user="me")
    assigned = assigned_task(
        config, task_id="www-devel-web-2-x", instance=2, agent_id="a1", hostname="h1", ports={"http": 31005}
    )
    bound = compile_assigned(json.loads(json.dumps(assigned)))
    assert cmdline(bound.spec) == "2@h1 31005 {{.ID}} {{literal}} ${x} {y}"
    command = bound.data["health_check_config"]["health_checker"]["shell"]["shell_command"]
    assert command == "probe 31005 www-devel-web-2-x"


def test_update_config_and_instances_are_not_in_the_payload() -> None:
    first, second = (
        task_config(check_job(job(instances=n, update_config={"watch_secs": n})).data, user="me") for n in (1, 5)
    )
    assert first == second
    payload = json.loads(first["executorConfig"]["data"])
    assert "update_config" not in payload
    assert "instances" not in payload
    assert payload["max_task_failures"] == 1


def assigned(data: object) -> dict[str, Any]:
    return {"taskId": "t", "instanceId": 0, "slaveHost": "h", "task": {"executorConfig": {"name": "x", "data": data}}}


def test_an_executor_reads_single_instances_and_other_versions() -> None:
    payload = {
        "task": {"processes": [{"name": "a", "cmdline": "{{mesos.instance}}", "from_the_future": 1}], "new": {}},
        "instance": 4,
        "role": "www",
        "environment": "prod",
        "unknown": [1],
    }
    bound = compile_assigned({**assigned(json.dumps(payload)), "instanceId": 4})
    assert cmdline(bound.spec) == "4"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "Task did not have a thermos config!"),
        ("", "Task did not have a thermos config!"),
        ("{", "Could not deserialize thermos config: "),
        ("[]", "Could not deserialize thermos config: it is no object but list"),
        ('{"task": 5}', "Could not deserialize thermos config: "),
        ('{"role": "www"}', "Got invalid task: "),
        (json.dumps({"role": "r", "task": {"processes": [{"name": "a/b", "cmdline": "x"}]}}), "Got invalid task: "),
    ],
)
def test_an_executor_says_what_it_could_not_read(data: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_assigned(assigned(data))
    assert str(caught.value).startswith(message)


def test_an_assigned_task_without_a_task() -> None:
    with pytest.raises(ConfigError, match="Task did not have a thermos config!"):
        compile_assigned({"taskId": "t"})


def test_a_task_without_processes_runs_with_a_warning() -> None:
    spec, problems = compile_task(Task(name="idle"), ports={}, task_id="t", user="u")
    assert spec is not None and spec.processes == ()
    assert [(p.text, p.field, p.severity) for p in problems] == [
        ("has no processes; it will succeed at once", "processes", Severity.WARNING)
    ]
