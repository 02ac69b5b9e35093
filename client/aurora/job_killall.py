"""`aurora job killall KEY`."""

from __future__ import annotations

from typing import Any

import click

from client.aurora.context import Context
from client.aurora.killing import kill_options, kill_verb
from client.aurora.options import key_argument, verb_options
from client.job_keys import ClusterJobKey

EPILOG = """
\b
Examples:
  aurora job killall rz1/www/test/webserver
  aurora job killall --no-batching -m 'no longer needed' rz1/www/test/webserver
"""


@click.command("killall", epilog=EPILOG)
@key_argument
@kill_options
@verb_options
def command(context: Context, key: ClusterJobKey, **given: Any) -> int:
    """Kill all instances of a job."""
    return kill_verb(context, key, None, **given)
