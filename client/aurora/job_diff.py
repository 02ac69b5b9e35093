"""`aurora job diff KEY[/INSTANCES] FILE`: what an update to this config would do. Nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from client.api_client import is_missing, job_path
from client.aurora.context import Context
from client.aurora.core.answers import JobConfigs, JobDiff, parse
from client.aurora.core.config_diff import ranges_text
from client.aurora.differences import ask_diff, populated, show_configs, tell_diff
from client.aurora.jobfile import load_job
from client.aurora.options import Parsed, bind_options, chosen_argument, config_argument, verb_options
from client.job_keys import Chosen, ClusterJobKey, instance_ranges, parse_job_key
from thermos.errors import RemoteError, UserError

EPILOG = """
\b
Examples:
  aurora job diff rz1/www/test/webserver webserver.aurora
  aurora job diff rz1/www/test/webserver/0-3 webserver.aurora
  aurora job diff --from rz1/www/prod/webserver rz1/www/test/webserver web.aurora
  DIFF_VIEWER='diff -y' aurora job diff rz1/www/test/webserver webserver.aurora
"""


@click.command("diff", epilog=EPILOG)
@chosen_argument
@config_argument
@bind_options
@click.option(
    "--from", "other", metavar="KEY", type=Parsed("key", parse_job_key), help="Compare with this job, config by config."
)
@verb_options
def command(
    context: Context,
    chosen: Chosen,
    config: str,
    binds: Sequence[str],
    read_json: bool,
    other: ClusterJobKey | None,
) -> int:
    """Show what a config would change of a job.

    DIFF_VIEWER may name a program that is called with two files for each difference.
    """
    job = load_job(context, chosen.job, config, binds, read_json)
    api = context.api(chosen.job.cluster)
    new = populated(api, job)
    if other is not None or job.is_cron:
        _plain(context, other or chosen.job, new)
        return 0
    answer = ask_diff(api, job, new, chosen.instances)
    diff = parse(answer, JobDiff)
    _check_known(chosen, diff)
    if context.json:
        context.answer({"job": str(chosen.job), "taskConfig": new, **answer})
        return 0
    tell_diff(context, diff, new)
    return 0


def _check_known(chosen: Chosen, diff: JobDiff) -> None:
    """Raises UserError: an instance that is named is not there, and would not be."""
    groups = (*diff.add, *diff.remove, *diff.update, *diff.unchanged)
    spans = [span for group in groups for span in group.instances]
    unknown = [n for n in chosen.instances or () if not any(first <= n <= last for first, last in spans)]
    if unknown:
        text = instance_ranges(unknown)
        raise UserError(f"there is no instance {text} of {chosen.job}, neither now nor after the update")


def _plain(context: Context, old: ClusterJobKey, new: Mapping[str, Any]) -> None:
    """The configs of a job, each against the new one. Raises UserError: there is no such job."""
    try:
        answer = context.api(old.cluster).get(job_path(old))
    except RemoteError as error:
        if is_missing(error):
            raise UserError(f"Could not find job to diff against: {old}") from error
        raise
    if context.json:
        context.answer({"job": str(old), "taskConfig": new, "configs": answer.get("configs") or []})
        return
    for group in parse(answer, JobConfigs).configs:
        context.echo(f"instances {ranges_text([group])} of {old}", "")
        show_configs(context, group.config, new)
        context.echo("")
