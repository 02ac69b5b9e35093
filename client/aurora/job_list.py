"""`aurora job list CLUSTER[/ROLE[/ENV[/NAME]]]`: one key per line."""

from __future__ import annotations

import click

from client.aurora.context import Context
from client.aurora.matching import job_of, summaries_matching
from client.aurora.options import partial_key_argument, verb_options
from client.job_keys import PartialKey

EPILOG = """
\b
Examples:
  aurora job list rz1
  aurora job list rz1/www
  aurora job list 'rz1/*/prod/web*'
"""


@click.command("list", epilog=EPILOG)
@partial_key_argument
@verb_options
def command(context: Context, key: PartialKey) -> int:
    """List jobs.

    Parts of the key may be left out or be globs; no job is no error.
    """
    found = summaries_matching(context.api(key.cluster), key)
    jobs = [str(job_of(key.cluster, summary)) for summary in found]
    context.answer([{"job": job, **summary} for job, summary in zip(jobs, found, strict=True)], jobs)
    return 0
