"""THE table of URLs: what is routed, and what `/api/v1/openapi.json` says, are both made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from observer import routes_api, routes_old, routes_ops, routes_pages
from observer.core.views import Kind, Sort
from thermos.version import VERSION

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON, TEXT, HTML, SSE, BYTES = (
    "application/json", "text/plain", "text/html", "text/event-stream", "application/octet-stream",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter; `schema` as in OpenAPI."""

    name: str
    about: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """A URL. `tail`: `{path}` at its end matches several components. `refusals`: statuses besides 200 and 400."""

    path: str
    handler: Handler
    about: str
    media: str = JSON
    query: tuple[Query, ...] = ()
    refusals: tuple[int, ...] = (404,)
    tail: bool = False

    @property
    def pattern(self) -> str:
        """As the router wants it."""
        return self.path.replace("{path}", "{path:.*}") if self.tail else self.path


def _number(name: str, about: str, low: int = 0, high: int = 2**53) -> Query:
    return Query(name, about, {"type": "integer", "minimum": low, "maximum": high})


def _word(name: str, about: str, *words: str) -> Query:
    return Query(
        name, about, {"type": "string", "enum": list(words)} if words else {"type": "string", "maxLength": 1000}
    )


_FLAG = {"type": "boolean"}
_LIST = (
    _word("q", "Words that have to be in the id (and name, user, state of active tasks)."),
    _word("sort", "Order; finished tasks know `changed` and `id` only.", *Sort),
    Query("reverse", "Turn the order round.", _FLAG),
    _number("offset", "Where the page begins; negative counts from the end.", -(2**53)),
    _number("num", "Rows of the page.", 0, 500),
)
_LOG = (
    _number("part", "0: the current file, N: the rotated one .N.", 0, 10_000),
    _number("offset", "Where the page begins."),
    Query("before", "The page ends at the offset.", _FLAG),
    _number("length", "Bytes of the page.", 1, 1024 * 1024),
    _word("q", "Search for this text, newest lines first."),
    _number("search_part", "Where a search goes on.", 0, 10_000),
    _number("search_offset", "Where a search goes on."),
    _word("time", "Begin at the first line with this timestamp or a later one."),
)
_PAGE = (
    _number("offset", "Where the page begins."),
    Query("before", "The page ends at the offset.", _FLAG),
    _number("length", "Bytes of the page.", 1, 1024 * 1024),
)
_DATA = (_number("offset", "-1: only the size.", -1), _number("length", "-1: all there is, at most 128 KiB.", -1))
_FRAGMENT = Query("fragment", "Only what is swapped while the page is open.", _FLAG)
_AT = _number("at", "Time travel: after so many records.", 0, 2**31)
_IDS = Query("task_id", "Ids, with commas between.", {"type": "string"})
_FILES = (403, 404)
_RUN = "/api/v1/tasks/{ref}/processes/{process}/runs/{run}/{stream}"

