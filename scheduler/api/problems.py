"""Every way in which the API says no: one code and one line, and whoever raised it did not have to know of HTTP.

A code tells a program what to do; its HTTP status stands in ONE table, for the answers and for the API's description.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from aiohttp import web

from scheduler.core.problem import Problem as FieldProblem
from scheduler.service.refusals import Refusal
from scheduler.store.journal import StoreError
from thermos.errors import Bug, ThermosError, UserError
from web.answers import problem_json
from web.asking import Problem


class ErrorCode(StrEnum):
    INVALID_REQUEST = "INVALID_REQUEST"
    AUTH_REQUIRED = "AUTH_REQUIRED"
    NOT_ALLOWED = "NOT_ALLOWED"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    JOB_UPDATING = "JOB_UPDATING"
    TOO_LARGE = "TOO_LARGE"
    MISDIRECTED = "MISDIRECTED"
    INTERNAL = "INTERNAL"
    TRANSIENT = "TRANSIENT"


_C = ErrorCode

STATUS: Mapping[ErrorCode, int] = {
    _C.INVALID_REQUEST: 400,
    _C.AUTH_REQUIRED: 401,
    _C.NOT_ALLOWED: 403,
    _C.NOT_FOUND: 404,
    _C.METHOD_NOT_ALLOWED: 405,
    _C.ALREADY_EXISTS: 409,
    _C.JOB_UPDATING: 409,
    _C.TOO_LARGE: 413,
    _C.MISDIRECTED: 421,
    _C.INTERNAL: 500,
    _C.TRANSIENT: 503,
}

#: Codes of statuses that HTTP itself gives; all other refusals are the asker's fault.
_CODES = {**{status: code for code, status in STATUS.items()}, 409: _C.INVALID_REQUEST}

#: Seconds after which something that is not possible now may be.
RETRY_AFTER_S = 5


class ApiProblem(Problem):
    """The answer is no, with all that is wrong with the fields of a request."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        problems: Sequence[FieldProblem] = (),
        status: int | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(STATUS[code] if status is None else status, detail)
        self.code = code
        self.problems = tuple(problems)
        self.more = more or {}


def code_of(status: int) -> ErrorCode:
    return _CODES.get(status, _C.INVALID_REQUEST if status < 500 else _C.INTERNAL)


def as_problem(error: ThermosError) -> ApiProblem | None:
    """What was raised on purpose below the API. None: it is a bug."""
    match error:
        case Refusal():
            return ApiProblem(ErrorCode(error.code), str(error), error.problems, more=error.more)
        case Bug():
            return None
        case UserError():
            return ApiProblem(_C.INVALID_REQUEST, str(error))
        case StoreError():
            return ApiProblem(_C.TRANSIENT, f"nothing was changed: {error}")
        case _:
            return ApiProblem(_C.TRANSIENT, str(error))


def refuse(problem: Problem) -> web.Response:
    """The answer."""
    code = problem.code if isinstance(problem, ApiProblem) else code_of(problem.status)
    more: dict[str, object] = {"code": code}
    if isinstance(problem, ApiProblem):
        more.update(problem.more)
        if problem.problems:
            more["problems"] = [{"field": each.field, "text": each.text} for each in problem.problems]
    response = problem_json(problem.status, problem.detail, more)
    if problem.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
