"""`thermos_observer`: flags, the server, and a clean stop at SIGTERM or SIGINT.

The original's flags are understood with underscores and with dashes. Departures: `--ip` is 127.0.0.1 unless told
otherwise (there was no password and every log could be read by the whole network), and the disk interval sets the
disk interval. Its flags of logging and daemonizing are understood and do nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click
from aiohttp import web

from observer.app import MAX_LINE, make_app
from observer.auth import Guard, load_guard
from observer.host import Host, Settings
from observer.inventory import Places
from observer.ui import render
from thermos.errors import Exit, HostError, ThermosError, UserError
from thermos.version import VERSION

SYSTEM_ROOT = Path("/var/run/thermos")
MESOS_ROOT = Path("/var/lib/mesos")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}

#: Seconds that open requests have when the server stops.
PATIENCE = 2.0

#: Seconds after which a connection is closed that says nothing, or does not get to the end of a request's head.
IDLE = 75.0


@dataclass(frozen=True, slots=True)
class Listening:
    """Where, and how well protected. All addresses have the same port."""

    ips: tuple[str, ...]
    port: int
    cert: str | None
    key: str | None


def default_roots() -> tuple[Path, ...]:
    """The system's root, and for users their own one."""
    if os.geteuid() == 0:
        return (SYSTEM_ROOT,)
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return (Path(state) / "thermos", SYSTEM_ROOT)


def tls_of(listening: Listening) -> ssl.SSLContext | None:
    """Raises UserError, HostError."""
    if listening.cert is None:
        if listening.key is not None:
            raise UserError("--tls_key needs --tls_cert")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listening.cert, listening.key)
    except (OSError, ssl.SSLError) as error:
        raise HostError(f"cannot use the certificate {listening.cert}: {error}") from error
    return context


def is_loopback(ip: str) -> bool:
    """Can only this machine reach it?"""
    if ip in _LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return False


def host_names(ips: tuple[str, ...], allowed: tuple[str, ...], protected: bool) -> frozenset[str]:
    """Names to answer to. On loopback without a password only our own: a page elsewhere must not reach us by a name
    that it has made point here. Everywhere else any."""
    ours = {*_LOOPBACK, "[::1]", *(ip for ip in ips if is_loopback(ip))}
    if allowed:
        return frozenset(name.lower() for name in (*allowed, *ours))
    if protected or not all(map(is_loopback, ips)):
        return frozenset()
    return frozenset({*ours, socket.gethostname().lower(), socket.getfqdn().lower()})


def raise_file_limit() -> None:
    """Two descriptors per active task: as many as we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve(places: Places, settings: Settings, guard: Guard, listening: Listening) -> None:
    """Until SIGTERM or SIGINT. Raises HostError when the port can't be had."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    host = Host(places, settings, socket.gethostname())
    app = make_app(host, render, guard)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=PATIENCE,
        keepalive_timeout=IDLE,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
    )
    await runner.setup()
    try:
        await _listen(runner, listening)
        await host.start()
        _say(f"observing {_places_words(places)} at {', '.join(_addresses(runner, listening))}")
        await stop.wait()
    finally:
        await host.close()
        await runner.cleanup()


async def _listen(runner: web.AppRunner, listening: Listening) -> None:
    """Any free port (0) of the first address is that of all."""
    port = listening.port
    for ip in listening.ips:
        try:
            await web.TCPSite(runner, ip, port, ssl_context=tls_of(listening)).start()
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None) or 0
            reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)
            raise HostError(f"cannot listen on {ip}:{port}: {reason}") from error
        port = runner.addresses[0][1]


def _addresses(runner: web.AppRunner, listening: Listening) -> list[str]:
    port, scheme = runner.addresses[0][1], "https" if listening.cert else "http"
    names = [f"[{ip}]" if ":" in ip else ip for ip in listening.ips]
    return [f"{scheme}://{name}:{port}/" for name in names]


def _places_words(places: Places) -> str:
    return ", ".join(str(path) for path in (*places.roots, *places.mesos_roots))


def _say(text: str) -> None:
    sys.stderr.write(f"thermos_observer: {text}\n")
    sys.stderr.flush()


EPILOG = """
\b
Examples:
  thermos observer                              this host's tasks at http://127.0.0.1:1338/
  thermos observer --root ./checkpoints --port 8080
  thermos observer --ip 0.0.0.0 --basic_auth_file users --tls_cert cert.pem --tls_key key.pem

\b
A file for --basic_auth_file has a line user:password for each user, one for
--token_file a token a line (sent as `Authorization: Bearer TOKEN`); nobody
else may be able to read it. Without either, everybody who can connect may
read all logs and files of all tasks.
"""


def _ignored(context: click.Context, option: click.Parameter, value: object) -> None:
    """Flags of the original's library stand in many a unit file: a line says that they do nothing."""
    if value:
        _say(f"ignored: {option.opts[0]} (it logs to standard error and stays in the foreground)")


def _old(name: str) -> tuple[str, ...]:
    """A flag under its old name and with dashes."""
    return (f"--{name}", f"--{name.replace('_', '-')}", name)


