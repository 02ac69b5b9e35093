"""The machinery on this host: what a payload and the flags become, without an agent, and real runs of one task."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.schema import Announcer, HealthCheckConfig, HttpLifecycleConfig, LifecycleConfig, Process
from executor.core.health_policy import Verdict
from executor.core.lifecycle import Waits
from executor.executor import why_not_prepared
from executor.host import HostMachinery, Place
from executor.machinery import Prepared, Said
from executor.options import parse_flags
from executor.payload import AssignedTask, read_assigned
from executor.sandbox import SandboxOptions
from mesos.executor_environment import ExecutorEnvironment
from tests.executor.payloads import JOB, assigned_json
from tests.executor.sandbox.conftest import USER, place, root_only
from thermos.clock import now as look_at_clock
from thermos.core.states import TaskState
from thermos.errors import ThermosError, UserError
from thermos.host.loop import PlainLoop
from thermos.host.users import current_user

__all__ = ["place"]

ENSEMBLE = ("--announcer-ensemble", "127.0.0.1:1")


def job_with(cmdline: str = "true", **more: Any) -> Any:
    return JOB(task=JOB.task()(processes=[Process(name="main", cmdline=cmdline)]), **more)


class Host:
    """A run directory, and the machinery that is asked about it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.loop = PlainLoop(look_at_clock)
        self.environment = ExecutorEnvironment(
            agent_endpoint="127.0.0.1:5051", framework_id="f", executor_id="e", directory=str(directory),
            sandbox=str(directory),
        )  # fmt: skip

    def machinery(self, *flags: str) -> HostMachinery:
        return HostMachinery(parse_flags(["--nosetuid", *flags]), self.environment, self.loop, lambda text, now: None)

    def prepare(self, data: bytes, *flags: str) -> Prepared:
        return self.machinery(*flags).prepare(read_assigned(data), None)

    def refused(self, data: bytes, *flags: str) -> str:
        """The last words for it."""
        with pytest.raises(ThermosError) as caught:
            self.prepare(data, *flags)
        line = why_not_prepared(caught.value)
        assert "\n" not in line
        return line


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.loop.close()


def settings_of(prepared: Prepared) -> Any:
    place: Place = prepared.place
    return place.settings


def announced(prepared: Prepared) -> Any:
    place: Place = prepared.place
    return place.announcement


# --- the payload (items 97, 98, 123)


def with_data(data: object) -> bytes:
    document = json.loads(assigned_json())
    if data is None:
        del document["task"]["executorConfig"]
    else:
        document["task"]["executorConfig"]["data"] = data
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "Task did not have a thermos config!"),
        ("", "Task did not have a thermos config!"),
        (7, "Task did not have a thermos config!"),
        ("garbage", "Could not deserialize thermos config: "),
        ("[]", "Could not deserialize thermos config: "),
        ("{}", "Got invalid task: "),
        ('{"task": {"processes": 3}}', ""),
        ("[" * 100_000, "Could not deserialize thermos config: "),
    ],
)
def test_an_assigned_task_with_garbage_in_it(host: Host, data: object, words: str) -> None:
    assert host.refused(with_data(data)).startswith(words)


def test_both_kinds_of_payload_are_the_same_task(host: Host) -> None:
    """A job, as clients send it, and one instance of it, as old ones did."""
    document = json.loads(assigned_json(instance=4))
    job = json.loads(document["task"]["executorConfig"]["data"])
    one = {key: job[key] for key in ("task", "role", "environment", "health_check_config", "lifecycle") if key in job}
    document["task"]["executorConfig"]["data"] = json.dumps(one | {"instance": 4})
    of_job, of_one = host.prepare(assigned_json(instance=4)), host.prepare(json.dumps(document).encode())
    assert of_one.assignment.spec == of_job.assignment.spec
    assert (of_one.assignment.instance, of_one.waits, of_one.port) == (4, of_job.waits, of_job.port)


def test_the_agents_hostname_is_bound(host: Host) -> None:
    prepared = host.prepare(assigned_json(job=job_with("echo {{mesos.hostname}} {{mesos.instance}}"), host="agent7"))
    assert prepared.assignment.spec.processes[0].cmdline == "echo agent7 0"
    assert settings_of(prepared).hostname == "agent7"


