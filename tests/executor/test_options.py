"""The flags of `thermos_executor`: old names, old defaults, one line for what can't be (spec/thermos.md §4.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.main import main
from executor.options import ExecutorFlags, parse_flags
from thermos.errors import UserError
from thermos.model import LogDestination, LogMode

MIB = 1024 * 1024


def test_the_old_defaults() -> None:
    flags = parse_flags([])
    assert flags == ExecutorFlags()
    assert (flags.announcer_ensemble, flags.announcer_serverset_path, flags.announcer_hostname) == (
        None,
        "/aurora",
        None,
    )
    assert flags.sandbox_mount_point == "/mnt/mesos/sandbox"
    assert (flags.stop_timeout_in_secs, flags.idle_timeout_secs) == (120.0, 10.0)
    assert not any((flags.nosetuid, flags.nosetuid_health_checks, flags.no_create_user, flags.preserve_env))


#: As operators have them in `-thermos_executor_flags`.
OLD = [
    "--announcer-ensemble",
    "zk1:2181,zk2:2181",
    "--announcer-serverset-path",
    "/services",
    "--announcer-allow-custom-serverset-path",
    "--announcer-hostname",
    "10.0.0.7",
    "--announcer-zookeeper-auth-config",
    "/etc/auth.json",
    "--mesos-containerizer-path=/usr/libexec/mesos/mesos-containerizer",
    "--no-create-user",
    "--sandbox-mount-point",
    "/sandbox",
    "--execute-as-user",
    "www",
    "--nosetuid",
    "--nosetuid-health-checks",
    "--runner-logger-destination",
    "both",
    "--runner-logger-mode",
    "rotate",
    "--runner-rotate-log-size-mb",
    "7",
    "--runner-rotate-log-backups",
    "3",
    "--preserve_env",
    "--stop_timeout_in_secs=30",
]


def test_the_old_names() -> None:
    flags = parse_flags(OLD)
    assert flags == ExecutorFlags(
        announcer_ensemble="zk1:2181,zk2:2181",
        announcer_serverset_path="/services",
        announcer_allow_custom_serverset_path=True,
        announcer_hostname="10.0.0.7",
        announcer_zookeeper_auth_config=Path("/etc/auth.json"),
        no_create_user=True,
        sandbox_mount_point="/sandbox",
        execute_as_user="www",
        nosetuid=True,
        nosetuid_health_checks=True,
        runner_logger_destination="both",
        runner_logger_mode="rotate",
        runner_rotate_log_size_mb=7,
        runner_rotate_log_backups=3,
        preserve_env=True,
        stop_timeout_in_secs=30.0,
    )
    logger = flags.logger
    assert (logger.destination, logger.mode) == (LogDestination.BOTH, LogMode.ROTATE)
    assert (logger.log_size, logger.backups) == (7 * MIB, 3)


def test_dashes_or_underscores() -> None:
    words = [word.replace("-", "_").replace("__", "--", 1) if word.startswith("--") else word for word in OLD]
    assert "--announcer_ensemble" in words
    assert parse_flags(words) == parse_flags(OLD)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stop-timeout-in-secs", "soon"], "'soon' is no number of seconds"),
        (["--stop-timeout-in-secs", "nan"], "'nan' is no number of seconds"),
        (["--idle-timeout-secs=-1"], "'-1' is no number of seconds"),
        (["--runner-rotate-log-backups", "1.5"], "'1.5' is no whole number"),
        (["--runner-rotate-log-size-mb", "-1"], "'-1' is no whole number"),
        (["--runner-logger-mode", "gzip"], "invalid choice: 'gzip'"),
        (["--announcer-ensembl", "x"], "unrecognized arguments: --announcer-ensembl"),
        (["stray"], "unrecognized arguments: stray"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=said):
        parse_flags(words)
    assert main(words) == UserError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("thermos_executor: ") and said in line and "--help" in line


def test_without_an_agent_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESOS_AGENT_ENDPOINT", raising=False)
    assert main([]) == UserError.exit_code
    assert "it is started by a Mesos agent" in capsys.readouterr().err
