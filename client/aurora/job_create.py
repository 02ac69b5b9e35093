"""`aurora job create KEY FILE`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from client.aurora.context import Context
from client.aurora.core.waiting import Goal
from client.aurora.creating import check_goal, create, created, failure_text, job_to_create, wait_for
from client.aurora.exits import Exit
from client.aurora.options import (
    bind_options,
    browser_option,
    config_argument,
    key_argument,
    verb_options,
    wait_option,
)
from client.aurora.pages import job_url, open_page
from client.job_keys import ClusterJobKey

EPILOG = """
\b
Examples:
  aurora job create rz1/www/test/webserver webserver.aurora
  aurora job create --wait-until RUNNING --bind profile.instances=3 rz1/www/test/web web.aurora

With --wait-until every change is shown; exit code 4 says that an instance will
not come so far.
"""


@click.command("create", epilog=EPILOG)
@key_argument
@config_argument
@bind_options
@wait_option()
@browser_option
@verb_options
def command(
    context: Context,
    key: ClusterJobKey,
    config: str,
    binds: Sequence[str],
    read_json: bool,
    wait_until: str,
    open_browser: bool,
) -> int:
    """Create a job."""
    goal = Goal(wait_until)
    job = job_to_create(context, key, config, binds, read_json)
    check_goal(goal, key, is_service=job.data["service"])
    api = context.api(key.cluster)
    answer = create(api, job)
    url = job_url(api, key)
    if open_browser:
        open_page(context, url)
    instances = created(answer, range(job.data["instances"]))
    outcome = wait_for(context, api, key, goal, instances)
    if not outcome.ok:
        context.say(failure_text(key, outcome))
    document = {"job": str(key), "url": url, "instances": instances, **outcome.document()}
    context.answer(document, [f"Job create succeeded: job url={url}"] if outcome.ok else [])
    return Exit.OK if outcome.ok else Exit.FAILED