@click.command(name="observer", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help", "--long-help"]})
@click.version_option(VERSION, prog_name="thermos_observer", message="%(prog)s %(version)s")
@click.option("--root", "roots", multiple=True, metavar="PATH", help="Checkpoint root; may be given several times.")
@click.option(
    "--mesos-root",
    "--mesos_root",
    "mesos_roots",
    multiple=True,
    metavar="PATH",
    help="Work directory of a Mesos agent; may be given several times.  [default: /var/lib/mesos, if no --root]",
)
@click.option(
    "--ip",
    "ips",
    multiple=True,
    default=("127.0.0.1",),
    show_default=True,
    help="Address to listen on; may be given several times; 0.0.0.0 is everywhere.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=1338, show_default=True, help="0: any free one.")
@click.option(
    *_old("polling_interval_secs"),
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    help="Looks for tasks where the kernel does not tell (no inotify left).",
)
@click.option(*_old("disable_task_resource_collection"), is_flag=True, help="Measure no CPU, memory and disk.")
@click.option(
    *_old("task_process_collection_interval_secs"),
    type=click.FloatRange(1.0),
    default=20.0,
    show_default=True,
    help="Between two looks at CPU and memory.",
)
@click.option(
    *_old("task_disk_collection_interval_secs"),
    type=click.FloatRange(1.0),
    default=60.0,
    show_default=True,
    help="Between two looks at disk usage.",
)
@click.option(*_old("enable_mesos_disk_collector"), is_flag=True, help="Ask the Mesos agent for disk usage.")
@click.option(
    *_old("agent_api_url"),
    default="http://localhost:5051/containers",
    show_default=True,
    help="Where the agent tells it.",
)
@click.option(
    *_old("executor_id_json_path"),
    default="executor_id",
    show_default=True,
    help="Where the executor id is in its answer.",
)
@click.option(
    *_old("disk_usage_json_path"),
    default="statistics.disk_used_bytes",
    show_default=True,
    help="Where the disk usage is in its answer.",
)
@click.option(*_old("basic_auth_file"), metavar="FILE", help="Users who may ask: lines user:password.")
@click.option(*_old("token_file"), metavar="FILE", help="Tokens that may ask, one a line.")
@click.option(*_old("allowed_host"), multiple=True, metavar="NAME", help="Answer to this host name (and to localhost).")
@click.option(*_old("tls_cert"), metavar="FILE", help="Serve HTTPS with this certificate (PEM).")
@click.option("--log_to_disk", "--log-to-disk", hidden=True, expose_value=False, callback=_ignored)
@click.option("--log_to_stderr", "--log-to-stderr", hidden=True, expose_value=False, callback=_ignored)
@click.option("--log_dir", "--log-dir", hidden=True, expose_value=False, callback=_ignored)
@click.option("--app_pidfile", "--app-pidfile", hidden=True, expose_value=False, callback=_ignored)
@click.option("--app_daemonize", "--app-daemonize", is_flag=True, hidden=True, expose_value=False, callback=_ignored)
@click.option(*_old("tls_key"), metavar="FILE", help="Its key, if it is in another file.")
def command(
    roots: tuple[str, ...], mesos_roots: tuple[str, ...], ips: tuple[str, ...], port: int, polling_interval_secs: float,
    disable_task_resource_collection: bool, task_process_collection_interval_secs: float,
    task_disk_collection_interval_secs: float, enable_mesos_disk_collector: bool, agent_api_url: str,
    executor_id_json_path: str, disk_usage_json_path: str, basic_auth_file: str | None, token_file: str | None,
    allowed_host: tuple[str, ...], tls_cert: str | None, tls_key: str | None,
) -> None:  # fmt: skip
    """Show every task of this host in the browser, live: states, graphs, logs, files, usage."""
    places = Places(
        roots=tuple(Path(root).absolute() for root in roots) or (() if mesos_roots else default_roots()),
        mesos_roots=tuple(Path(root).absolute() for root in mesos_roots) or (() if roots else (MESOS_ROOT,)),
    )
    settings = Settings(
        polling=polling_interval_secs,
        sampling=not disable_task_resource_collection,
        process_interval=task_process_collection_interval_secs,
        disk_interval=task_disk_collection_interval_secs,
        agent_disk=enable_mesos_disk_collector,
        agent_url=agent_api_url,
        executor_id_path=executor_id_json_path,
        disk_path=disk_usage_json_path,
    )
    protected = basic_auth_file is not None or token_file is not None
    guard = load_guard(basic_auth_file, token_file, host_names(ips, allowed_host, protected))
    listening = Listening(tuple(dict.fromkeys(ips)), port, tls_cert, tls_key)
    tls_of(listening)
    for ip in ips:
        if protected or is_loopback(ip):
            continue
        _say(f"warning: everybody who can reach {ip}:{port} may read all logs and files; see --basic_auth_file")
    raise_file_limit()
    asyncio.run(serve(places, settings, guard, listening))


def main(called: str = "thermos_observer") -> NoReturn:
    """The console script; `thermos observer` says that it was `called` so."""
    logging.basicConfig(level=logging.WARNING, format="thermos_observer: %(levelname)s: %(message)s")
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what isn't HTTP is no news
    try:
        command.main(prog_name=called, standalone_mode=False)
        code = 0
    except click.ClickException as error:
        _say(f"{error.format_message()} (see `{called} --help`)")
        code = Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        code = Exit.INTERRUPTED
    except ThermosError as error:
        _say(str(error))
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
