"""What flags mean for each part; defaults are the original's where none is said to differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mesos.core.messages import Capability
from scheduler.core.executors import THERMOS
from scheduler.core.host_offer import OfferOrder
from scheduler.core.model import DockerParameter, Volume
from scheduler.core.resources import Amount
from scheduler.engine_settings import EngineSettings
from scheduler.executor_settings import parse_custom, parse_mount
from scheduler.flags import Flags
from scheduler.settings import Settings, Whoever, framework_of, settings_of
from thermos.errors import ConfigError, HostError, ThermosError, UserError

ME = Whoever(user="me", is_root=False, hostname="here", state_home=Path("/home/me/.local/state"))
ROOT = Whoever(user="root", is_root=True, hostname="here", state_home=Path("/home/admin/.local/state"))


def settings(whoever: Whoever = ME, **given: Any) -> Settings:
    return settings_of(Flags(**{"cluster_name": "rz1", "mesos_master_address": "m:5050", **given}), whoever)


def test_defaults_are_those_of_the_parts() -> None:
    """Each part has the original's defaults by itself; the flags must not change them by being there."""
    made = settings().engine
    plain = EngineSettings(launch=made.launch, scheduler_name="here")
    assert made == plain
    assert made.startup_delay_s == 30.0


def test_who_runs_it_decides_where_and_as_whom() -> None:
    mine, roots = settings(), settings(ROOT)
    assert mine.store == Path("/home/me/.local/state/aurora/scheduler/rz1")
    assert roots.store == Path("/var/lib/aurora/scheduler/rz1")
    assert (mine.mesos.info.user, roots.mesos.info.user) == ("me", "root")
    assert mine.engine.launch.executors[THERMOS].command.value.endswith(" -m executor.main --nosetuid")
    assert "--nosetuid" not in roots.engine.launch.executors[THERMOS].command.value
    assert mine.backups.directory == mine.store / "backups"
    told = settings(executor_user="www", store="/s", backup_dir="/b", hostname="there")
    assert "--nosetuid" not in told.engine.launch.executors[THERMOS].command.value
    assert (told.mesos.info.user, told.store, told.backups.directory) == ("www", Path("/s"), Path("/b"))
    assert (told.hostname, told.engine.scheduler_name) == ("there", "there")


def test_a_fetched_executor() -> None:
    made = settings(
        ROOT,
        thermos_executor_path="hdfs://x/thermos_executor",
        thermos_executor_flags="--announcer-ensemble=zk:2181 --preserve_env",
        thermos_executor_resources=("http://x/more",),
        thermos_executor_cpu=0.5,
        thermos_executor_ram=64,
        thermos_home_in_sandbox=True,
    ).engine.launch.executors[THERMOS]
    assert made.command.value == (
        "exec env HOME=${MESOS_SANDBOX=.} ${MESOS_SANDBOX=.}/thermos_executor"
        " --announcer-ensemble=zk:2181 --preserve_env"
    )
    assert [(uri.value, uri.executable, uri.extract) for uri in made.command.uris] == [
        ("hdfs://x/thermos_executor", True, False), ("http://x/more", True, False),
    ]  # fmt: skip
    assert made.overhead == Amount(milli_cpus=500, ram_mb=64)
    assert made.command.environment is None


def test_mesos() -> None:
    plain = settings().mesos
    assert plain.info.roles == ("*",)
    assert {c.type for c in plain.info.capabilities} == {
        Capability.MULTI_ROLE, Capability.RESERVATION_REFINEMENT, Capability.PARTITION_AWARE,
    }  # fmt: skip
    assert (plain.info.checkpoint, plain.info.failover_timeout, plain.info.name) == (True, 21 * 86400.0, "Aurora")
    told = settings(
        partition_aware=False, receive_revocable_resources=True, allow_gpu_resource=True, mesos_role="web",
        mesos_tls_ca="/ca.pem",
    ).mesos  # fmt: skip
    assert {c.type for c in told.info.capabilities} == {
        Capability.MULTI_ROLE, Capability.RESERVATION_REFINEMENT, Capability.REVOCABLE_RESOURCES,
        Capability.GPU_RESOURCES,
    }  # fmt: skip
    assert told.info.roles == ("web",)
    assert told.tls is not None and told.tls.ca == Path("/ca.pem")
    assert framework_of(plain, None, "http://u").webui_url == "http://u"


