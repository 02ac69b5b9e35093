"""`aurora update pause KEY`."""

from __future__ import annotations

import click

from client.aurora.context import Context
from client.aurora.options import key_argument, verb_options
from client.aurora.update_options import message_option
from client.aurora.update_wishes import wish_verb
from client.job_keys import ClusterJobKey

EPILOG = """
\b
Examples:
  aurora update pause -m "let us look first" rz1/www/test/webserver

It stands still at once: an instance that was just stopped for it is replaced when
it goes on.
Exit codes: 6 there is no active update, 10 the scheduler refused.
"""


@click.command("pause", epilog=EPILOG)
@key_argument
@message_option
@verb_options
def command(context: Context, key: ClusterJobKey, message: str) -> int:
    """Pause an update."""
    return wish_verb(context, key, message, "Update has been paused.")
