"""`thermos run CONFIG`: begin a task, or take over one whose runner has died, and stay until it is over.

This is the first half: words and config become orders. The second half, `client.thermos.stay`, carries them out.
"""

from __future__ import annotations

from typing import Any

import click

from client.thermos.begin import begin
from client.thermos.options import config_options, running_options
from client.thermos.target import load_target

EPILOG = """
\b
Examples:
  thermos run hello.thermos
  thermos run -P http:8080 --job www/test/webserver web.aurora
  thermos run --auto-ports -E profile.numbers=500 --plain job.aurora
  thermos run --root ./state --task-id nightly-1 nightly.thermos   # again: takes over

\b
Signals: SIGTERM, SIGINT (Ctrl-C), SIGUSR1 and SIGHUP end the task politely,
a second SIGINT at once; SIGUSR2 gives it up as lost.

\b
Exit codes: 0 success, 1 failed, 2 usage, 3 bad config, 4 killed, 5 lost,
6 the task can't be owned, 130 interrupted twice.
"""


@click.command("run", epilog=EPILOG)
@config_options
@running_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Run a task in the foreground.

    CONFIG is a .thermos or .aurora file (or JSON). With the --root and --task-id of a task whose runner has died, that
    task is taken over where it stands. Every run has a sandbox of its own.
    """
    target = load_target(
        given["config"], json=given["json_input"], binds=given["binds"], task=given["task"], job=given["job"]
    )
    return begin(ctx, target, given)