# --- the HTTP lifecycle (item 109) and other waits (item 106)

PORT = "{{thermos.ports[health]}}"


def lifecycle(**http: Any) -> LifecycleConfig:
    return LifecycleConfig(http=HttpLifecycleConfig(**http))


def test_the_lifecycle_of_a_job_that_says_nothing(host: Host) -> None:
    prepared = host.prepare(assigned_json(job=job_with(PORT), ports={"health": 31007}))
    assert (prepared.port, prepared.graceful_endpoint, prepared.shutdown_endpoint) == (
        31007,
        "/quitquitquit",
        "/abortabortabort",
    )
    assert (prepared.waits.http, prepared.waits.graceful_s, prepared.waits.shutdown_s) == (True, 5.0, 5.0)


@pytest.mark.parametrize(
    ("job", "ports"),
    [
        (job_with(), {}),  # no port of that name
        (job_with("{{thermos.ports[http]}}"), {"http": 31001}),
        (job_with(PORT, lifecycle=lifecycle(port="admin")), {"health": 31001}),
        (job_with(PORT, lifecycle=LifecycleConfig()), {"health": 31001}),  # no HTTP at all
    ],
)
def test_without_config_or_port_nobody_is_asked(host: Host, job: Any, ports: dict[str, int]) -> None:
    prepared = host.prepare(assigned_json(job=job, ports=ports))
    assert (prepared.port, prepared.waits.http) == (None, False)


def test_the_lifecycle_as_configured(host: Host) -> None:
    wanted = lifecycle(
        port="admin", graceful_shutdown_endpoint="/bye", shutdown_endpoint="/die",
        graceful_shutdown_wait_secs=7, shutdown_wait_secs=9,
    )  # fmt: skip
    job = job_with("{{thermos.ports[admin]}}", lifecycle=wanted)
    prepared = host.prepare(assigned_json(job=job, ports={"admin": 31002}))
    assert (prepared.port, prepared.graceful_endpoint, prepared.shutdown_endpoint) == (31002, "/bye", "/die")
    assert (prepared.waits.graceful_s, prepared.waits.shutdown_s) == (7.0, 9.0)


def test_times_of_the_flags_and_of_the_task(host: Host) -> None:
    job = JOB(task=JOB.task()(finalization_wait=77))
    waits = host.prepare(assigned_json(job=job), "--stop-timeout-in-secs", "33", "--idle-timeout-secs", "4").waits
    assert waits == Waits(stop_s=33.0, idle_s=4.0, finalization_s=77.0)


# --- the announcement (item 119, defect 15)


def test_announced_only_where_it_can_be(host: Host) -> None:
    job = job_with("{{thermos.ports[http]}}", announce=Announcer())
    data = assigned_json(job=job, ports={"http": 31001}, host="agent0", instance=2)
    assert announced(host.prepare(data)) is None
    assert announced(host.prepare(assigned_json(), *ENSEMBLE)) is None
    member = announced(host.prepare(data, *ENSEMBLE))
    assert (member.path, member.hostname, member.primary, member.shard) == ("/aurora/www/test/web", "agent0", "http", 2)
    assert member.ports["aurora"] == 31001, "aliases are resolved"
    flags = ("--announcer-hostname", "10.0.0.7", "--announcer-serverset-path", "/services")
    member = announced(host.prepare(data, *ENSEMBLE, *flags))
    assert (member.path, member.hostname) == ("/services/www/test/web", "10.0.0.7")


def test_a_path_of_its_own_needs_the_flag(host: Host) -> None:
    job = job_with("{{thermos.ports[http]}}", announce=Announcer(zk_path="/mine/web"))
    data = assigned_json(job=job, ports={"http": 31001})
    assert host.refused(data, *ENSEMBLE).startswith("cannot announce at '/mine/web': ")
    assert announced(host.prepare(data, *ENSEMBLE, "--announcer-allow-custom-serverset-path")).path == "/mine/web"


