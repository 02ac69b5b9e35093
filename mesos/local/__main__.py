"""`python -m mesos.local`: a Mesos on this machine, in the foreground, until ^C, SIGTERM or the terminal closes.

It serves loopback addresses only, and starts executors as ordinary processes of whoever runs it. When it ends, they
end. `--master-option` and `--agent-option` set the fields of `MasterConfig` and `AgentOptions`; `--control` opens the
door for faults (`mesos.local.control`).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from mesos.local.cluster import ATTRIBUTES, HOSTNAME, RESOURCES, LocalCluster, Template
from mesos.local.control import Control, Door
from mesos.local.core.agent_config import AgentOptions
from mesos.local.core.cluster import MasterConfig
from mesos.local.election import KAZOO_LOG
from mesos.local.options import parse_options
from thermos.errors import Bug, Exit, HostError, ThermosError, UserError

_DESCRIPTION = """A Mesos on this machine, in the foreground, until ^C or SIGTERM. Whoever can connect to its ports, as
all users of this machine can, may run commands as you: with --credentials they have to show theirs."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as everything of ours does."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def _folder(text: str) -> Path:
    if not text:
        raise UserError("argument --work-dir: an empty text is no folder")
    return Path(text)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m mesos.local", description=_DESCRIPTION)
    parser.add_argument(
        "--work-dir", type=_folder, help="sandboxes of the tasks (default: a temporary one, removed after)"
    )
    parser.add_argument("--port", type=int, default=5050, help="of the master; agents follow (default 5050)")
    parser.add_argument("--agents", type=int, default=2, help="how many (default 2)")
    parser.add_argument("--masters", type=int, default=1, help="how many; several need --zk (default 1)")
    parser.add_argument("--zk", help="zk://host:port/path, where masters elect their leader")
    for name, default, what in (
        ("attributes", ATTRIBUTES, "of agents; {i}: the number"),
        ("resources", RESOURCES, "of agents; {p0}, {p1}: ports"),
        ("hostname", HOSTNAME, "of agents"),
    ):
        text = f"{what} (default {default}); given several times: one for each"
        parser.add_argument(f"--{name}", action="append", default=[], help=text)
    parser.add_argument("--control", type=Path, metavar="PATH", help="Unix socket to make faults by (default: none)")
    parser.add_argument("--sweep", action="store_true", help="only end what a killed one left in --work-dir")
    parser.add_argument("--credentials", type=Path, metavar="FILE", help="lines with a principal and a secret")
    for what, example in (("master", "heartbeat_interval_s=3"), ("agent", "recovery_timeout_s=60")):
        parser.add_argument(
            f"--{what}-option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help=f"such as {example}; a wrong NAME tells which there are; may be repeated",
        )
    return parser.parse_args(argv)


def read_credentials(path: Path) -> dict[str, str]:
    """Raises UserError."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UserError(f"cannot read the credentials in {path}: {why}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2:
            raise UserError(f"cannot read the credentials in {path}, line {number}: expected a principal and a secret")
        found[words[0]] = words[1]
    if not found:
        raise UserError(f"cannot read the credentials in {path}: there are none")
    return found


def make_cluster(given: argparse.Namespace, work_dir: Path) -> LocalCluster:
    return LocalCluster(
        work_dir,
        given.port,
        agents=given.agents,
        masters=given.masters,
        zk=given.zk,
        credentials=read_credentials(given.credentials) if given.credentials is not None else None,
        attributes=_template(given.attributes, ATTRIBUTES),
        resources=_template(given.resources, RESOURCES),
        hostname=_template(given.hostname, HOSTNAME),
        master_options=parse_options(MasterConfig, given.master_option, "master"),
        agent_options=parse_options(AgentOptions, given.agent_option, "agent"),
    )


def _template(given: list[str], default: str) -> Template:
    """One text is for all agents, several are one for each."""
    return given if len(given) > 1 else [*given, default][0]


async def run(cluster: LocalCluster, control: Path | None = None) -> None:
    """Until a signal, also while it still starts. An error that nobody expected ends it too, in one line."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    broken: list[str] = []

    def on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError):  # of one connection, or no more of them can be taken now: others go on
            print(f"mesos.local: {context['message']}: {error}", file=sys.stderr)  # noqa: T201
            return
        broken.append(f"{type(error).__name__}: {error}" if error is not None else context["message"])
        stop.set()

    loop.set_exception_handler(on_exception)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup has it
            loop.add_signal_handler(signum, stop.set)
    door = Door(Control(cluster), control) if control is not None else None
    starting = asyncio.create_task(_start(cluster, door))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            say(cluster.describe())
            await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.wait({starting, stopping})
        if door is not None:
            await door.close()
        await cluster.stop()
    if broken:
        raise Bug(f"an internal error, please report it: {broken[0]}")


async def _start(cluster: LocalCluster, door: Door | None) -> None:
    """The folder's lock comes first: a second one must not take the first one's door."""
    await cluster.start()
    if door is not None:
        await door.open()


def say(lines: Iterable[str]) -> None:
    """Raises HostError when nobody hears it."""
    try:
        print(*lines, sep="\n", flush=True)  # noqa: T201
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the rest goes at the end of Python
        raise HostError(f"cannot write to stdout: {error.strerror}") from error


def raise_file_limit() -> None:
    """Each connection takes a descriptor, each executor a few: as many as we may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(argv: list[str]) -> int:
    raise_file_limit()
    logging.getLogger(KAZOO_LOG).setLevel(logging.CRITICAL)  # that there is no ZooKeeper is told in one line
    try:
        given = parse_arguments(argv)
        if given.sweep:
            if given.work_dir is None:
                raise UserError("--sweep needs the --work-dir of the one that was killed")
            say([f"ended {asyncio.run(make_cluster(given, given.work_dir).sweep())} executors"])
        elif given.work_dir is not None:
            asyncio.run(run(make_cluster(given, given.work_dir), given.control))
        else:
            with tempfile.TemporaryDirectory(prefix="mesos-local-", ignore_cleanup_errors=True) as folder:
                Path(folder).chmod(0o711)  # tasks of other users have their sandboxes below it
                asyncio.run(run(make_cluster(given, Path(folder)), given.control))
    except ThermosError as error:
        print(f"mesos.local: {error}", file=sys.stderr)  # noqa: T201
        return Exit.INTERNAL if isinstance(error, Bug) else error.exit_code
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
