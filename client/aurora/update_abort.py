"""`aurora update abort KEY`."""

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
  aurora update abort -m "wrong version" rz1/www/test/webserver

Instances that were updated stay updated, the others as they were.
`aurora update rollback` takes everything back instead.
Exit codes: 6 there is no active update, 10 the scheduler refused.
"""


@click.command("abort", epilog=EPILOG)
@key_argument
@message_option
@verb_options
def command(context: Context, key: ClusterJobKey, message: str) -> int:
    """End an update; the job stays as it is."""
    return wish_verb(context, key, message, "Update has been aborted.")
