"""`aurora quota get CLUSTER/ROLE`: what a role may use, and what its jobs use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import click

from client.aurora.context import Context
from client.aurora.options import Parsed, verb_options
from client.job_keys import PartialKey, parse_partial
from thermos.errors import UserError

EPILOG = """
\b
Examples:
  aurora quota get rz1/www
  aurora quota get -o json rz1/www
"""

#: What the API calls it, and we.
_POOLS = (
    ("quota", "Allocated"),
    ("prodShared", "Production shared pool resources consumed"),
    ("prodDedicated", "Production dedicated pool resources consumed"),
    ("nonProdShared", "Non-production shared pool resources consumed"),
    ("nonProdDedicated", "Non-production dedicated pool resources consumed"),
)


def parse_role(text: str) -> PartialKey:
    """Raises UserError."""
    key = parse_partial(text)
    if text.count("/") != 1 or not key.role or set(key.role) & set("*?["):
        raise UserError(f"bad role {text!r}: write CLUSTER/ROLE")
    return key


@click.command("get", epilog=EPILOG)
@click.argument("role", metavar="CLUSTER/ROLE", type=Parsed("role", parse_role))
@verb_options
def command(context: Context, role: PartialKey) -> int:
    """Show what a role may use, and what it uses."""
    answer = context.api(role.cluster).get(f"/quota/{quote(role.role, safe='')}")
    context.answer(answer, quota_lines(answer))
    return 0


def quota_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Pools of which nothing is used are left out; the allocation is always said."""
    for name, title in _POOLS:
        pool = answer.get(name) or {}
        cpus, ram, disk = (float(pool.get(field) or 0) for field in ("cpus", "ramMb", "diskMb"))
        if name == "quota" or cpus or ram or disk:
            yield f"{title}:"
            yield f"  CPU: {cpus:g}"
            yield f"  RAM: {ram / 1024:f} GB"
            yield f"  Disk: {disk / 1024:f} GB"
