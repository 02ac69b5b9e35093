"""Values of flags as the original has them on its command line: `5mins`, `128MB`, `true`, lists with commas.

Source: spec/scheduler.md §12.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

T = TypeVar("T")

_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "min": 60.0, "mins": 60.0, "hr": 3600.0,
    "hrs": 3600.0, "day": 86400.0, "days": 86400.0,
}  # fmt: skip
_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

#: More than this is a slip of the pen.
_LONGEST_S = 100 * 365 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds of `30secs`. Raises ValueError."""
    number, unit = _amount(text)
    if unit not in _SECONDS:
        raise ValueError(f"{text!r} is no duration such as 30secs, 5mins, 1hrs or 2days")
    if number * _SECONDS[unit] > _LONGEST_S:
        raise ValueError(f"{text!r} is more than a hundred years")
    return number * _SECONDS[unit]


def parse_megabytes(text: str) -> int:
    """Whole MB of `128MB`; what is less than one MB counts as one. Raises ValueError."""
    number, unit = _amount(text)
    if unit.upper() not in _BYTES:
        raise ValueError(f"{text!r} is no amount of data such as 128MB or 1GB")
    return -int(-number * _BYTES[unit.upper()] // (1 << 20))


def parse_truth(text: str) -> bool:
    """Raises ValueError."""
    if text.strip().lower() not in _TRUTHS:
        raise ValueError(f"{text!r} is neither true nor false")
    return _TRUTHS[text.strip().lower()]


def parse_list(text: str) -> tuple[str, ...]:
    """Words between commas; the original's help shows lists in brackets, which may stand there."""
    inner = text.strip().removeprefix("[").removesuffix("]")
    return tuple(word for part in inner.split(",") if (word := part.strip()))


def parse_count(text: str) -> int:
    """Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,19}", text.strip()):
        raise ValueError(f"{text!r} is no whole number of 0 or more")
    return int(text)


def parse_number(text: str) -> float:
    """Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text.strip()):
        raise ValueError(f"{text!r} is no number of 0 or more")
    return float(text)


def parse_port(text: str) -> int:
    """Raises ValueError."""
    if parse_count(text) > 65535:
        raise ValueError(f"{text!r} is no port: 0 to 65535")
    return parse_count(text)


def one_of(names: Mapping[str, T]) -> Callable[[str], T]:
    """Whatever case they are written in."""

    def parse(text: str) -> T:
        if text.upper() not in names:
            raise ValueError(f"{text!r} is none of {', '.join(names)}")
        return names[text.upper()]

    return parse


def _amount(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+)\s*", text)
    return (float(found[1]), found[2]) if found else (0.0, "")


class Value(click.ParamType[Any]):
    """A type of click around one of the functions above."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


TEXT = Value("text", str)
PATH = Value("path", str)
DURATION = Value("duration", parse_duration)
MEGABYTES = Value("amount", parse_megabytes)
TRUTH = Value("true|false", parse_truth)
LIST = Value("a,b,…", parse_list)
COUNT = Value("number", parse_count)
NUMBER = Value("number", parse_number)
PORT = Value("port", parse_port)
