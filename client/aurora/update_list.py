"""`aurora update list CLUSTER[/ROLE[/ENV[/JOB]]]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from client.aurora.context import Context
from client.aurora.core.update_text import list_entry, list_lines
from client.aurora.core.updates import ACTIVE, ENDED, STATUS_GROUPS, parse_update
from client.aurora.options import partial_key_argument, verb_options
from client.job_keys import PartialKey

EPILOG = """
\b
Examples:
  aurora update list rz1/www
  aurora update list --status active --status failed 'rz1/*/prod'
  aurora update list --user joe -o json rz1

\b
Words for several statuses: active, inactive, paused, blocked (waiting for a
pulse), succeeded, failed (also rolled back), all. FAILED is the status alone.
The last changed come first; times are UTC.
"""


class StatusWord(click.Choice[str]):
    """In small or in capital letters, where that is not two words: `failed` and `FAILED`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        spelled = (value, value.lower(), value.upper())
        known = next((word for word in spelled if word in STATUS_GROUPS), value)
        return super().convert(known, param, ctx)


@click.command("list", epilog=EPILOG)
@partial_key_argument
@click.option(
    "--status",
    "words",
    type=StatusWord(tuple(STATUS_GROUPS)),
    multiple=True,
    metavar="STATUS",
    help="Only these; may be repeated: active, failed, …, or a status.",
)
@click.option("--user", metavar="NAME", help="Only those that this user has started.")
@verb_options
def command(context: Context, key: PartialKey, words: Sequence[str], user: str | None) -> int:
    """List updates.

    Parts of the key may be left out or be globs; no update is no error.
    """
    statuses = frozenset[str]().union(*(STATUS_GROUPS[word] for word in words)) or ACTIVE | ENDED
    query = {
        "role": key.role or None,
        "environment": key.environment or None,
        "name": key.name or None,
        "user": user,
        "statuses": ",".join(sorted(statuses)) if statuses != ACTIVE | ENDED else None,
    }
    found = [parse_update(each) for each in context.api(key.cluster).pages("/updates", "updates", query)]
    context.answer([list_entry(key.cluster, update) for update in found], list_lines(key.cluster, found))
    return 0
