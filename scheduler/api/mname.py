"""`/mname/ROLE/ENV/NAME/INSTANCE[/PATH]`: leads to the web server of a running task, wherever that is now.

Bookmarks and scripts name an instance; its host and port change with each task. The answer is a redirect (307: method
and body go along), so that the task is asked, not the scheduler. It is no part of the API's document: what comes behind
it is not ours.

Source: spec/scheduler.md §9.1.
"""

from __future__ import annotations

from aiohttp import hdrs, web
from yarl import URL

from scheduler.api.asked import Asked
from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.api.routes import TEXT, Route, Way
from scheduler.core.states import ScheduleStatus

#: Names of ports, the first that a task has is taken.
PORTS = ("health", "http", "HTTP", "web", "admin")

_PATH = "/mname/{role}/{env}/{name}/{id}"
#: Components of a path before what is the task's own.
_OURS = len(_PATH.split("/"))


async def to_task(request: web.Request, user: str) -> web.Response:
    """Raises ApiProblem: there is nothing to be led to."""
    to = f"{_address(Asked(request, user))}{_rest(request)}"
    return web.Response(status=307, headers={hdrs.LOCATION: to}, text=f"{to}\n")


def _address(asked: Asked) -> str:
    instance = asked.instance
    task = asked.context.tables.tasks.active(instance)
    if task is None or task.status is not ScheduleStatus.RUNNING:
        raise ApiProblem(ErrorCode.NOT_FOUND, f"{instance} is not running")
    assigned = task.assigned_task
    port = next((assigned.assigned_ports[name] for name in PORTS if name in assigned.assigned_ports), None)
    if port is None:
        raise ApiProblem(ErrorCode.NOT_FOUND, f"{instance} has no port that is called {', '.join(PORTS)}")
    try:
        return str(URL.build(scheme="http", host=assigned.slave_host, port=port).origin())
    except ValueError:
        raise ApiProblem(ErrorCode.NOT_FOUND, f"the host of {instance} has no name that could be asked") from None


def _rest(request: web.Request) -> str:
    """The task's own part of the address, as it was sent."""
    pieces = request.rel_url.raw_path.split("/", _OURS)
    path = pieces[_OURS] if len(pieces) > _OURS else ""
    query = request.rel_url.raw_query_string
    return f"/{path}?{query}" if query else f"/{path}"


ROUTES: tuple[Route, ...] = tuple(
    Route(method, path, to_task, "To the web server of a task.", way=Way.RAW, media=TEXT, status=307)
    for path in (_PATH, f"{_PATH}/{{path:.*}}")
    for method in (hdrs.METH_GET, hdrs.METH_POST, hdrs.METH_PUT, hdrs.METH_DELETE)
)
