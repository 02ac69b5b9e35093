"""What a real master says over HTTP when it refuses something, word for word, and the parsing that leads there.

Every refusal is a `Refusal`; the front makes an answer of it. The texts were seen on Mesos 1.11 (the table of the tests
tells which request got which), except those of our own bounds (408, 413) and of protobuf bodies, which we do not speak.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from mesos.core.scheduler_api import Call, CallType
from mesos.core.wire import BadMessage, decode
from mesos.local.core.json_words import explain as explain

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
TEXT = "text/plain; charset=utf-8"

_CALLS = frozenset(CallType)


class Refusal(Exception):
    """Ends the handling of a request with this answer."""

    def __init__(self, status: int, text: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})


def not_found() -> Refusal:
    return Refusal(404, "404 Not Found.")


def unauthorized(realm: str) -> Refusal:
    return Refusal(401, "401 Unauthorized.", {"WWW-Authenticate": f'Basic realm="{realm}"'})


def method_not_allowed(method: str, allowed: Sequence[str]) -> Refusal:
    names = ", ".join(f"'{name}'" for name in allowed)
    text = f"405 Method Not Allowed. Expecting one of {{ {names} }}, but received '{method}'."
    return Refusal(405, text, {"Allow": ", ".join(allowed)})


def no_leader() -> Refusal:
    return Refusal(503, "No leader elected")


def still_recovering() -> Refusal:
    return Refusal(503, "Master has not finished recovery")


def redirect(leader: str, path: str = "") -> Refusal:
    """To `host:port`; protocol-relative, as Mesos does it. It names paths below /master, whatever was asked for."""
    return Refusal(307, "", {"Location": f"//{leader}{path}"})


def check_content_type(headers: Mapping[str, str]) -> None:
    given = headers.get("Content-Type")
    if given is None:
        raise Refusal(400, "Expecting 'Content-Type' to be present")
    if given != JSON:
        raise Refusal(415, f"Expecting 'Content-Type' of {JSON} or {PROTOBUF}")


def check_accept(headers: Mapping[str, str]) -> None:
    given = headers.get("Accept", "*/*")
    kinds = {part.split(";")[0].strip() for part in given.split(",")}
    if not kinds & {"*/*", "application/*", JSON}:
        raise Refusal(406, f"Expecting 'Accept' to allow '{PROTOBUF}' or '{JSON}'")


def parse_scheduler_call(body: bytes) -> Call:
    value = parse_object(body)
    check_type(value, "scheduler", _CALLS)
    try:
        return decode(body, Call)
    except BadMessage as error:
        raise Refusal(400, f"Failed to convert JSON into Call protobuf: {explain(error.__cause__)}") from error


def check_type(value: Mapping[str, Any], api: str, known: Collection[str]) -> None:
    kind = value.get("type")
    if kind is not None and not isinstance(kind, str):
        problem = f"Not expecting a JSON {_json_name(kind)} for field 'type'"
        raise Refusal(400, f"Failed to convert JSON into Call protobuf: {problem}")
    if kind is None or kind not in known:
        raise Refusal(400, f"Failed to validate {api}::Call: Expecting 'type' to be present")


def parse_object(body: bytes) -> dict[str, Any]:
    value = parse_json(body, "Failed to parse body into JSON: ")
    if not isinstance(value, dict):
        raise Refusal(400, "Failed to convert JSON into Call protobuf: Expecting a JSON object")
    return value


def parse_json(body: bytes, prefix: str = "") -> Any:
    """Any JSON value; the refusal begins with `prefix`."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, prefix + syntax_error(body)) from error


def syntax_error(body: bytes) -> str:
    """As the parser of Mesos puts it: the line, and what is left of it."""
    at = len(body)
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        at = error.pos
    except (RecursionError, UnicodeDecodeError):
        pass  # where exactly is of no interest then
    text = body.decode(errors="replace")
    line = text.count("\n", 0, at) + 1
    if text[at : at + 1] in ("n", "t", "f"):  # of null, true, false it has read the first letter
        at += 1
    return f"syntax error at line {line} near: {text[at:].split(chr(10))[0][:200]}"


def _json_name(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"
