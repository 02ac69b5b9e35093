"""Options and arguments that several verbs share. A bad value is one line that names it; exit code 6.

@click.command("list", epilog=EPILOG)
@partial_key_argument
@verb_options
def command(context: Context, key: PartialKey) -> int: ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from client.aurora import dispatch
from client.aurora.context import Context
from client.aurora.exits import Exit
from client.aurora.suggest import keys
from client.job_keys import FORM, parse_chosen, parse_job_key, parse_one_instance, parse_partial

F = TypeVar("F", bound=Callable[..., Any])


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in this order in the help."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class Parsed(click.ParamType[Any]):
    """A value that one of our own parsers reads; its UserError is the message."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._parse(value) if isinstance(value, str) else value


key_argument = click.argument("key", metavar=FORM, type=Parsed("key", parse_job_key), shell_complete=keys)
chosen_argument = click.argument(
    "chosen", metavar=f"{FORM}[/INSTANCES]", type=Parsed("key", parse_chosen), shell_complete=keys
)
partial_key_argument = click.argument(
    "key", metavar="CLUSTER[/ROLE[/ENV[/NAME]]]", type=Parsed("key", parse_partial), shell_complete=keys
)
instance_argument = click.argument(
    "instance", metavar=f"{FORM}/INSTANCE", type=Parsed("instance", parse_one_instance), shell_complete=keys
)
config_argument = click.argument("config", metavar="FILE", type=click.Path())


def bind_options(function: F) -> F:
    """How a config is read."""
    return together(
        click.option("--bind", "-E", "binds", metavar="NAME=VALUE", multiple=True,
                     help="Bind a reference, e.g. profile.instances=3; may be repeated."),
        click.option("--read-json", "-j", "read_json", is_flag=True, help="The config is JSON."),
    )(function)  # fmt: skip


def hooks_config_option(function: F) -> F:
    """A config for verbs that need none but for its hooks."""
    return together(
        click.option(
            "--config", metavar="FILE", type=click.Path(), help="The job's config, whose hooks are to be run."
        ),
        bind_options,
    )(function)


def browser_option(function: F) -> F:
    return click.option("--open-browser", is_flag=True, help="Open the job's page afterwards.")(function)


def batch_options(function: F) -> F:
    """How many at a time, and how many may fail."""
    return together(
        click.option("--batch-size", type=click.IntRange(1), default=1, show_default=True,
                     help="So many instances at a time."),
        click.option("--max-total-failures", type=click.IntRange(0), default=0, show_default=True,
                     help="Go on as long as no more than so many have failed."),
    )(function)  # fmt: skip


def message_option(function: F) -> F:
    return click.option("-m", "--message", default="", metavar="TEXT", help="Why; it is kept with the tasks.")(function)


def strict_option(function: F) -> F:
    return click.option("--strict", is_flag=True, help="Do nothing unless all of the instances are active.")(function)


def wait_option(*, default: str = "PENDING") -> Callable[[F], F]:
    return click.option(
        "--wait-until",
        type=click.Choice(("PENDING", "RUNNING", "FINISHED"), case_sensitive=False),
        default=default,
        show_default=True,
        help="Wait until every instance has come so far. Ctrl-C ends the waiting only.",
    )


def verb_options(function: F) -> F:
    """What every verb has; the verb is called with a Context first, its own values behind."""

    @functools.wraps(function)
    def begin(**given: Any) -> int:
        ctx = click.get_current_context()
        names = ctx.command_path.split()[1:]
        wants_json = given.pop("write_json")
        context = Context(
            noun=names[0],
            verb=names[-1],
            words=tuple(ctx.find_root().obj or ()),
            json=given.pop("output") == "json" or wants_json,
            verbose=given.pop("verbose") or bool(ctx.find_root().params.get("verbose")),
            skip_hooks=given.pop("skip_hooks"),
        )
        try:
            return dispatch.around(context, given, lambda: function(context, **given))
        except KeyboardInterrupt:
            context.say("interrupted")
            return Exit.INTERRUPTED

    decorated: Any = together(
        click.option("-o", "--output", type=click.Choice(("text", "json")), default="text",
                     help="Text, or JSON for programs."),
        click.option("--write-json", is_flag=True, help="The same as -o json."),
        click.option("-v", "--verbose", is_flag=True, help="Say what the scheduler is asked."),
        click.option("--skip-hooks", metavar="NAMES", help="`all`, or names of hooks that are not run."),
    )(begin)  # fmt: skip
    return decorated  # type: ignore[no-any-return]
