"""Where things are: every address that a page leads to is made here, with all names quoted."""

from __future__ import annotations

from urllib.parse import urlencode

from web.format import segment


def task(ref: str, at: int | None = None) -> str:
    return f"/task/{segment(ref)}" + (f"?at={at}" if at is not None else "")


def process(ref: str, name: str) -> str:
    return f"/process/{segment(ref)}/{segment(name)}"


def log(ref: str, name: str, run: int, stream: str, **query: str | int | None) -> str:
    return f"/logs/{segment(ref)}/{segment(name)}/{run}/{stream}{_query(query)}"


def log_download(ref: str, name: str, run: int, stream: str, part: int = 0) -> str:
    """The raw bytes of one file of a log."""
    return f"/api/v1/tasks/{segment(ref)}/processes/{segment(name)}/runs/{run}/{stream}/download" + (
        f"?part={part}" if part else ""
    )


def config(ref: str) -> str:
    return f"/rawtask/{segment(ref)}"


def browse(ref: str, href: str = "") -> str:
    """`href` of a view is percent-encoded already: names are bytes, and need not be UTF-8."""
    return f"/browse/{segment(ref)}" + (f"/{href}" if href else "")


def file(ref: str, href: str, **query: str | int | None) -> str:
    return f"/file/{segment(ref)}/{href}{_query(query)}"


def download(ref: str, href: str) -> str:
    return f"/download/{segment(ref)}/{href}"


def listing(kind: str, **query: str | int | None) -> str:
    return f"/main/{kind}{_query(query)}"


def events(ref: str = "") -> str:
    """The stream of changes of a task, or of all."""
    return "/api/v1/events" + _query({"task": ref or None})


def _query(values: dict[str, str | int | None]) -> str:
    known = {key: value for key, value in values.items() if value is not None and value != ""}
    return "?" + urlencode(known) if known else ""
