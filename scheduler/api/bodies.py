"""Bodies of requests: JSON of one known form, taken whole or refused with all that is wrong with its form.

A field that nobody knows is refused by its name, everywhere: whoever writes `instanes` would otherwise kill the whole
job, and a constraint with a letter too many would be none. A client that is newer than the scheduler hears the same,
before anything is done.

Numbers stay within what every JSON reader can hold (2**53), so that nothing is stored that can't be told again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from scheduler.api.problems import ApiProblem, ErrorCode
from scheduler.core.problem import Problem

T = TypeVar("T")

#: Of a body.
MAX_BODY = 1024 * 1024

BIGGEST = 2**53

#: More problems than these are not told at once.
MOST_PROBLEMS = 100


def parse_body(data: bytes, kind: type[T]) -> T:
    """Raises ApiProblem."""
    try:
        plain = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiProblem(ErrorCode.INVALID_REQUEST, f"the body is no JSON: {error}") from None
    except RecursionError:
        raise ApiProblem(ErrorCode.INVALID_REQUEST, "the body is nested too deeply") from None
    problems = [problem for problem, _ in zip(_strange(plain, kind, ""), range(MOST_PROBLEMS), strict=False)]
    try:
        value = msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        problems.append(_problem(str(error)))
    if problems:
        raise ApiProblem(ErrorCode.INVALID_REQUEST, _words(problems), problems)
    return value


def _words(problems: list[Problem]) -> str:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"the body can't be used: {problems[0]}{more}"


def _problem(text: str) -> Problem:
    """msgspec's words: `Expected … - at `$.a.b``."""
    what, at, where = text.rpartition(" - at `$")
    return Problem(where.strip("`").lstrip("."), what) if at else Problem("", text)


def _strange(value: Any, kind: Any, path: str) -> Iterator[Problem]:
    """Unknown fields and numbers without measure, wherever they are."""
    if isinstance(value, dict):
        known = _fields(kind)
        for name, each in value.items():
            here = f"{path}.{name}" if path else name
            if known is not None and name not in known:
                yield Problem(here[:200], "there is no such field")
            else:
                yield from _strange(each, known[name] if known is not None else Any, here)
    elif isinstance(value, list):
        of_item = _item_type(kind)
        for index, each in enumerate(value):
            yield from _strange(each, of_item, f"{path}[{index}]")
    elif isinstance(value, int | float) and not -BIGGEST <= value <= BIGGEST:
        yield Problem(path, f"it has to be a number from -{BIGGEST} to {BIGGEST}")


@lru_cache(maxsize=1000)
def _fields(kind: Any) -> dict[str, Any] | None:
    """The types of an object's fields, by name; None: any names will do."""
    for each in _alternatives(kind):
        if isinstance(each, type) and issubclass(each, Struct):
            return {field.encode_name: field.type for field in msgspec.structs.fields(each)}
    return None


@lru_cache(maxsize=1000)
def _item_type(kind: Any) -> Any:
    for each in _alternatives(kind):
        if get_origin(each) in (tuple, list, set, frozenset):
            return get_args(each)[0]
    return Any


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
