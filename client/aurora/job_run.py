"""`aurora job run KEY FILE`: create a job that has an end, follow it there, and end as it ended."""

from __future__ import annotations

from collections.abc import Sequence

import click

from client.aurora.context import Context
from client.aurora.core.waiting import Goal
from client.aurora.creating import check_goal, create, created, failure_text, job_to_create, wait_for
from client.aurora.exits import Exit
from client.aurora.options import bind_options, browser_option, config_argument, key_argument, verb_options
from client.aurora.pages import job_url, open_page
from client.job_keys import ClusterJobKey

EPILOG = """
\b
Examples:
  aurora job run rz1/stats/test/nightly nightly.aurora
  aurora job run --wait 3600 rz1/stats/test/nightly nightly.aurora

\b
Exit codes: 0 every instance FINISHED; 4 one of them failed, was killed or
lost; 9 not over after --wait seconds, the job goes on; 130 interrupted, the
job goes on.
"""


@click.command("run", epilog=EPILOG)
@key_argument
@config_argument
@bind_options
@click.option("--wait", type=click.FloatRange(0), metavar="SECONDS", help="Follow it no longer than that.")
@browser_option
@verb_options
def command(
    context: Context,
    key: ClusterJobKey,
    config: str,
    binds: Sequence[str],
    read_json: bool,
    wait: float | None,
    open_browser: bool,
) -> int:
    """Run a job to its end.

    The job is created and followed until every instance is over; what fails is tried again as its max_task_failures
    says.
    """
    job = job_to_create(context, key, config, binds, read_json)
    check_goal(Goal.FINISHED, key, is_service=job.data["service"])
    api = context.api(key.cluster)
    answer = create(api, job)
    if open_browser:
        open_page(context, job_url(api, key))
    instances = created(answer, range(job.data["instances"]))
    outcome = wait_for(context, api, key, Goal.FINISHED, instances, wait)
    if not outcome.ok:
        context.say(failure_text(key, outcome))
    context.answer({"job": str(key), "instances": instances, **outcome.document()}, _last_lines(key, outcome.ok))
    if outcome.ok:
        return Exit.OK
    return Exit.FAILED if outcome.over else Exit.TIMEOUT


def _last_lines(key: ClusterJobKey, ok: bool) -> list[str]:
    return [f"Job {key} finished"] if ok else []
