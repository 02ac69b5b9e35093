"""`aurora job diff KEY[/INSTANCES] FILE`: what an update to this config would do. Nothing is changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from client.api_client import ApiClient, is_missing, job_path
from client.aurora.context import Context
from client.aurora.core.answers import JobConfigs, JobDiff, Populated, parse
from client.aurora.core.config_diff import config_lines, diff_lines, ranges_text, styled
from client.aurora.creating import configuration_for
from client.aurora.exits import CommandFailed
from client.aurora.jobfile import JobOfFile, load_job
from client.aurora.options import Parsed, bind_options, chosen_argument, config_argument, verb_options
from client.job_keys import Chosen, ClusterJobKey, parse_job_key
from client.terminal import paint_line
from thermos.errors import RemoteError, UserError

EPILOG = """
\b
Examples:
  aurora job diff rz1/www/test/webserver webserver.aurora
  aurora job diff rz1/www/test/webserver/0-3 webserver.aurora
  aurora job diff --from rz1/www/prod/webserver rz1/www/test/webserver web.aurora
  DIFF_VIEWER='diff -y' aurora job diff rz1/www/test/webserver webserver.aurora
"""

#: A line of a diff may be as long as it is.
_ANY_WIDTH = 1_000_000


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
    new = _populated(api, job)
    if other is not None or job.is_cron:
        _plain(context, other or chosen.job, new)
        return 0
    answer = _ask(api, job, new, chosen.instances)
    if context.json:
        context.answer({"job": str(chosen.job), "taskConfig": new, **answer})
        return 0
    _tell(context, parse(answer, JobDiff), new)
    return 0


def _tell(context: Context, diff: JobDiff, new: Mapping[str, Any]) -> None:
    context.echo("This job update will:")
    for title, groups in (("add instances", diff.add), ("remove instances", diff.remove)):
        if groups:
            context.echo(f"{title}: {ranges_text(groups)}")
    for group in diff.update:
        context.echo(f"update instances: {ranges_text([group])}", "with diff:", "")
        _show(context, group.config, new)
        context.echo("")
    if diff.unchanged:
        context.echo(f"not change instances: {ranges_text(diff.unchanged)}")


def _populated(api: ApiClient, job: JobOfFile) -> dict[str, Any]:
    """The TaskConfig with the scheduler's defaults. Raises ApiError with all that is wrong with it."""
    return parse(api.post("/config/populate", configuration_for(api, job)), Populated).job.task_config


def _ask(api: ApiClient, job: JobOfFile, new: Mapping[str, Any], only: Sequence[int] | None) -> dict[str, Any]:
    body = {
        "taskConfig": new,
        "instanceCount": job.data["instances"],
        "onlyInstances": list(only) if only is not None else None,
    }
    return api.post(job_path(job.key, "diff"), body)


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
        _show(context, group.config, new)
        context.echo("")


def _show(context: Context, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    before, after = config_lines(old), config_lines(new)
    viewer = os.environ.get("DIFF_VIEWER")
    if viewer:
        _view(viewer, before, after)
        return
    lines = diff_lines(before, after, "now", "new") or ["(no difference that is shown)"]
    context.echo(*_painted(lines, context.colours))


def _painted(lines: Sequence[str], colours: bool) -> Iterator[str]:
    return (paint_line(styled(line), _ANY_WIDTH, colours=colours) for line in lines)


def _view(viewer: str, before: Sequence[str], after: Sequence[str]) -> None:
    """Raises CommandFailed: the program could not do it (1 is: there are differences)."""
    try:
        words = shlex.split(viewer)
    except ValueError as error:
        raise UserError(f"DIFF_VIEWER is no command: {viewer!r}: {error}") from error
    with tempfile.TemporaryDirectory(prefix="aurora-diff-") as place:
        files = [Path(place) / "now", Path(place) / "new"]
        for file, lines in zip(files, (before, after), strict=True):
            file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        try:
            code = subprocess.run([*words, *map(str, files)], check=False).returncode
        except OSError as error:
            raise CommandFailed(f"cannot run DIFF_VIEWER {viewer!r}: {error.strerror}") from error
    if code not in (0, 1):
        raise CommandFailed(f"DIFF_VIEWER {viewer!r} failed with exit code {code}")
