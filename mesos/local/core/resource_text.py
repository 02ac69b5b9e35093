"""Resources and attributes as people write them for Mesos: `cpus:4;mem:4096;ports:[31000-31099]`, `rack:a;zone:2`.

A number is a scalar, `[a-b, c-d]` are ranges, `{x, y}` is a set (of resources only), anything else is text (of
attributes only). `name(role):value` is reserved for the role. Source: docs/attributes-resources of Mesos 1.11.
"""

from __future__ import annotations

import re

from mesos.core.messages import Attribute, Items, Range, Ranges, Reservation, Resource, Scalar, Text, ValueType
from mesos.local.core.amounts import is_countable, thousandths
from mesos.local.core.resources import ANY_ROLE, STATIC
from thermos.errors import UserError

_NAME = re.compile(r"([^(){}\[\]:;]+)(?:\(([^()]*)\))?")


def parse_resources(text: str) -> tuple[Resource, ...]:
    """Raises UserError with one line for anything else."""
    return tuple(_resource(part.strip()) for part in text.split(";") if part.strip())


def parse_attributes(text: str) -> tuple[Attribute, ...]:
    """Raises UserError with one line for anything else."""
    return tuple(_attribute(part.strip()) for part in text.split(";") if part.strip())


def _resource(part: str) -> Resource:
    head, colon, value = part.partition(":")
    match = _NAME.fullmatch(head.strip())
    if not colon or match is None or not value.strip():
        raise UserError(f"cannot read the resource {part!r}: write it as name:value or name(role):value")
    name, role = match[1].strip(), (match[2] or "").strip()
    reservations = (Reservation(type=STATIC, role=role),) if role not in ("", ANY_ROLE) else ()
    value = value.strip()
    if value.startswith("["):
        return Resource(name=name, type=ValueType.RANGES, ranges=_ranges(part, value), reservations=reservations)
    if value.startswith("{"):
        return Resource(name=name, type=ValueType.SET, set=_items(part, value), reservations=reservations)
    number = _number(value)
    if number is None or number < 0:
        raise UserError(f"cannot read the resource {part!r}: {value!r} is no amount")
    amount = Scalar(value=thousandths(number) / 1000)
    return Resource(name=name, type=ValueType.SCALAR, scalar=amount, reservations=reservations)


def _attribute(part: str) -> Attribute:
    name, colon, value = part.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not name or not value:
        raise UserError(f"cannot read the attribute {part!r}: write it as name:value")
    if value.startswith("["):
        return Attribute(name=name, type=ValueType.RANGES, ranges=_ranges(part, value))
    number = _number(value)
    if number is not None:
        return Attribute(name=name, type=ValueType.SCALAR, scalar=Scalar(value=number))
    return Attribute(name=name, type=ValueType.TEXT, text=Text(value=value))


def _ranges(part: str, value: str) -> Ranges:
    if not value.endswith("]"):
        raise UserError(f"cannot read {part!r}: the ranges end with ]")
    spans = []
    for span in value[1:-1].split(","):
        low, dash, high = span.strip().partition("-")
        if not dash or not low.strip().isdecimal() or not high.strip().isdecimal() or int(low) > int(high):
            raise UserError(f"cannot read {part!r}: {span.strip()!r} is no range such as 31000-31099")
        spans.append(Range(begin=int(low), end=int(high)))
    return Ranges(range=tuple(spans))


def _items(part: str, value: str) -> Items:
    if not value.endswith("}"):
        raise UserError(f"cannot read {part!r}: the set ends with }}")
    return Items(item=tuple(item.strip() for item in value[1:-1].split(",") if item.strip()))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if is_countable(number) else None
