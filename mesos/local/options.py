"""`NAME=VALUE` for the fields of a dataclass or struct of options, as people write them on a command line."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from thermos.errors import UserError

T = TypeVar("T")

#: Types that a person can write; a field of another type is not for the command line.
_SIMPLE = (bool, int, float, str, bytes)
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_options(kind: type[Any], pairs: Iterable[str], what: str) -> dict[str, Any]:
    """Field -> value. Raises UserError that names what is wrong; `what` is what these options are of."""
    fields = simple_fields(kind)
    found = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in fields:
            raise UserError(f"no {what} option {pair!r}: expected NAME=VALUE, NAME one of {', '.join(sorted(fields))}")
        found[name] = _value(fields[name], name, text)
    return found


def make_options(kind: type[T], given: Mapping[str, Any], what: str, **fixed: Any) -> T:
    """With these fields. Raises UserError for a field that it has not."""
    known = _names(kind)
    unknown = sorted(set(given) - known)
    if unknown:
        raise UserError(f"no {what} option {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return kind(**{**fixed, **given})


def simple_fields(kind: type[Any]) -> dict[str, tuple[type, bool]]:
    """Field -> its type, and whether it may be None (written "none")."""
    hints = typing.get_type_hints(kind)
    found = {}
    for name in _names(kind):
        hint = hints[name]
        optional = False
        if isinstance(hint, types.UnionType):
            parts = [part for part in typing.get_args(hint) if part is not type(None)]
            optional = len(parts) < len(typing.get_args(hint))
            hint = parts[0] if len(parts) == 1 else None
        if hint in _SIMPLE:
            found[name] = (hint, optional)
    return found


def _names(kind: type[Any]) -> set[str]:
    fields = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else dataclasses.fields(kind)
    return {field.name for field in fields}


def _value(kind: tuple[type, bool], name: str, text: str) -> Any:
    type_, optional = kind
    if optional and text.lower() == "none":
        return None
    if type_ is bool:
        if text.lower() not in _TRUTHS:
            raise UserError(f"cannot read {name}={text}: expected true or false")
        return _TRUTHS[text.lower()]
    if type_ is str:
        return text
    if type_ is bytes:
        return text.encode()
    wanted = f"cannot read {name}={text}: expected {'a whole number' if type_ is int else 'a number'}"
    try:
        number = type_(text)
    except ValueError as error:
        raise UserError(wanted) from error
    if not 0 <= number < math.inf:  # nor is it, if it is none
        raise UserError(f"{wanted}, and none below 0")
    return number