ROUTES: tuple[Route, ...] = (
    Route("/api/v1/openapi.json", routes_ops.openapi, "This document.", refusals=()),
    Route("/api/v1/host", routes_ops.host, "The host and its notes.", refusals=()),
    Route(
        "/api/v1/tasks", routes_api.tasks, "A page of the list of tasks.", refusals=(),
        query=(_word("kind", "Which tasks.", *Kind), *_LIST),
    ),
    Route("/api/v1/tasks/{ref}", routes_api.task, "A task: all that its page shows.", query=(_AT,)),
    Route("/api/v1/tasks/{ref}/config", routes_api.config, "A task's configuration, fully bound."),
    Route(
        "/api/v1/tasks/{ref}/records", routes_api.records, "A task's records, with words.",
        query=(_number("from", "How many to skip.", 0, 2**31), _number("num", "How many.", 1, 1000)),
    ),
    Route("/api/v1/tasks/{ref}/processes/{process}", routes_api.process, "A process: all that its page shows."),
    Route(_RUN, routes_api.log, "A page of a log, a search in it.", query=_LOG, refusals=_FILES),
    Route(
        _RUN + "/follow", routes_api.log_follow, "What came after (inode, offset), across rotations.",
        query=(_number("inode", "0: the current file."), *_LOG[1:2], *_LOG[3:4]), refusals=_FILES,
    ),
    Route(
        _RUN + "/download", routes_api.log_download, "A whole file of a log.", BYTES, query=_LOG[:1],
        refusals=(206, 304, 403, 404, 412, 416),
    ),
    Route("/api/v1/tasks/{ref}/files", routes_api.files, "The sandbox.", query=_PAGE, refusals=_FILES),
    Route(
        "/api/v1/tasks/{ref}/files/{path}", routes_api.files, "A directory, or a page of a file.", query=_PAGE,
        refusals=_FILES, tail=True,
    ),
    Route(
        "/api/v1/events", routes_api.events, "News as server-sent events; resumed by Last-Event-ID.", SSE,
        query=(_word("task", "News of one task only."), _word("since", "Instead of Last-Event-ID.")),
        refusals=(404, 503),
    ),
    Route("/metrics", routes_ops.metrics, "For Prometheus.", TEXT, refusals=()),
    Route("/health", routes_ops.health, "OK.", TEXT, refusals=()),
    Route("/vars", routes_ops.vars_text, "What the observer says of itself, a line each.", TEXT, refusals=()),
    Route("/vars.json", routes_ops.vars_json, "The same as JSON.", refusals=()),
    Route("/vars/{name}", routes_ops.one_var, "One of them.", TEXT),
    # the original's
    Route("/j/task_ids", routes_old.task_ids, "Old: tasks."),
    Route("/j/task_ids/{type}", routes_old.task_ids, "Old: tasks of a type."),
    Route("/j/task_ids/{type}/{offset}", routes_old.task_ids, "Old: tasks from an offset."),
    Route("/j/task_ids/{type}/{offset}/{num}", routes_old.task_ids, "Old: so many tasks."),
    Route("/j/task_id_count", routes_old.task_id_count, "Old: how many tasks.", refusals=()),
    Route("/j/task", routes_old.task, "Old: tasks by id.", query=(_IDS,)),
    Route("/j/task/{ref}", routes_old.task, "Old: one task."),
    Route("/j/process/{ref}", routes_old.process, "Old: {}."),
    Route("/j/process/{ref}/{process}", routes_old.process, "Old: the newest run of a process."),
    Route("/j/process/{ref}/{process}/{run}", routes_old.process, "Old: a run."),
    Route("/j/processes", routes_old.processes, "Old: all processes of tasks.", query=(_IDS,)),
    Route(
        "/logdata/{ref}/{process}/{run}/{stream}", routes_old.log_data, "Old: a piece of a log.", query=_DATA,
        refusals=_FILES,
    ),
    Route(
        "/filedata/{ref}/{path}", routes_old.file_data, "Old: a piece of a file.", query=_DATA, refusals=_FILES,
        tail=True,
    ),
    # pages
    Route("/", routes_pages.home, "Front page.", HTML, query=(_LIST[0], _LIST[-1], _FRAGMENT), refusals=()),
    Route("/main", routes_pages.listing, "List of all tasks.", HTML, query=(*_LIST, _FRAGMENT)),
    Route("/main/{type}", routes_pages.listing, "List of tasks.", HTML, query=(*_LIST, _FRAGMENT)),
    Route("/main/{type}/{offset}", routes_pages.listing, "List from an offset.", HTML, query=_LIST),
    Route("/main/{type}/{offset}/{num}", routes_pages.listing, "So many rows of it.", HTML, query=_LIST),
    Route("/task/{ref}", routes_pages.task, "Task page.", HTML, query=(_AT, _FRAGMENT)),
    Route("/rawtask/{ref}", routes_pages.config, "Configuration.", HTML),
    Route("/process/{ref}/{process}", routes_pages.process, "Process page.", HTML, query=(_FRAGMENT,)),
    Route(
        "/logs/{ref}/{process}/{run}/{stream}", routes_pages.log, "Log page.", HTML, query=(*_LOG, _FRAGMENT),
        refusals=_FILES,
    ),
    Route("/file/{ref}/{path}", routes_pages.file, "File page.", HTML, query=_PAGE, refusals=_FILES, tail=True),
    Route("/browse/{ref}", routes_pages.browse, "The sandbox.", HTML, refusals=_FILES),
    Route("/browse/{ref}/{path}", routes_pages.browse, "A directory.", HTML, refusals=_FILES, tail=True),
    Route(
        "/download/{ref}/{path}", routes_api.download, "A whole file.", BYTES, refusals=(206, 304, 403, 404, 412, 416),
        tail=True,
    ),
    Route("/assets/{name}", routes_pages.asset, "Style and script.", "text/css"),
    Route("/favicon.ico", routes_pages.favicon, "Icon.", "image/svg+xml"),
)  # fmt: skip


def add_routes(app: web.Application) -> None:
    for route in ROUTES:
        app.router.add_get(route.pattern, route.handler)


def openapi_document() -> dict[str, Any]:
    """OpenAPI 3.1 of every route."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Thermos observer",
            "version": VERSION,
            "description": "Every task of a host: read-only. Times are wall seconds, sizes bytes, cpu cores.",
        },
        "paths": {route.path: {"get": _operation(route)} for route in ROUTES},
        "components": {"schemas": {"Problem": _PROBLEM}},
    }


_PROBLEM = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "title", "detail"],
            "properties": {
                "status": {"type": "integer"},
                "title": {"type": "string"},
                "detail": {"type": "string"},
            },
        }
    },
}

_SUCCESSES = {206: "A range of it", 304: "Not modified"}


def _operation(route: Route) -> dict[str, Any]:
    names = [piece[1:-1] for piece in route.path.split("/") if piece.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    parameters += [
        {"name": q.name, "in": "query", "required": False, "description": q.about, "schema": q.schema}
        for q in route.query
    ]
    schema: dict[str, Any] = {"type": "object"} if route.media == JSON else {"type": "string"}
    problem: dict[str, Any] = {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if route.media in (HTML, BYTES):
        problem[HTML] = {"schema": {"type": "string"}}  # for those who accept it: browsers
    responses: dict[str, Any] = {"200": {"description": "OK", "content": {route.media: {"schema": schema}}}}
    for status in sorted({*route.refusals, 400, 401, 414, 421}):
        responses[str(status)] = (
            {"description": _SUCCESSES[status]}
            if status in _SUCCESSES
            else {"description": "Refused", "content": dict(problem)}
        )
    responses["400"]["content"][TEXT] = {"schema": {"type": "string"}}  # what isn't HTTP is refused by the parser
    return {"summary": route.about, "parameters": parameters, "responses": responses}
