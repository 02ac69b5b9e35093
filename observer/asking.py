"""What the path of a request names, taken apart and bounded.

Paths are taken from the raw URL and decoded once, so that a name may hold anything a file name may.
"""

from __future__ import annotations

from aiohttp import web

from observer.core.sandbox_path import Refused, decode_name, split_path
from observer.host import Host
from observer.pages import Renderer
from observer.task import Task
from web.asking import Problem, parse_int, shorten

HOST = web.AppKey("host", Host)
RENDER = web.AppKey("render", object)


def host_of(request: web.Request) -> Host:
    return request.app[HOST]


def renderer_of(request: web.Request) -> Renderer:
    return request.app[RENDER]  # type: ignore[return-value]


def part(request: web.Request, name: str) -> str:
    """One named component of the path, decoded from the raw URL. Raises Problem."""
    template = request.match_info.route.resource
    pattern = template.canonical.split("/") if template is not None else []
    raw = request.rel_url.raw_path.split("/")
    index = next((i for i, piece in enumerate(pattern) if piece == f"{{{name}}}"), None)
    if index is None or index >= len(raw):
        return ""
    try:
        return decode_name(raw[index])
    except Refused as error:
        raise Problem(404, str(error)) from error


def rest(request: web.Request) -> tuple[str, ...]:
    """The path behind the last named component (`{path}`), as names. Raises Problem."""
    template = request.match_info.route.resource
    pattern = template.canonical.split("/") if template is not None else [""]
    if pattern[-1] != "{path}":
        return ()
    depth = len(pattern) - 1
    try:
        return split_path("/".join(request.rel_url.raw_path.split("/")[depth:]))
    except Refused as error:
        raise Problem(403 if "goes up" in str(error) else 404, f"cannot show this: {error}") from error


def path_number(request: web.Request, name: str) -> int:
    """A run number in the path. Raises Problem."""
    number = parse_int(part(request, name))
    if number is None or number < 0:
        raise Problem(404, f"there is no such {name}")
    return number


def task_of(request: web.Request, ref: str | None = None) -> Task:
    """The task that the path means. Raises Problem."""
    ref = part(request, "ref") if ref is None else ref
    task = host_of(request).inventory.find(ref)
    if task is None:
        raise Problem(404, f"Unknown task_id: {shorten(ref)}")
    return task
