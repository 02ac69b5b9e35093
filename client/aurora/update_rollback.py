"""`aurora update rollback KEY`."""

from __future__ import annotations

import click

from client.aurora.context import Context
from client.aurora.options import key_argument, verb_options
from client.aurora.update_follow import ENDS_OF_ROLLBACK, exit_code, follow_update
from client.aurora.update_options import message_option, wait_option
from client.aurora.update_wishes import wish
from client.job_keys import ClusterJobKey

EPILOG = """
\b
Examples:
  aurora update rollback rz1/www/test/webserver
  aurora update rollback --wait -m "errors in the log" rz1/www/test/webserver

\b
Exit codes: 6 there is no active update, 10 the scheduler refused; with --wait
0 it was rolled back, 4 it went forward, 20 it ended otherwise, 130 interrupted
(the update goes on).
"""


@click.command("rollback", epilog=EPILOG)
@key_argument
@message_option
@wait_option("Follow it to its end. Ctrl-C ends the following only.")
@verb_options
def command(context: Context, key: ClusterJobKey, message: str, wait: bool) -> int:
    """Take an update back.

    Every instance that it has changed becomes what it was before, in reverse order. To undo an update that has ended,
    start one with the old config.
    """
    api = context.api(key.cluster)
    moved = wish(api, key, "rollback", message)
    context.echo("Update rollback has started.")
    document = {"job": str(key), "id": moved.key.id, "status": moved.status}
    if not wait:
        context.answer(document)
        return 0
    update = follow_update(context, api, key, moved.key.id, from_start=False)
    context.answer({**document, "status": update.status})
    return exit_code(context, key, update, ENDS_OF_ROLLBACK)
