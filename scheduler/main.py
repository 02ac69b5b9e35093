"""`aurora_scheduler`: flags, the store, and a clean stop at SIGTERM or SIGINT.

The store is read before anything else is done; while it can't be used, nothing is changed and nobody is asked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import getpass
import logging
import os
import re
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from scheduler.assembly import Scheduler
from scheduler.flag_values import TRUTH
from scheduler.flags import IGNORED, Flags
from scheduler.settings import Settings, Whoever, settings_of
from scheduler.store.backup import restore
from scheduler.store.journal import Fenced, StoreInUse
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.store import Store
from scheduler.teardown import tear_down
from scheduler.web_server import is_loopback
from thermos.errors import Bug, Exit, ThermosError, UserError
from thermos.version import VERSION

PROGRAM = "aurora_scheduler"

_log = logging.getLogger("scheduler.main")  # also when it is run by its path

EPILOG = """
\b
Examples:
  aurora_scheduler --cluster_name rz1 --mesos_master_address 127.0.0.1:5050
  aurora_scheduler -cluster_name=rz1 -mesos_master_address=zk://zk1:2181,zk2:2181/mesos \\
    -ip=0.0.0.0 -http_authentication_mechanism=BASIC -shiro_ini_path=security.ini

\b
Flags have the names they always had, with one dash or two; durations are
30secs, 5mins, 1hrs, 2days, amounts 128MB, 1GB. Without --store, what must not
be lost is in /var/lib/aurora/scheduler/CLUSTER for root, for others in
~/.local/state/aurora/scheduler/CLUSTER.

\b
Exit codes:
  0   stopped, as it was told to; the framework and its tasks live on
  1   this machine or the master refuses: a damaged store, a port in use, a
      framework that the master does not want
  2   wrong flags
  3   a file that a flag names can't be used
  6   another scheduler uses the store, or has taken it over
  70  an internal error, please report it; tasks live on
"""


class _Command(click.Command):
    """Its help shows the flags in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "group", "Others"), []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


class _Flag(click.Option):
    """One of the table."""

    def __init__(self, field: dataclasses.Field[Any]) -> None:
        meta = field.metadata
        self.group = meta["group"]
        shown = f"  [default: {meta['shown']}]" if meta["shown"] else ""
        may_stand_alone: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if meta["kind"] is TRUTH else {}
        super().__init__(
            [f"--{field.name}", field.name],
            type=meta["kind"],
            default=field.default,
            help=meta["words"] + shown,
            metavar=meta["kind"].name.upper() if meta["kind"] is not TRUTH else None,
            **may_stand_alone,
        )


def _ignored(context: click.Context, option: click.Parameter, value: object) -> None:
    """Old unit files have these."""
    if value is not None:
        _log.warning("ignored: %s (it has no meaning here)", option.opts[0])


def make_command() -> click.Command:
    parameters: list[click.Parameter] = [_Flag(field) for field in dataclasses.fields(Flags)]
    parameters += [
        click.Option(
            [f"--{name}", name], is_flag=False, flag_value="true", hidden=True, expose_value=False, callback=_ignored
        )
        for name in IGNORED
    ]
    parameters += [
        click.Option(
            ["--teardown_framework"], is_flag=True, help="End the framework and ALL ITS TASKS, and nothing else."
        ),
        click.Option(["--yes"], is_flag=True, help="With --teardown_framework: ask nothing."),
        click.Option(
            ["--restore_backup"],
            type=click.Path(path_type=Path),
            help="Make the store of this backup, and nothing else; what was there is kept as *.replaced.",
        ),
    ]
    command = _Command(
        name=PROGRAM,
        params=parameters,
        callback=_serve,
        epilog=EPILOG,
        help="The scheduler of a cluster: takes jobs, places their tasks with Mesos, and keeps them running.",
        context_settings={
            "help_option_names": ["-h", "--help", "--long-help"],
            "token_normalize_func": lambda name: name.replace("-", "_"),
            "max_content_width": 110,
        },
    )
    return click.version_option(VERSION, prog_name=PROGRAM, message="%(prog)s %(version)s")(command)


def _two_dashes(words: Sequence[str]) -> list[str]:
    """`-cluster_name=x` is `--cluster_name=x`."""
    return [f"-{word}" if re.match(r"-[a-z][\w-]+(=|$)", word) else word for word in words]


