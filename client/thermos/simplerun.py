"""`thermos simplerun COMMAND…`: a task of one process, without a config file."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import click

from client.exits import echo_lines
from client.thermos.begin import begin
from client.thermos.options import running_options
from client.thermos.target import Target
from config.core.compile import required_ports
from config.loader import load_tasks
from thermos.errors import ConfigError, UserError

EPILOG = """
\b
Examples:
  thermos simplerun sleep 60
  thermos simplerun --daemon --name web -- python3 -m http.server
  thermos simplerun -P http:8080 'python3 -m http.server {{thermos.ports[http]}}'
  thermos simplerun -E who=you echo 'hello {{who}}'

\b
The words of COMMAND are joined by blanks and run by bash; quote what bash shall see.

\b
Exit codes: as of `thermos run`: 0 success, 1 failed, 2 usage, 3 bad config, 4 killed, 5 lost,
6 the task can't be owned, 130 interrupted twice.
"""

_MB = 1024 * 1024


@click.command("simplerun", epilog=EPILOG, context_settings={"allow_interspersed_args": False})
@click.argument("words", metavar="[--] COMMAND...", nargs=-1, type=click.UNPROCESSED)
@click.option("--name", default="simple", help="Name of the task and its process.  [default: simple]")
@click.option("-P", "--port", "ports", metavar="NAME:PORT", multiple=True, help="Bind a port.")
@click.option(
    "-E", "--environment", "--bind", "binds", metavar="NAME=VALUE", multiple=True, help="Bind a reference in COMMAND."
)
@running_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Run a command line as a task of its own.

    It is a task with one process, 1 cpu and 256 MB; everything that `thermos run` offers works.
    """  # fmt: skip
    if not given["words"]:
        raise UserError("say what to run: `thermos simplerun [--] COMMAND...`")
    cmdline = " ".join(given["words"])
    target = simple_target(given["name"], cmdline, given["binds"])
    if given["output"] != "json":
        echo_lines([f"Running command: '{cmdline}'"])
    return begin(ctx, target, given)


def simple_target(name: str, cmdline: str, binds: Sequence[str]) -> Target:
    """A task of one process. Raises ConfigError."""
    task = {
        "name": name,
        "processes": [{"name": name, "cmdline": cmdline}],
        "resources": {"cpu": 1.0, "ram": 256 * _MB, "disk": 0},
    }
    try:
        config = load_tasks(io.StringIO(json.dumps(task)), json=True, binds=binds).pick()
        return Target(name, config, required_ports(config))
    except ValueError as error:
        raise ConfigError(f"{cmdline}: {error}") from error
