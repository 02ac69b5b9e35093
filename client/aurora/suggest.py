"""What the shell offers for a key that is not finished: clusters, then roles, environments and names of jobs, one part
after the other. It never complains, and does not wait long."""

from __future__ import annotations

import functools

import click
from click.shell_completion import CompletionItem

from client.api_client import ApiClient
from client.aurora.context import Context
from client.aurora.matching import jobs_matching
from client.connection import exchange
from client.job_keys import PartialKey
from thermos.errors import RemoteError, ThermosError

#: Nobody waits longer for a word.
PATIENCE_S = 1.5

_hurried = functools.partial(exchange, connect_s=PATIENCE_S, answer_s=PATIENCE_S)


def keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A `shell_complete` of job keys."""
    try:
        found = _parts(Context("", ""), incomplete)
    except ThermosError:
        return []
    return [CompletionItem(text) for text in found if text.startswith(incomplete)]


def _parts(context: Context, incomplete: str) -> list[str]:
    """What the next part may be; parts that others follow end with a slash."""
    *given, _begun = incomplete.split("/")
    if not given:
        return [f"{name}/" for name in sorted(context.clusters.known)]
    if len(given) > 3:
        return []
    key = PartialKey(*given)
    api = ApiClient(context.cluster(key.cluster), say=_nothing, send=_hurried, pause=_give_up)
    depth = len(given) + 1
    texts = {"/".join(str(job).split("/")[:depth]) for job in jobs_matching(api, key)}
    return sorted(text if depth == 4 else f"{text}/" for text in texts)


def _nothing(_text: str) -> None:
    """No remarks while somebody types."""


def _give_up(_seconds: float) -> None:
    raise RemoteError("not at once")
