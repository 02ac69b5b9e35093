"""What the site's hooks and plugins do around a verb (`command_hooks`), and with the command line before it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from client.aurora.command_hooks import CommandCall, before_dispatch, run_hooked
from client.aurora.context import Context
from client.aurora.hook_sources import SiteHooks, load_site_hooks


@functools.cache
def site() -> SiteHooks:
    """The site's hooks, loaded once. Raises ConfigError."""
    return load_site_hooks()


def before(words: Sequence[str]) -> list[str]:
    """The command line as plugins leave it."""
    return before_dispatch(site(), words)


def around(context: Context, options: Mapping[str, Any], command: Callable[[], object]) -> int:
    """The exit code of a verb, with everything around it."""
    call = CommandCall(context.noun, context.verb, context.words, options)
    return run_hooked(site(), call, context.skip_hooks, command)
