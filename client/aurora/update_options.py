"""Options and arguments of the verbs of `aurora update`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from client.aurora.options import Parsed
from thermos.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])

_ID = re.compile(r"[A-Za-z0-9_\-]{1,100}")


def parse_update_id(text: str) -> str:
    """Raises UserError."""
    if not _ID.fullmatch(text):
        raise UserError(f"bad update id {text[:100]!r}: `aurora update list` shows ids")
    return text


update_id_argument = click.argument("update_id", metavar="[ID]", required=False, type=Parsed("id", parse_update_id))

message_option = click.option("-m", "--message", default="", metavar="TEXT", help="Why; it is kept with the update.")


def wait_option(text: str) -> Callable[[F], F]:
    return click.option("--wait", is_flag=True, help=text)