def test_credentials(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("aurora_authentication_principal=aurora\naurora_authentication_secret=s3\n")
    silent = settings(framework_authentication_file=str(path)).mesos
    assert silent.credentials is not None and silent.credentials.principal == "aurora"
    assert silent.info.principal == ""
    loud = settings(framework_authentication_file=str(path), framework_announce_principal=True).mesos
    assert loud.info.principal == "aurora"


def test_rules_of_admission(tmp_path: Path) -> None:
    tiers = tmp_path / "tiers.json"
    tiers.write_text('{"default": "low", "tiers": {"low": {"preemptible": "true", "revocable": "false"}, '
                     '"high": {"preemptible": false, "revocable": false}}}')  # fmt: skip
    rules = settings(
        tier_config=str(tiers), allowed_container_types=("MESOS", "docker"), default_docker_parameters=("env=A=B",),
        require_docker_use_executor=False, max_tasks_per_job=7, max_sla_duration_secs=60.0,
    ).rules  # fmt: skip
    assert (rules.default_tier, set(rules.tiers), set(rules.production_tiers)) == ("low", {"low", "high"}, {"high"})
    assert rules.container_types == ("mesos", "docker")
    assert rules.default_docker_parameters == (DockerParameter(name="env", value="A=B"),)
    assert (rules.docker_without_executor, rules.max_tasks_per_job, rules.sla_max_duration_s) == (True, 7, 60)
    assert settings().rules.docker_without_executor is False


def test_placing() -> None:
    engine = settings(
        max_schedule_attempts_per_sec=40.0, offer_order=(OfferOrder.CPU, OfferOrder.MEMORY), hold_offers_forever=True,
        flapping_task_threshold=60.0, initial_flapping_task_delay=1.0, transient_task_state_timeout=100.0,
    ).engine  # fmt: skip
    assert engine.groups.attempts_per_s == 40.0
    assert (engine.offers.order, engine.offers.hold_forever) == ((OfferOrder.CPU, OfferOrder.MEMORY), True)
    assert (engine.flapping.threshold_ms, engine.flapping.delay.initial) == (60_000, 1000)
    assert (engine.timeouts.transient_s, engine.timeouts.kill_retry.maximum) == (100.0, 100.0)


CUSTOM = [{
    "executor": {
        "name": "other",
        "command": {"value": "run", "arguments": ["run", "-x"], "shell": False, "uris": [{"value": "http://x/run"}]},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
                      {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}}],
    },
    "task_prefix": "other-",
    "volume_mounts": [{"container_path": "/c", "host_path": "/h", "mode": "rw"}],
}]  # fmt: skip


def test_executors_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "executors.json"
    path.write_text(json.dumps(CUSTOM))
    made = settings(custom_executor_config=str(path))
    other = made.engine.launch.executors["other"]
    assert set(made.rules.executors) == {THERMOS, "other"}
    assert (other.command.value, other.command.arguments, other.command.shell) == ("run", ("run", "-x"), False)
    assert [(uri.value, uri.extract, uri.executable) for uri in other.command.uris] == [("http://x/run", True, False)]
    assert (other.overhead, other.prefix) == (Amount(milli_cpus=100, ram_mb=64), "other-")
    assert other.mounts == (Volume(host_path="/h", container_path="/c", mode="RW"),)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[{}]", '[{"executor": {"name": "x"}}]', "[" * 100_000,
     json.dumps(CUSTOM * 2), json.dumps([{**CUSTOM[0], "extra": 1}]),
     json.dumps([{**CUSTOM[0], "executor": {**CUSTOM[0]["executor"], "name": ""}}]),  # type: ignore[dict-item]
     json.dumps([{**CUSTOM[0], "executor": {**CUSTOM[0]["executor"], "resources": [{"name": "ports"}]}}])],  # type: ignore[dict-item]
)  # fmt: skip
def test_a_file_of_executors_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot use the executors of f") as caught:
        parse_custom(text.encode(), "f")
    assert "\n" not in str(caught.value)


def test_mounts() -> None:
    assert parse_mount("/h:/c") == Volume(host_path="/h", container_path="/c", mode="RO")
    assert parse_mount("/h:/c:rw").mode == "RW"
    for text in ("", "/h", "/h:", ":/c", "/h:/c:rx", "/h:/c:ro:more"):
        with pytest.raises(UserError, match="a mount is host_path:container_path:mode"):
            parse_mount(text)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"cluster_name": ""}, UserError, "--cluster_name has to be given"),
        ({"mesos_master_address": ""}, UserError, "--mesos_master_address has to be given"),
        ({"mesos_master_address": "m:x"}, UserError, "m:x"),
        ({"cluster_name": "a/b"}, UserError, "cannot use the cluster's name 'a/b'"),
        ({"allowed_job_environments": "("}, UserError, "--allowed_job_environments is no regular expression"),
        ({"http_authentication_mechanism": "BASIC"}, UserError, "needs --shiro_ini_path"),
        ({"shiro_ini_path": "/x"}, UserError, "needs --http_authentication_mechanism BASIC"),
        ({"allowed_container_types": ("LXC",)}, UserError, "'LXC' is none of MESOS, DOCKER"),
        ({"default_docker_parameters": ("x",)}, UserError, "'x' is not name=value"),
        ({"global_container_mounts": ("x",)}, UserError, "cannot use --global_container_mounts x"),
        ({"tier_config": "/nowhere"}, HostError, "cannot read /nowhere: No such file or directory"),
        ({"custom_executor_config": "/nowhere"}, HostError, "cannot read /nowhere"),
        ({"framework_authentication_file": "/nowhere"}, UserError, "cannot read credentials from /nowhere"),
        ({"backup_interval": 0.0}, UserError, "can't be less than a second"),
        ({"scheduling_max_batch_size": 0}, UserError, "--scheduling_max_batch_size can't be 0"),
    ],
)
def test_what_can_not_be_meant_is_said_in_a_line(given: dict[str, Any], error: type[ThermosError], words: str) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        settings(**given)
    assert "\n" not in str(caught.value)
