"""`aurora job status KEY`: active and inactive tasks of one job, or of all that match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from client.api_client import ApiClient
from client.aurora.context import Context
from client.aurora.core.answers import reasons_of
from client.aurora.core.status_text import status_lines
from client.aurora.core.tasks import parse_task
from client.aurora.exits import Exit
from client.aurora.matching import jobs_matching
from client.aurora.options import partial_key_argument, verb_options
from client.job_keys import ClusterJobKey, PartialKey
from thermos.errors import UserError

EPILOG = """
\b
Examples:
  aurora job status rz1/www/test/webserver
  aurora job status 'rz1/www/*/web*'
  aurora job status -o json rz1/www/test/webserver

Exit codes: 6 if there is no such job; with -o json that is an answer, too, and
the code is 0.
"""


@click.command("status", epilog=EPILOG)
@partial_key_argument
@verb_options
def command(context: Context, key: PartialKey) -> int:
    """Show the tasks of jobs, and what happened to them.

    Parts of the key may be left out or be globs.
    """
    api = context.api(key.cluster)
    jobs = [key.exact] if key.exact is not None else jobs_matching(api, key)
    found = [(job, *_tasks(api, job)) for job in jobs]
    found = [each for each in found if each[1]]
    if not found:
        if context.json:
            context.answer({"jobspec": str(key), "error": "No matching jobs found"})
            return Exit.OK
        raise UserError(f"Found no jobs matching {key}")
    context.answer([_document(*each) for each in found], _lines(found))
    return Exit.OK


def _tasks(api: ApiClient, job: ClusterJobKey) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """(all tasks of the job, why some of them wait)"""
    tasks: list[dict[str, Any]] = []
    reasons: dict[str, str] = {}
    for page in api.each_page(
        "/tasks", "tasks", {"role": job.role, "environment": job.environment, "name": job.name, "configs": "true"}
    ):
        tasks += page["tasks"]
        reasons.update(reasons_of(page))
    return tasks, reasons


def _document(job: ClusterJobKey, tasks: Sequence[dict[str, Any]], reasons: Mapping[str, str]) -> dict[str, Any]:
    active = [parse_task(task).is_active for task in tasks]
    return {
        "job": str(job),
        "active": [task for task, is_active in zip(tasks, active, strict=True) if is_active],
        "inactive": [task for task, is_active in zip(tasks, active, strict=True) if not is_active],
        "reasons": dict(reasons),
    }


def _lines(found: Sequence[tuple[ClusterJobKey, list[dict[str, Any]], dict[str, str]]]) -> list[str]:
    lines: list[str] = []
    for _job, tasks, reasons in found:
        lines += status_lines([parse_task(task) for task in tasks], reasons)
    return lines
