"""A message as protobuf prints it: `name: value`, one to a line, nested ones in braces. Mesos quotes messages so."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from mesos.core.messages import Message

#: Where the order of the wire is another than ours: fields in the order of their numbers.
_ORDER = {
    name: number
    for number, name in enumerate(
        ("executor_id", "data", "resources", "command", "framework_id", "name", "source", "container", "discovery",
         "shutdown_grace_period", "labels", "type")
    )
}  # fmt: skip
#: Values that are names, not texts.
_ENUMS = frozenset({"type", "mode", "visibility"})


def proto_text(message: Message) -> str:
    return "".join(_lines(_sorted(msgspec.to_builtins(message)), ""))


def _sorted(fields: Mapping[str, object]) -> Mapping[str, object]:
    return dict(sorted(fields.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER))))


def _lines(fields: Mapping[str, object], indent: str) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            for item in value:
                yield from _line(name, item, indent)
        else:
            yield from _line(name, value, indent)


def _line(name: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"{indent}{name} {{\n"
        yield from _lines(value, indent + "  ")
        yield f"{indent}}}\n"
    else:
        yield f"{indent}{name}: {_value(name, value)}\n"


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, int) or name in _ENUMS else json.dumps(value)
