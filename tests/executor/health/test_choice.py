"""Which check a job gets, and that what it mentions of its host is bound (items 117, 118)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from config.schema import (
    HealthCheckConfig,
    HealthCheckerConfig,
    HttpHealthChecker,
    Process,
    ShellHealthChecker,
    TcpHealthChecker,
)
from executor.core.health_policy import HealthLimits
from executor.payload import Assignment, compile_assignment, read_assigned
from executor.probes import (
    FailingProbe,
    HttpProbe,
    Probe,
    ProbeContext,
    ShellProbe,
    TcpProbe,
    choose_probe,
    read_limits,
    read_timeout,
)
from tests.executor.payloads import JOB, assigned_json

HERE = ProbeContext(Path("/"), {"PATH": os.defpath})
PORTS = "{{thermos.ports[health]}} {{thermos.ports[admin]}}"


def assigned(checker: Any = None, cmdline: str = PORTS, instance: int = 3, **more: Any) -> Assignment:
    job = JOB(task=JOB.task()(processes=[Process(name="main", cmdline=cmdline)]))
    if checker is not None:
        job = job(health_check_config=HealthCheckConfig(health_checker=checker, **more))
    ports = {name: port for name, port in (("health", 31001), ("admin", 31002)) if f"[{name}]" in cmdline}
    return compile_assignment(read_assigned(assigned_json("id-1", job, instance=instance, ports=ports)), "www")


def chosen(assignment: Assignment, context: ProbeContext = HERE) -> Probe | None:
    return choose_probe(assignment.job, assignment.ports, context)


def test_http_by_default() -> None:
    probe = chosen(assigned())
    assert isinstance(probe, HttpProbe)
    assert (probe.url, probe.timeout_s) == ("http://localhost:31001/health", 1.0)
    assert (probe.expected_response, probe.expected_code) == ("ok", 0)


def test_http_as_configured() -> None:
    http = HttpHealthChecker(endpoint="/a?b", expected_response="", expected_response_code=204)
    probe = chosen(assigned(HealthCheckerConfig(http=http), timeout_secs=2.5))
    assert isinstance(probe, HttpProbe)
    assert (probe.url, probe.timeout_s) == ("http://localhost:31001/a?b", 2.5)
    assert (probe.expected_response, probe.expected_code) == ("", 204)


def test_no_health_port_no_check() -> None:
    assert chosen(assigned(cmdline="{{thermos.ports[admin]}}")) is None
    assert chosen(assigned(cmdline="true")) is None


def test_tcp_with_any_port() -> None:
    probe = chosen(assigned(HealthCheckerConfig(tcp=TcpHealthChecker(port="admin")), timeout_secs=4))
    assert isinstance(probe, TcpProbe)
    assert probe.timeout_s == 4
    assert str(probe._endpoint) == "localhost:31002"


def test_a_tcp_check_of_a_port_that_is_not_there_fails() -> None:
    """`thermos check` refuses such a job; who sends it all the same is told."""
    config = {"health_check_config": {"health_checker": {"tcp": {"port": "gone"}}}}
    probe = choose_probe(config, {"health": 1}, HERE)
    assert isinstance(probe, FailingProbe)
    assert probe() == "the task has no port 'gone' that could be checked"
    probe.cancel()


def test_shell_before_tcp_before_http() -> None:
    shell, tcp, http = {"shell": {"shell_command": "true"}}, {"tcp": {"port": "health"}}, {"http": {}}

    def kind(*checkers: dict[str, Any]) -> type:
        merged = {key: value for checker in checkers for key, value in checker.items()}
        return type(choose_probe({"health_check_config": {"health_checker": merged}}, {"health": 1}, HERE))

    assert kind(http, tcp, shell) is ShellProbe
    assert kind(http, tcp) is TcpProbe
    assert kind(http) is kind() is HttpProbe


def test_ports_and_instance_are_bound_in_shell_commands(tmp_path: Path) -> None:
    command = "echo {{thermos.ports[admin]}} {{mesos.instance}} {{thermos.task_id}} {{mesos.hostname}} {{role}}; exit 1"
    assignment = assigned(HealthCheckerConfig(shell=ShellHealthChecker(shell_command=command)))
    probe = chosen(assignment, ProbeContext(tmp_path, {"PATH": os.defpath}))
    assert isinstance(probe, ShellProbe)
    probe.timeout_s = 30.0
    said = probe()
    assert said is not None and said.endswith("exit status 1 with output '31002 3 id-1 agent0 www'")
    probe.close()


@pytest.mark.parametrize(
    ("config", "env", "seconds"),
    [
        ({}, {}, 1.0),
        ({"timeout_secs": 3}, {"AURORA_HTTP_SIGNALER_TIMEOUT_SECS": "7"}, 3.0),
        ({}, {"AURORA_HTTP_SIGNALER_TIMEOUT_SECS": "7.5"}, 7.5),
        ({}, {"AURORA_HTTP_SIGNALER_TIMEOUT_SECS": "soon"}, 1.0),
        ({}, {"AURORA_HTTP_SIGNALER_TIMEOUT_SECS": "nan"}, 1.0),
        ({"timeout_secs": 0}, {}, 1.0),
    ],
)
def test_time_outs(config: dict[str, Any], env: dict[str, str], seconds: float) -> None:
    assert read_timeout(config, env) == seconds


def test_limits() -> None:
    assert read_limits({}) == HealthLimits()
    checker = HealthCheckerConfig(http=HttpHealthChecker())
    numbers = {"initial_interval_secs": 5, "interval_secs": 2.5, "max_consecutive_failures": 4}
    job = assigned(checker, min_consecutive_successes=2, **numbers).job
    assert read_limits(job) == HealthLimits(5.0, 2.5, 4, 2)
