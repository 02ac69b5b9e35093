"""`render(template, view)`: the environment, and the functions that templates may call. Templates decide nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from scheduler.ui import links, pictures
from scheduler.ui.core.views import (
    ClusterView,
    ConfigsView,
    ErrorView,
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


@cache
def environment() -> jinja2.Environment:
    """Made once, at the first page."""
    made = make_environment(TEMPLATES)
    made.globals.update(link=links, pictures=pictures, every=SAFETY_NET_S)
    return made


def render(view: View, *, fragment: bool = False) -> str:
    """The HTML of a page or of its fragment."""
    name = NAMES[type(view)]
    live = "_live" if fragment and type(view) not in STILL else ""
    return environment().get_template(f"{name}{live}.html").render(view=view)