def test_flags_that_cannot_be_are_refused_before_any_task(host: Host, tmp_path: Path) -> None:
    bad = tmp_path / "auth.json"
    for words, said in [
        (("--announcer-ensemble", "no such thing"), "cannot use 'no such thing' as a ZooKeeper ensemble"),
        ((*ENSEMBLE, "--announcer-zookeeper-auth-config", str(bad)), "cannot read --announcer-zookeeper-auth-config"),
    ]:
        with pytest.raises(UserError, match=said):
            host.machinery(*words)
    bad.write_text('{"auths": []}')
    with pytest.raises(UserError, match="as ZooKeeper authentication config"):
        host.machinery(*ENSEMBLE, "--announcer-zookeeper-auth-config", str(bad))


# --- the runner's settings


def test_the_runner_gets_what_the_flags_say(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARK", "here")
    plain = settings_of(host.prepare(assigned_json()))
    assert plain.base_env is None and not plain.setuid and plain.user.uid == os.geteuid()
    assert plain.nofile is not None, "limits to give back"
    assert (plain.on_owner_death, plain.owner_wait, plain.run_limit) == ("stop", 0.0, 100)
    assert plain.sandbox == host.directory / "sandbox" and plain.log_dir == host.directory / "sandbox" / ".logs"
    flags = ("--preserve-env", "--runner-logger-mode", "rotate", "--orphan-wait-secs", "3")
    told = settings_of(host.prepare(assigned_json(), *flags))
    assert told.base_env["MARK"] == "here" and str(told.logger.mode) == "rotate" and told.owner_wait == 3.0


def test_a_user_who_is_not_here_is_named(host: Host) -> None:
    machinery = HostMachinery(parse_flags([]), host.environment, host.loop, lambda text, now: None)
    assigned: AssignedTask = read_assigned(assigned_json(job=JOB(role="nobody-of-that-name")))
    with pytest.raises(ThermosError) as caught:
        machinery.prepare(assigned, None)
    assert why_not_prepared(caught.value) == (
        "Failed to initialize sandbox: Could not create sandbox because user does not exist: nobody-of-that-name"
    )


# --- checks


def test_a_task_has_the_checks_it_asks_for(host: Host) -> None:
    said: list[tuple[Any, str]] = []
    job = job_with(announce=Announcer())
    machinery = host.machinery(*ENSEMBLE)
    prepared = machinery.prepare(read_assigned(assigned_json(job=job, ports={"http": 1})), None)
    checks = machinery.checks(prepared, lambda what, text, now: said.append((what, text)))
    assert checks.health is not None and checks.disk is not None and checks.announcer is not None
    assert checks.disk.state()["limit_bytes"] == 16 * 2**20
    assert checks.health.state()["verdict"] == Verdict.STARTING and checks.health.state()["checked"] is False
    assert checks.announcer.state()["path"] == "/aurora/www/test/web"
    assert not said


def test_too_much_on_disk_ends_the_task(host: Host) -> None:
    """Item 121, with everything real but the agent."""
    said: list[tuple[Said, str]] = []
    machinery = host.machinery()
    prepared = machinery.prepare(read_assigned(assigned_json()), None)
    (host.directory / "sandbox" / "big").write_bytes(b"x" * 17 * 2**20)
    checks = machinery.checks(prepared, lambda what, text, now: said.append((what, text)))
    host.loop.on_turn = lambda now: host.loop.stop() if len(said) == 2 else None
    host.loop.call_at(time.monotonic() + 60, lambda now: host.loop.stop())
    checks.start(look_at_clock())
    host.loop.run()
    (text,) = [text for what, text in said if what is Said.UNHEALTHY]
    begins = "Disk limit exceeded.  Reserved 16777216 bytes vs used "
    assert text.startswith(begins) and int(text.removeprefix(begins).removesuffix(" bytes.")) >= 17 * 2**20


class Caught(Exception):
    """Instead of making something: with what it would have been made."""


def made_with(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def catch(*args: Any, **kwargs: Any) -> None:
        calls.append((args, kwargs))
        raise Caught

    monkeypatch.setattr(f"executor.host.{name}", catch)
    return calls


@pytest.mark.parametrize("gated", [False, True])
def test_how_long_zookeeper_is_waited_for(host: Host, monkeypatch: pytest.MonkeyPatch, gated: bool) -> None:
    health = HealthCheckConfig(initial_interval_secs=7, interval_secs=3, max_consecutive_failures=2)
    job = job_with("{{thermos.ports[http]}}", announce=Announcer(), health_check_config=health)
    machinery = host.machinery(*ENSEMBLE, *(["--announcer-health-gated"] if gated else []))
    prepared = machinery.prepare(read_assigned(assigned_json(job=job, ports={"http": 1})), None)
    calls = made_with(monkeypatch, "Announcer")
    with pytest.raises(Caught):
        machinery.checks(prepared, lambda *_: None)
    assert calls[0][1] == {"connect_wait_s": 13.0, "paused": gated}


def test_how_long_a_snooze_is_good_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    machinery = host.machinery("--snooze-max-secs", "77")
    prepared = machinery.prepare(read_assigned(assigned_json()), None)
    calls = made_with(monkeypatch, "HealthChecker")
    with pytest.raises(Caught):
        machinery.checks(prepared, lambda *_: None)
    assert calls[0][1]["snooze_max_s"] == 77.0
    assert calls[0][1]["snooze"] == host.directory / "sandbox" / ".healthchecksnooze"


def test_what_sandboxes_are_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = made_with(monkeypatch, "plan_sandbox")
    flags = ("--no-create-user", "--sandbox-mount-point", "/box", "--execute-as-user", "somebody")
    with pytest.raises(Caught):
        host.prepare(assigned_json(), *flags)
    role, _, environment, options, _ = calls[0][0]
    assert (role, environment) == ("www", host.environment)
    assert options == SandboxOptions(nosetuid=True, execute_as_user="somebody", no_create_user=True, mount_point="/box")


def test_a_shell_check_runs_in_the_sandbox_as_the_task_does(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, identity in ((), None), (("--nosetuid-health-checks",), None):
        calls = made_with(monkeypatch, "choose_probe")
        machinery = host.machinery(*flags)
        prepared = machinery.prepare(read_assigned(assigned_json()), None)
        with pytest.raises(Caught):
            machinery.checks(prepared, lambda *_: None)
        context = calls[0][0][2]
        assert (context.cwd, context.identity, context.root) == (host.directory / "sandbox", identity, None)
        assert context.nofile is not None


@root_only
def test_a_shell_check_is_the_users_unless_it_shall_not_be(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(place)
    for flags, name in ((), USER), (("--nosetuid-health-checks",), None):
        calls = made_with(monkeypatch, "choose_probe")
        machinery = HostMachinery(parse_flags(flags), host.environment, host.loop, lambda text, now: None)
        prepared = machinery.prepare(read_assigned(assigned_json(job=JOB(role=USER))), None)
        with pytest.raises(Caught):
            machinery.checks(prepared, lambda *_: None)
        identity = calls[0][0][2].identity
        assert (identity and identity.name) == name
    host.loop.close()


def test_processes_know_whom_they_run_as(host: Host) -> None:
    """Clients bind `thermos.user` to the role; who does not leaves it to the host."""
    me = current_user().name
    job = job_with("echo WHO")(role="nobody-of-that-name")
    data = assigned_json(job=job).replace(b"WHO", b"{{thermos.user}}")
    machinery = HostMachinery(parse_flags(["--execute-as-user", me]), host.environment, host.loop, lambda *_: None)
    prepared = machinery.prepare(read_assigned(data), None)
    assert prepared.assignment.spec.processes[0].cmdline == f"echo {me}"
    assert settings_of(prepared).user.name == me


# --- a run


def test_a_task_is_owned_and_its_last_line_told(host: Host) -> None:
    machinery = host.machinery()
    job = job_with("echo first >&2; echo 'the last one' >&2; exit 3")
    prepared = machinery.prepare(read_assigned(assigned_json(job=job)), None)
    runner = machinery.own(prepared, look_at_clock())
    host.loop.drive(runner)
    host.loop.on_turn = lambda now: host.loop.stop() if runner.done else None
    host.loop.call_at(time.monotonic() + 60, lambda now: host.loop.stop())
    host.loop.run()
    assert runner.task.state is TaskState.FAILED
    (run,) = runner.task.processes["main"].runs.values()
    assert machinery.tail(runner.task, run) == ["the last one"]
