"""Options that several verbs share, under their old names and with dashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _together(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def config_options(function: F) -> F:
    """What says which task of which file, bound to what."""
    return _together(
        click.argument("config", metavar="CONFIG"),
        click.option("--task", metavar="NAME", help="The task to take, if CONFIG has several."),
        click.option("--job", metavar="KEY", help="The job to take: CLUSTER/ROLE/ENVIRONMENT/NAME or the end of it."),
        click.option("--instance", type=click.IntRange(0), help="Instance number of a job.  [default: 0]"),
        click.option("--json", "json_input", is_flag=True, help="CONFIG is JSON."),
        click.option("-P", "--port", "ports", metavar="NAME:PORT", multiple=True, help="Bind a port."),
        click.option("-E", "--environment", "--bind", "binds", metavar="NAME=VALUE", multiple=True,
                     help="Bind a reference, e.g. profile.instances=3."),
    )(function)  # fmt: skip


def search_options(function: F) -> F:
    """What says where to look for tasks."""
    return _together(
        click.option("--root", metavar="PATH", help="Look into this checkpoint root only."),
        click.option("--mesos-root", "--mesos_root", metavar="PATH", help="Look below this Mesos work directory."),
    )(function)


def output_option(function: F) -> F:
    return click.option(
        "-o", "--output", type=click.Choice(("text", "json")), default="text", help="Text, or JSON for programs."
    )(function)


def inherited(ctx: click.Context, name: str, value: str | None) -> str | None:
    """An option that may also stand before the verb."""
    above = ctx.find_root().params.get(name)
    return value if value is not None or not isinstance(above, str) else above
