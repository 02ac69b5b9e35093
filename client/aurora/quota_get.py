"""`aurora quota get CLUSTER/ROLE`: what a role may use, and what its jobs use."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import click

from client.aurora.context import Context
from client.aurora.core.answers import Pool, Quota, parse
from client.aurora.options import Parsed, verb_options
from client.job_keys import PartialKey, parse_partial
from thermos.errors import UserError

EPILOG = """
\b
Examples:
  aurora quota get rz1/www
  aurora quota get -o json rz1/www
"""

#: Fields of the answer, and what people call them.
_POOLS = (
    ("quota", "Allocated"),
    ("prod_shared", "Production shared pool resources consumed"),
    ("prod_dedicated", "Production dedicated pool resources consumed"),
    ("non_prod_shared", "Non-production shared pool resources consumed"),
    ("non_prod_dedicated", "Non-production dedicated pool resources consumed"),
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
    context.answer(answer, quota_lines(parse(answer, Quota)))
    return 0


def quota_lines(answer: Quota) -> Iterator[str]:
    """Pools of which nothing is used are left out; the allocation is always said."""
    for name, title in _POOLS:
        pool: Pool = getattr(answer, name)
        if name == "quota" or pool.cpus or pool.ram_mb or pool.disk_mb:
            yield f"{title}:"
            yield f"  CPU: {pool.cpus:g}"
            yield f"  RAM: {pool.ram_mb / 1024:f} GB"
            yield f"  Disk: {pool.disk_mb / 1024:f} GB"
