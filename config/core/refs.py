"""References that are still unbound in resolved data: which ones, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from config.core.binding import is_host_ref
from config.core.finding import Path
from config.core.ports import port_name
from config.dsl.templates import render_literal

_MUSTACHE = re.compile(r"{{([^{}]+)}}")


def addresses(text: str) -> list[str]:
    """Addresses of the references in a text, in order."""
    return [found for found in _MUSTACHE.findall(text) if not found.startswith("&")]


def walk_refs(data: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """(path, address) of every reference left in plain data."""
    if isinstance(data, str):
        if "{{" in data:
            for address in addresses(data):
                yield path, address
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from walk_refs(value, (*path, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from walk_refs(value, (*path, index))


def escape_literals(data: Any) -> Any:
    """Plain data to be read as templates once more, on a host: what only looks like a reference stays text.

    (A literal that spells one of the host's own references is bound there; that can't be told apart any more.)
    """
    if isinstance(data, str):
        return _MUSTACHE.sub(_escaped, data) if "{{" in data else data
    if isinstance(data, dict):
        return {escape_literals(key): escape_literals(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [escape_literals(value) for value in data]
    return data


def _escaped(match: re.Match[str]) -> str:
    return match[0] if is_host_ref(match[1]) else render_literal(match[1])


def referenced_ports(data: Any) -> list[str]:
    """Ports that resolved data mentions, in first-seen order."""
    names = (port_name(address) for _path, address in walk_refs(data))
    return list(dict.fromkeys(name for name in names if name is not None))
