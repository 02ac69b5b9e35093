"""`render(template, view)`: the environment, and the functions that templates may call. Templates decide nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from observer.core import views
from observer.pages import PageView
from observer.ui import links, logs, pictures
from web.pages import make_environment

TEMPLATES = Path(__file__).parent / "templates"

#: Seconds after which an open page of something active asks again, whatever the event stream says.
SAFETY_NET_S = 10

#: Names of the events that mean "look again"; the stream's unnamed ones do too.
EVENT_NAMES = "task usage reset"


@cache
def environment() -> jinja2.Environment:
    """Made once, at the first page."""
    made = make_environment(TEMPLATES)
    made.globals.update(
        link=links,
        pictures=pictures,
        log_lines=logs.lines,
        tail_rows=logs.tail_rows,
        hit=logs.hit,
        Sort=views.Sort,
        every=SAFETY_NET_S,
        event_names=EVENT_NAMES,
    )
    return made


def render(template: str, view: PageView) -> str:
    """The HTML of a page or fragment."""
    return environment().get_template(f"{template}.html").render(view=view)
