"""JSON of another version of the schema: what this version does not know is left out, wherever it stands.

A stored config outlives its schema, so unknown keys are dropped in structs, in lists and maps of structs, and in
choices, where the alternative that knows most of the keys is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def known_part(kind: Any, value: Any) -> Any:
    """`value` (plain data) without the keys that the type does not have."""
    return _filter(kind, value)[0]


def _filter(kind: Any, value: Any) -> tuple[Any, int]:
    """(the known part, how many keys were dropped)."""
    if isinstance(value, Mapping) and hasattr(kind, "TYPEMAP"):
        return _filter_fields(kind.TYPEMAP, value)
    if isinstance(value, Mapping) and hasattr(kind, "VALUETYPE"):
        done = {key: _filter(kind.VALUETYPE, item) for key, item in value.items()}
        return {key: item for key, (item, _) in done.items()}, sum(count for _, count in done.values())
    if isinstance(value, list | tuple) and hasattr(kind, "TYPE"):
        items = [_filter(kind.TYPE, item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    if isinstance(value, Mapping | list | tuple) and hasattr(kind, "CHOICES"):
        return min((_filter(option, value) for option in kind.CHOICES), key=lambda done: done[1])
    return value, 0


def _filter_fields(typemap: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    kept: dict[str, Any] = {}
    dropped = 0
    for key, value in values.items():
        if key in typemap:
            kept[key], count = _filter(typemap[key].klazz, value)
            dropped += count
        else:
            dropped += 1
    return kept, dropped
