"""OpenAPI 3.1 of the table: paths and parameters from its rows, bodies and answers from the types that encode them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from scheduler.api.problems import STATUS, ErrorCode
from scheduler.api.routes import HTML, JSON, Route
from thermos.version import VERSION
from web.answers import titles

_ABOUT = """Jobs, tasks and hosts of a cluster. Moments are milliseconds since the epoch, memory and disk are MB.
Fields with their default value may be left out of requests, and are of some answers; a field or a parameter that
nobody knows is refused. A change may have an
Idempotency-Key: the same request under the same key is done once and answered alike, for a day, restarts included."""

#: Of addresses that are for programs only.
_OURS = "/api/v1/"

#: What every answer may be instead.
_ALWAYS = (ErrorCode.INVALID_REQUEST, ErrorCode.AUTH_REQUIRED, ErrorCode.MISDIRECTED, ErrorCode.INTERNAL)
_OF_CHANGES = (ErrorCode.NOT_ALLOWED, ErrorCode.TOO_LARGE, ErrorCode.TRANSIENT)
#: Statuses of bodies that come too slowly, or are of another kind.
_OF_BODIES = (408, 415)

_PROBLEM = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "code", "title", "detail"],
            "properties": {
                "status": {"type": "integer"},
                "code": {"type": "string", "enum": list(ErrorCode)},
                "title": {"type": "string"},
                "detail": {"type": "string"},
                "problems": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "text"],
                        "properties": {"field": {"type": "string"}, "text": {"type": "string"}},
                    },
                },
                "update": {"type": "object"},
            },
        }
    },
}


def openapi_document(routes: Sequence[Route]) -> dict[str, Any]:
    """Of the API version 1 and of the old addresses."""
    types = [kind for route in routes for kind in (route.body, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    known = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        body = next(known) if route.body is not None else None
        answer = next(known) if route.answer is not None else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body, answer)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aurora scheduler", "version": VERSION, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
        "security": [{}, {"basic": []}],
    }


def _operation(route: Route, body: Mapping[str, Any] | None, answer: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.about,
        "parameters": list(_parameters(route)),
        "responses": _responses(route, answer),
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    if route.permit is not None:
        found["security"] = [{"basic": []}]
        found["x-permission"] = f"{route.permit.service}:{route.permit.call}"
    return found


def _operation_id(route: Route) -> str:
    """The original's addresses have `old` in it: some are there twice."""
    ours = route.path.removeprefix(_OURS)
    words = [piece.strip("{}") for piece in ours.split("/") if piece]
    kind = ["old"] if ours == route.path else []
    return "_".join([route.method.lower(), *kind, *words]).replace(".", "_")


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in route.names:
        schema = {"type": "integer", "minimum": 0} if name == "id" and "instances" in route.path else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for query in route.query:
        yield {
            "name": query.name,
            "in": query.where,
            "required": False,
            "description": query.about,
            "schema": query.schema,
        }
    if route.keyed:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Chosen by the client; the same request under it is done once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
        }


def _responses(route: Route, answer: Mapping[str, Any] | None) -> dict[str, Any]:
    schema = answer if answer is not None else {"type": "object"} if route.media == JSON else {"type": "string"}
    content: dict[str, Any] = {route.media: {"schema": schema}}
    if route.media == HTML:
        content[JSON] = {"schema": {}}
    found: dict[str, Any] = {str(route.status): {"description": "OK", "content": content}}
    if route.other_status is not None:
        found[str(route.other_status)] = {"description": "Nothing to do", "content": content}
    if route.failure is not None:
        found[str(route.failure)] = {"description": "Not so", "content": content}
    problem: dict[str, Any] = {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if not route.path.startswith(_OURS):
        problem[HTML] = {"schema": {"type": "string"}}  # for those who accept it: browsers
    codes = {*_ALWAYS, *route.refusals, *(_OF_CHANGES if route.body is not None or route.permit is not None else ())}
    statuses = {STATUS[code] for code in codes} | ({*_OF_BODIES} if route.body is not None else set())
    if route.keyed:
        statuses.add(STATUS[ErrorCode.ALREADY_EXISTS])
    for status in sorted(statuses):
        found.setdefault(str(status), {"description": titles(status), "content": problem})
    found["400"]["content"] = {**problem, "text/plain": {"schema": {"type": "string"}}}  # what isn't HTTP at all
    return found