def _serve(teardown_framework: bool, yes: bool, restore_backup: Path | None, **given: Any) -> None:
    settings = settings_of(Flags(**given), whoever())
    if restore_backup is not None:
        if teardown_framework:
            raise UserError("--restore_backup and --teardown_framework don't go together: one after the other")
        restore(restore_backup, settings.store)
        _say(f"cluster {settings.cluster}: {settings.store} is made of {restore_backup}")
        return
    if teardown_framework:
        _tear_down(settings, confirmed=yes)
        return
    raise_file_limit()
    store = open_store(settings)
    if settings.users is None:
        _tell_who_may(settings.flags)
    asyncio.run(serve(settings, store))


def _tell_who_may(flags: Flags) -> None:
    """There are no users."""
    if is_loopback(flags.ip):
        level, who = logging.INFO, "everybody on this machine"
    else:
        level, who = logging.WARNING, f"everybody who can reach {flags.ip}:{flags.http_port}"
    _log.log(level, "%s may change everything; see --http_authentication_mechanism", who)


def _tear_down(settings: Settings, *, confirmed: bool) -> None:
    """Raises UserError for who is not sure."""
    store = open_store(settings)
    if not confirmed:
        text = f"This ends the framework and all tasks of cluster {settings.cluster} at once. Type its name"
        if click.prompt(text, err=True, default="", show_default=False) != settings.cluster:
            raise UserError("nothing is torn down: that was not the cluster's name")
    framework = asyncio.run(tear_down(settings, store))
    _say(f"framework {framework} and its tasks are no more" if framework else "there is no framework")


def whoever() -> Whoever:
    state = os.environ.get("XDG_STATE_HOME")
    return Whoever(
        user=getpass.getuser(),
        is_root=os.geteuid() == 0,
        hostname=socket.getfqdn(),
        state_home=Path(state) if state else Path.home() / ".local" / "state",
    )


def open_store(settings: Settings) -> Store:
    """Raises StoreError, also its special ones."""
    journal = SqliteJournal(settings.store)
    try:
        store = Store(journal)
    except BaseException:
        journal.close()
        raise
    _log.info("cluster %s: %d tasks in %s", settings.cluster, len(store.tables.tasks), settings.store)
    return store


async def serve(settings: Settings, store: Store) -> None:
    """Until SIGTERM or SIGINT. Raises ThermosError."""
    loop = asyncio.get_running_loop()
    scheduler = Scheduler(settings, store)
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, scheduler.stop)
    loop.add_signal_handler(signal.SIGHUP, scheduler.reload)
    await scheduler.run()


def raise_file_limit() -> None:
    """Each reader of events is a connection: as many as we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Lines(logging.Formatter):
    """`aurora_scheduler: …`, with a word before what is worse than a fact; `dated`: and the moment before that."""

    default_msec_format = "%s.%03d"

    def __init__(self, *, dated: bool) -> None:
        super().__init__()
        self._dated = dated

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        moment = f"{self.formatTime(record)} " if self._dated else ""
        return f"{PROGRAM}: {moment}{level}{text}"


def _is_journal(descriptor: int) -> bool:
    """systemd's, which dates lines by itself: systemd.exec(5), JOURNAL_STREAM."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _begin_to_log() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(dated=not _is_journal(2)))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for ours in ("scheduler", "aurora.scheduler"):
        logging.getLogger(ours).setLevel(logging.INFO)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what isn't HTTP is no news


def main() -> NoReturn:
    """The console script."""
    _begin_to_log()
    code: int = Exit.OK
    try:
        make_command().main(_two_dashes(sys.argv[1:]), prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        _say(f"{error.format_message()} (see `{PROGRAM} --help`)")
        code = Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        code = Exit.INTERRUPTED
    except Bug as error:
        _say(f"an internal error, please report it: {error}")
        code = Exit.INTERNAL
    except ThermosError as error:
        _say(str(error))
        code = Exit.NOT_OWNER if isinstance(error, StoreInUse | Fenced) else error.exit_code
    except Exception as error:
        _log.error("an internal error, please report it: %s", error, exc_info=error)
        code = Exit.INTERNAL
    sys.exit(code)


def _say(text: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
