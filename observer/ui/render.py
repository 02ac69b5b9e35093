"""`render(template, view)`: the environment, and the functions that templates may call. Templates decide nothing."""

from __future__ import annotations

import time
from functools import cache, lru_cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from observer.core import views
from observer.pages import PageView
from observer.ui import links, logs, pictures
from web.pages import make_environment

TEMPLATES = Path(__file__).parent / "templates"

#: Seconds after which an open page of something active asks again, whatever the event stream says.
SAFETY_NET_S = 10

#: Rows of lists that are kept as HTML.
KEPT_ROWS = 500

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
        row_html=row_html,
        Sort=views.Sort,
        every=SAFETY_NET_S,
        event_names=EVENT_NAMES,
    )
    return made


def row_html(row: views.IndexRow, finished: bool) -> Markup:
    """A row of a list. Most rows are the same as at the last look, so they are kept as long as the day is."""
    return _row_html(row, finished, int(time.time() // 86400))


@lru_cache(maxsize=KEPT_ROWS)
def _row_html(row: views.IndexRow, finished: bool, day: int) -> Markup:
    made = environment().get_template("row.html").render(row=row, finished=finished)
    return Markup(made)  # the template has escaped it


def render(template: str, view: PageView) -> str:
    """The HTML of a page or fragment."""
    return environment().get_template(f"{template}.html").render(view=view)
