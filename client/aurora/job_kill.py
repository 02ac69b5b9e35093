"""`aurora job kill KEY/INSTANCES`."""

from __future__ import annotations

from typing import Any

import click

from client.aurora.context import Context
from client.aurora.killing import kill_options, kill_verb
from client.aurora.options import chosen_argument, strict_option, verb_options
from client.job_keys import Chosen
from thermos.errors import UserError

EPILOG = """
\b
Examples:
  aurora job kill rz1/www/test/webserver/0
  aurora job kill --batch-size 5 -m 'bad build' rz1/www/test/webserver/0-9,12

A batch is over when its tasks have ended. Exit code 4: one of them has not.
"""


@click.command("kill", epilog=EPILOG)
@chosen_argument
@kill_options
@strict_option
@verb_options
def command(context: Context, chosen: Chosen, **given: Any) -> int:
    """Kill instances of a job."""
    if chosen.instances is None:
        raise UserError(
            f"{chosen.job}: the instances cannot be omitted; `aurora job killall {chosen.job}` kills all of them"
        )
    return kill_verb(context, chosen.job, chosen.instances, **given)
