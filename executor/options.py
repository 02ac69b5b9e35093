"""The flags of `thermos_executor`, under the names they always had; new ones say so.

Source: spec/thermos.md §4.1.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from thermos.errors import UserError
from thermos.model import LogDestination, LoggerSpec, LogMode
from thermos.version import VERSION


class ExecutorFlags(Struct, frozen=True):
    """What `parse_flags` gives."""

    announcer_ensemble: str | None = None
    announcer_serverset_path: str = "/aurora"
    announcer_allow_custom_serverset_path: bool = False
    announcer_hostname: str | None = None
    announcer_zookeeper_auth_config: Path | None = None
    announcer_health_gated: bool = False
    no_create_user: bool = False
    sandbox_mount_point: str = "/mnt/mesos/sandbox"
    execute_as_user: str | None = None
    nosetuid: bool = False
    nosetuid_health_checks: bool = False
    runner_logger_destination: str | None = None
    runner_logger_mode: str | None = None
    runner_rotate_log_size_mb: int | None = None
    runner_rotate_log_backups: int | None = None
    preserve_env: bool = False
    stop_timeout_in_secs: float = 120.0
    idle_timeout_secs: float = 10.0
    snooze_max_secs: float = 3600.0
    orphan_wait_secs: float = 0.0

    @property
    def logger(self) -> LoggerSpec:
        """The default of processes that have no logger of their own."""
        default = LoggerSpec()
        size_mb, backups = self.runner_rotate_log_size_mb, self.runner_rotate_log_backups
        return LoggerSpec(
            destination=LogDestination(self.runner_logger_destination or default.destination),
            mode=LogMode(self.runner_logger_mode or default.mode),
            log_size=default.log_size if size_mb is None else size_mb * 1024 * 1024,
            backups=default.backups if backups is None else backups,
        )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message} (see `{self.prog} --help`)")


def make_parser() -> argparse.ArgumentParser:
    """Every flag may be written with dashes or underscores, as the original's."""
    parser = _Parser(
        prog="thermos_executor",
        description="Runs one task under a Mesos agent, which starts this with MESOS_… in its environment.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    group = parser.add_argument_group("announcing in ZooKeeper")
    _add(group, "announcer-ensemble", metavar="HOST:PORT,…", help="ZooKeeper; without it nothing is announced")
    _add(group, "announcer-serverset-path", default="/aurora", metavar="PATH", help="root of the members' paths")
    _add(
        group, "announcer-allow-custom-serverset-path", flag=True, help="let jobs choose a path of their own (zk_path)"
    )
    _add(group, "announcer-hostname", metavar="NAME", help="announce this name, not the agent's")
    _add(group, "announcer-zookeeper-auth-config", type=Path, metavar="FILE", help="JSON with auth and acl")
    _add(group, "announcer-health-gated", flag=True, help="announce only while the task is running and healthy (new)")
    group = parser.add_argument_group("users and sandboxes")
    _add(group, "mesos-containerizer-path", metavar="PATH", help="not needed any more; accepted and ignored")
    _add(group, "no-create-user", flag=True, help="don't create the role's user in images")
    _add(
        group, "sandbox-mount-point", default="/mnt/mesos/sandbox", metavar="PATH", help="where images see the sandbox"
    )
    _add(group, "execute-as-user", metavar="USER", help="run processes as this user, not as the job's role")
    _add(group, "nosetuid", flag=True, help="run processes as the user that runs this")
    _add(group, "nosetuid-health-checks", flag=True, help="run shell health checks as the user that runs this")
    _add(group, "preserve-env", flag=True, help="processes get this executor's environment")
    group = parser.add_argument_group("logs of processes that have no logger of their own")
    _add(group, "runner-logger-destination", choices=[str(v) for v in LogDestination], help="where output goes")
    _add(group, "runner-logger-mode", choices=[str(v) for v in LogMode], help="whether it is rotated")
    _add(group, "runner-rotate-log-size-mb", type=_count, metavar="MB", help="size of a rotated log")
    _add(group, "runner-rotate-log-backups", type=_count, metavar="N", help="rotated logs that are kept")
    group = parser.add_argument_group("times in seconds")
    _add(
        group, "stop-timeout-in-secs", type=_seconds, default=120.0, metavar="S", help="bound of each phase of stopping"
    )
    _add(
        group, "idle-timeout-secs", type=_seconds, default=10.0, metavar="S", help="end when nothing is launched (new)"
    )
    _add(
        group, "snooze-max-secs", type=_seconds, default=3600.0, metavar="S", help="health checks sleep no longer (new)"
    )
    _add(
        group, "orphan-wait-secs", type=_seconds, default=0.0, metavar="S",
        help="processes live so long when this is killed (new)",
    )  # fmt: skip
    return parser


def _add(group: argparse._ArgumentGroup, name: str, *, flag: bool = False, **more: object) -> None:
    names = list(dict.fromkeys([f"--{name}", f"--{name.replace('-', '_')}"]))
    dest = name.replace("-", "_")
    if flag:
        group.add_argument(*names, dest=dest, action="store_true", help=str(more["help"]))
    else:
        group.add_argument(*names, dest=dest, **more)  # type: ignore[arg-type]


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e9:  # (NaN is neither)
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 0 or more")
    return int(text)


def parse_flags(words: Sequence[str]) -> ExecutorFlags:
    """Raises UserError, in one line."""
    parser = make_parser()
    given = vars(parser.parse_args(words))
    del given["mesos_containerizer_path"]
    return ExecutorFlags(**given)
