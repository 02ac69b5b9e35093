"""`aurora update wait KEY [ID]`."""

from __future__ import annotations

import click

from client.aurora.context import Context
from client.aurora.options import key_argument, verb_options
from client.aurora.update_follow import exit_code, follow_update, look_up
from client.aurora.update_options import update_id_argument
from client.job_keys import ClusterJobKey

EPILOG = """
\b
Examples:
  aurora update wait rz1/www/test/webserver
  aurora update wait rz1/www/test/webserver 4b3e2f0a-6f6c-4f4e-9d0e-2f6a1c8f7b11

\b
Exit codes: 0 ROLLED_FORWARD, 4 ROLLED_BACK, 20 it ended otherwise, 6 there is
no such update, 130 interrupted (the update goes on).
"""


@click.command("wait", epilog=EPILOG)
@key_argument
@update_id_argument
@verb_options
def command(context: Context, key: ClusterJobKey, update_id: str | None) -> int:
    """Follow an update to its end.

    Without ID the one that the job is in.
    """
    api = context.api(key.cluster)
    found = look_up(api, key, update_id)
    update = follow_update(context, api, key, found.id, from_start=False)
    context.answer({"job": str(key), "id": update.id, "status": update.status, "message": update.message})
    return exit_code(context, key, update)
