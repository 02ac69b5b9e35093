"""`aurora update info KEY [ID]`."""

from __future__ import annotations

import click

from client.aurora.context import Context
from client.aurora.core.update_text import info_document, info_lines
from client.aurora.options import key_argument, verb_options
from client.aurora.update_follow import look_up
from client.aurora.update_options import update_id_argument
from client.aurora.update_watch import wall_ms
from client.job_keys import ClusterJobKey

EPILOG = """
\b
Examples:
  aurora update info rz1/www/test/webserver
  aurora update info -o json rz1/www/test/webserver 4b3e2f0a-6f6c-4f4e-9d0e-2f6a1c8f7b11

Ids of updates that have ended: `aurora update list KEY`. Exit code 6: there is
no such update.
"""


@click.command("info", epilog=EPILOG)
@key_argument
@update_id_argument
@verb_options
def command(context: Context, key: ClusterJobKey, update_id: str | None) -> int:
    """Show an update.

    How far it is, what it waits for, and what has happened to it. Without ID the one that the job is in.
    """
    update = look_up(context.api(key.cluster), key, update_id)
    context.answer(info_document(str(key), update), info_lines(str(key), update, wall_ms()))
    return 0
