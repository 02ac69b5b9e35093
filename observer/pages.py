"""The seam between the back end and its looks: which view which template shows.

`observer.ui.render(template, view)` gives the HTML of a template name of `TEMPLATES` (a whole page) or `FRAGMENTS`
(the part of it that is swapped while it is open, `?fragment=1`). The server hands in views and knows no HTML.
"""

from __future__ import annotations

from typing import Protocol

from observer.core.views import (
    ConfigView,
    DirectoryView,
    ErrorView,
    FileView,
    HomeView,
    IndexView,
    LogView,
    ProcessView,
    TaskView,
)

PageView = (
    HomeView | IndexView | TaskView | ProcessView | ConfigView | LogView | FileView | DirectoryView | ErrorView
)  # fmt: skip

#: view -> template of the whole page.
TEMPLATES: dict[type, str] = {
    HomeView: "home",  # /
    IndexView: "index",  # /main/<kind>
    TaskView: "task",  # /task/<ref>
    ProcessView: "process",  # /process/<ref>/<process>
    ConfigView: "config",  # /rawtask/<ref>
    LogView: "log",  # /logs/<ref>/<process>/<run>/<stream>
    FileView: "file",  # /file/<ref>/<path>
    DirectoryView: "browse",  # /browse/<ref>[/<path>]
    ErrorView: "error",
}

#: view -> template of what is swapped in an open page.
FRAGMENTS: dict[type, str] = {
    HomeView: "home_live",
    IndexView: "index_live",
    TaskView: "task_live",
    ProcessView: "process_live",
    LogView: "log_live",
}


class Renderer(Protocol):
    """What `observer.ui` provides."""

    def __call__(self, template: str, view: PageView) -> str: ...


def page(render: Renderer, view: PageView, *, fragment: bool = False) -> str:
    """The HTML of a view; a view without a fragment is always shown whole."""
    template = FRAGMENTS.get(type(view)) if fragment else None
    return render(template or TEMPLATES[type(view)], view)
