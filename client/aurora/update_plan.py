"""`aurora update plan KEY[/INSTANCES] FILE`: what `update start` would do. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

import click

from client.api_client import job_path
from client.aurora.context import Context
from client.aurora.core.answers import parse
from client.aurora.core.update_plan_text import Plan, plan_lines
from client.aurora.differences import populated, tell_diff
from client.aurora.options import bind_options, chosen_argument, config_argument, verb_options
from client.aurora.updating import job_to_update, request_for
from client.job_keys import Chosen

EPILOG = """
\b
Examples:
  aurora update plan rz1/www/test/webserver webserver.aurora
  aurora update plan --bind profile.instances=8 rz1/www/test/web web.aurora

The scheduler rehearses the update with the times that this job's tasks took to
start in the past. It supposes that nothing fails.
"""


@click.command("plan", epilog=EPILOG)
@chosen_argument
@config_argument
@bind_options
@verb_options
def command(context: Context, chosen: Chosen, config: str, binds: Sequence[str], read_json: bool) -> int:
    """Show what an update would do.

    What it changes, its batches, how few instances run meanwhile, and how long it may take.
    """
    job = job_to_update(context, chosen, config, binds, read_json)
    api = context.api(chosen.job.cluster)
    request = request_for(api, job, chosen.instances)
    answer = api.post(job_path(job.key, "updates", "plan"), {**request, "message": ""})
    if context.json:
        context.answer({"job": str(job.key), **answer})
        return 0
    plan = parse(answer, Plan)
    tell_diff(context, plan.diff, populated(api, job))
    context.echo(*(plan_lines(plan) if plan.batches else ["Job is unchanged by proposed update."]))
    return 0
