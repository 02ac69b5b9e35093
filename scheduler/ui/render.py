"""`render(template, view)`: the environment, and the functions that templates may call. Templates decide nothing."""

from __future__ import annotations

import time
from functools import cache, lru_cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from scheduler.ui import links, pictures
from scheduler.ui.core.views import (
    ClusterView,
    ConfigsView,
    ErrorView,
    Event,
    HomeView,
    InstanceView,
    JobView,
    PendingView,
    QuotaView,
    RoleView,
    TaskView,
    UpdatesView,
    UpdateView,
    View,
)
from web.pages import make_environment

TEMPLATES = Path(__file__).parent / "templates"

#: view -> its template. `<name>_live` is the part that is swapped while the page is open.
NAMES: dict[type, str] = {
    HomeView: "home",
    RoleView: "role",
    JobView: "job",
    ConfigsView: "configs",
    InstanceView: "instance",
    TaskView: "task",
    UpdatesView: "updates",
    UpdateView: "update",
    ClusterView: "cluster",
    PendingView: "pending",
    QuotaView: "quota",
    ErrorView: "error",
}

#: Views that are only shown whole.
STILL = frozenset({ErrorView})

#: Seconds after which an open page asks again, whatever the stream says.
SAFETY_NET_S = 10

#: Histories of tasks that are kept as HTML.
KEPT_HISTORIES = 2_000


@cache
def environment() -> jinja2.Environment:
    """Made once, at the first page."""
    made = make_environment(TEMPLATES)
    made.globals.update(link=links, pictures=pictures, history=history, every=SAFETY_NET_S)
    return made


def history(events: tuple[Event, ...]) -> Markup:
    """States of a task. They are kept: most rows are the same as at the last look."""
    return _history(events, int(time.time() // 86400))


@lru_cache(maxsize=KEPT_HISTORIES)
def _history(events: tuple[Event, ...], day: int) -> Markup:
    made = environment().get_template("history.html").render(events=events)
    return Markup(made)  # the template has escaped it


def render(view: View, cluster: str, *, fragment: bool = False) -> str:
    """The HTML of a page or of its fragment. `cluster`: its name, so that people know where they are."""
    name = NAMES[type(view)]
    live = "_live" if fragment and type(view) not in STILL else ""
    return environment().get_template(f"{name}{live}.html").render(view=view, cluster=cluster)
