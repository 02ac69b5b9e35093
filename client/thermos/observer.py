"""`thermos observer`: the observer is a program of its own; this verb becomes it, with everything that was said."""

from __future__ import annotations

import os
import sys

import click

#: `-P`: an `observer.py` in the directory where we are called is not meant.
_BECOME = "from observer.main import main; main('thermos observer')"


@click.command(
    name="observer",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show every task of this host in the browser, live."""
    above = ctx.find_root().params
    named = [("--root", above.get("root")), ("--mesos-root", above.get("mesos_root"))]
    inherited = [word for flag, value in named if isinstance(value, str) for word in (flag, value)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-c", _BECOME, *inherited, *words])
