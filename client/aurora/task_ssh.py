"""`aurora task ssh KEY[/INSTANCE]`: a shell in the sandbox of an instance, and tunnels to its ports."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import click

from client.aurora.context import Context
from client.aurora.options import chosen_argument, verb_options
from client.aurora.task_access import ON_A_HOST, access_options, find_places, is_here, parse_words, shell_words
from client.aurora.task_commands import shell_code
from client.aurora.task_place import parse_tunnel, tunnel_words
from client.job_keys import Chosen
from thermos.errors import HostError, UserError

EPILOG = """
\b
Examples:
  aurora task ssh rz1/www/prod/web/0
  aurora task ssh rz1/www/prod/web/0 -c 'tail -f .logs/server/0/stderr'
  aurora task ssh rz1/www/prod/web/0 -L 8080:http     its port http as localhost:8080

\b
Without an instance it is the first one that is running.

\b
Exit codes: that of the command; 255 if ssh fails; 6 if nothing runs.
"""

_SHELL = "bash"


@click.command("ssh", epilog=EPILOG)
@chosen_argument
@click.option("-L", "--tunnels", metavar="PORT:NAME", multiple=True, help="Tunnel from a port here to a named port.")
@click.option("-c", "--command", "command_line", metavar="COMMAND", help="Run this instead of a shell.")
@click.option("-p", "--pid-file", metavar="PATH", help="Keep the process id of ssh there while it runs.")
@access_options
@verb_options
def command(context: Context, /, chosen: Chosen, **given: Any) -> int:
    """Open a shell in the sandbox of an instance."""
    if given["command_line"] is not None and chosen.instances is None:
        raise UserError(f"INSTANCE must be specified when --command option is given: {chosen.job}/0")
    place = find_places(context, chosen, ON_A_HOST)[0]
    cluster = context.cluster(chosen.job.cluster)
    tunnels = [(text, *parse_tunnel(text, place)) for text in given["tunnels"]]
    ssh = ["-t", *parse_words("--ssh-options", given["ssh_options"])]
    for text, here, there in tunnels:
        ssh += tunnel_words(here, there, place.host)
        if is_here(cluster):
            context.say(f"no tunnel {text} is needed: {place.host}:{there} is on this machine")
    wanted = given["command_line"] if given["command_line"] is not None else _SHELL
    words = shell_words(cluster, place, wanted, ssh=ssh, user=given["ssh_user"], executor=given["executor_sandbox"])
    return run_in_foreground(words, None if given["pid_file"] is None else Path(given["pid_file"]))


def run_in_foreground(words: list[str], pid_file: Path | None = None) -> int:
    """The exit code of a command that has our terminal. Ctrl-C is for it. Raises HostError; KeyboardInterrupt if it
    failed after that."""
    interrupts: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # a handler, so that the command has the default; no exception hides its end
        signal.signal(signal.SIGINT, lambda number, _frame: interrupts.append(number))
    try:
        code = _run(words, pid_file)
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts and code != 0:
        raise KeyboardInterrupt
    return shell_code(code)


def _run(words: list[str], pid_file: Path | None) -> int:
    try:
        process = subprocess.Popen(words)
    except OSError as error:
        raise HostError(f"cannot run {words[0]}: {error.strerror}") from error
    if pid_file is None:
        return process.wait()
    try:
        _keep_pid(pid_file, process.pid)
        return process.wait()
    except HostError:
        process.terminate()
        process.wait()
        raise
    finally:
        _drop_pid(pid_file, process.pid)


def _keep_pid(path: Path, pid: int) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(f"{pid}\n")
        fresh.replace(path)
    except OSError as error:
        raise HostError(f"cannot write --pid-file {path}: {error.strerror}") from error


def _drop_pid(path: Path, pid: int) -> None:
    """Unless somebody else has written it anew."""
    try:
        if path.read_text().strip() == str(pid):
            path.unlink()
    except (OSError, UnicodeDecodeError):
        return
