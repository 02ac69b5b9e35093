"""`aurora job why KEY/INSTANCE`: why an instance does not start, host by host, and what would help."""

from __future__ import annotations

import click

from client.api_client import job_path
from client.aurora.context import Context
from client.aurora.core.answers import Why, parse
from client.aurora.core.why_text import why_lines
from client.aurora.options import instance_argument, verb_options
from client.job_keys import ClusterJobKey
from thermos.clock import now

EPILOG = """
\b
Examples:
  aurora job why rz1/www/test/webserver/0
  aurora job why --hosts 1000 -o json rz1/www/test/webserver/0

It is worked out anew from what every host offers now. An instance that waits
for no host has no hosts to show.
"""


@click.command("why", epilog=EPILOG)
@instance_argument
@click.option(
    "--hosts",
    type=click.IntRange(0, 10_000),
    default=50,
    show_default=True,
    help="So many hosts, the nearest to a fit first.",
)
@verb_options
def command(context: Context, instance: tuple[ClusterJobKey, int], hosts: int) -> int:
    """Say why an instance waits, host by host."""
    job, number = instance
    answer = context.api(job.cluster).get(job_path(job, "instances", number, "why"), {"hosts": hosts})
    context.answer(answer, why_lines(f"{job}/{number}", parse(answer, Why), int(now().wall * 1000)))
    return 0
