"""`aurora update start KEY[/INSTANCES] FILE`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import click

from client.api_client import ApiClient, job_path
from client.aurora.context import Context
from client.aurora.core.answers import Answer, JobDiff, parse
from client.aurora.core.updates import UpdateKey
from client.aurora.differences import ask_diff, populated, tell_diff
from client.aurora.hooked import call_hooked
from client.aurora.hooks import ApiMethod
from client.aurora.jobfile import JobOfFile
from client.aurora.options import bind_options, browser_option, chosen_argument, config_argument, verb_options
from client.aurora.pages import open_page, page_url
from client.aurora.update_follow import exit_code, follow_update
from client.aurora.update_options import message_option, wait_option
from client.aurora.updating import job_to_update, request_for
from client.job_keys import Chosen, ClusterJobKey
from thermos.errors import RemoteError

EPILOG = """
\b
Examples:
  aurora update start rz1/www/test/webserver webserver.aurora
  aurora update start --wait rz1/www/test/webserver webserver.aurora
  aurora update start rz1/www/test/webserver/0-1 webserver.aurora     a canary
  aurora update start --bind profile.instances=8 rz1/www/test/web web.aurora

\b
How many at a time, how long each is watched, and what happens when some fail
stands in the job's update_config. `aurora update plan` shows what would happen.

\b
Exit codes: 0 it has started, or there is nothing to do; 10 the scheduler
refused, e.g. because the job is in an update; with --wait 0 ROLLED_FORWARD,
4 ROLLED_BACK, 20 it ended otherwise, 130 interrupted (the update goes on).
"""

#: The scheduler knows by it an update that was started already, and whose answer got lost.
UPDATE_ID = "org.apache.aurora.client.update_id"


class Started(Answer, frozen=True):
    """`started` False: there is nothing to do, `message` says so."""

    started: bool = True
    key: UpdateKey | None = None
    message: str = ""


@click.command("start", epilog=EPILOG)
@chosen_argument
@config_argument
@bind_options
@message_option
@wait_option("Follow it to its end. Ctrl-C ends the following only.")
@click.option(
    "--progress-deadline",
    type=click.IntRange(1, 10**6),
    metavar="SECONDS",
    help="An instance that does not get on for so long has failed; an update that gets no pulse for so long is aborted."
    "  [default: it is waited for]",
)
@browser_option
@click.option("--strict", is_flag=True, help="Has no effect; it is there for old scripts.")
@click.option("--healthcheck-interval-seconds", type=float, default=3, help="Likewise.")
@verb_options
def command(
    context: Context,
    chosen: Chosen,
    config: str,
    binds: Sequence[str],
    read_json: bool,
    message: str,
    wait: bool,
    progress_deadline: int | None,
    open_browser: bool,
    **_without_effect: Any,
) -> int:
    """Start an update of a job, or the job.

    The scheduler changes instance by instance what differs from the config; what is as it should be is left alone.
    """
    job = job_to_update(context, chosen, config, binds, read_json)
    api = context.api(chosen.job.cluster)
    diff = _tell_diff(context, api, job, chosen)
    request = request_for(api, job, chosen.instances, [(UPDATE_ID, str(uuid.uuid4()))])
    if progress_deadline is not None:
        request["settings"]["progressDeadlineMs"] = progress_deadline * 1000
    started = _start(api, job, chosen, {**request, "message": message})
    if not started.started or started.key is None:
        context.answer({"job": str(job.key), "started": False, "message": started.message}, [started.message])
        return 0
    url = update_url(api, job.key, started.key.id)
    context.echo(f"Job update has started. View your update progress at {url}")
    if open_browser:
        open_page(context, url)
    document = {"job": str(job.key), "started": True, "id": started.key.id, "url": url, "diff": diff}
    if not wait:
        context.answer(document)
        return 0
    update = follow_update(context, api, job.key, started.key.id, from_start=True)
    context.answer({**document, "status": update.status, "message": update.message})
    return exit_code(context, job.key, update)


def _tell_diff(context: Context, api: ApiClient, job: JobOfFile, chosen: Chosen) -> dict[str, Any]:
    new = populated(api, job)
    answer = ask_diff(api, job, new, chosen.instances)
    if not context.json:
        tell_diff(context, parse(answer, JobDiff), new)
    return answer


def _start(api: ApiClient, job: JobOfFile, chosen: Chosen, body: dict[str, Any]) -> Started:
    answer = call_hooked(
        job.key,
        job,
        ApiMethod.START_JOB_UPDATE,
        lambda: api.post(job_path(job.key, "updates"), body),
        message=body["message"],
        instances=list(chosen.instances) if chosen.instances is not None else None,
    )
    started = parse(answer, Started)
    if started.started and started.key is None:
        raise RemoteError("the scheduler's answer is not understood: an update without a key")
    return started


def update_url(api: ApiClient, job: ClusterJobKey, update_id: str) -> str:
    return page_url(api, job.role, job.environment, job.name, "update", update_id)
