"""`aurora job add KEY/INSTANCE COUNT`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from client.api_client import job_path
from client.aurora.context import Context
from client.aurora.core.waiting import Goal
from client.aurora.creating import created, failure_text, wait_for
from client.aurora.exits import Exit
from client.aurora.hooked import call_hooked, optional_job
from client.aurora.hooks import ApiMethod
from client.aurora.options import (
    browser_option,
    hooks_config_option,
    instance_argument,
    verb_options,
    wait_option,
)
from client.aurora.pages import job_url, open_page
from client.job_keys import ClusterJobKey, instance_ranges

EPILOG = """
\b
Examples:
  aurora job add rz1/www/test/webserver/0 3           3 more like instance 0
  aurora job add --wait-until RUNNING rz1/www/test/webserver/0 1
"""


@click.command("add", epilog=EPILOG)
@instance_argument
@click.argument("count", type=click.IntRange(1))
@wait_option()
@browser_option
@hooks_config_option
@verb_options
def command(
    context: Context,
    instance: tuple[ClusterJobKey, int],
    count: int,
    wait_until: str,
    open_browser: bool,
    config: str | None,
    binds: Sequence[str],
    read_json: bool,
) -> int:
    """Add instances to a job.

    COUNT new instances get the configuration of the one that is named.
    """
    key, template = instance
    job = optional_job(context, key, config, binds, read_json)
    api = context.api(key.cluster)
    body = {"template": template, "count": count}
    answer = call_hooked(
        key, job, ApiMethod.ADD_INSTANCES, lambda: api.post(job_path(key, "instances"), body), count=count
    )
    added = created(answer)
    if open_browser:
        open_page(context, job_url(api, key))
    outcome = wait_for(context, api, key, Goal(wait_until), added)
    if not outcome.ok:
        context.say(failure_text(key, outcome))
    document = {"job": str(key), "instances": added, **outcome.document()}
    context.answer(document, [f"Job add succeeded: instances {instance_ranges(added)}"] if outcome.ok else [])
    return Exit.OK if outcome.ok else Exit.FAILED
