"""What differs between two TaskConfigs, as a unified diff of their JSON. Pure.

What the executor is told is JSON in a string; it is shown as JSON, and texts of several lines as lines, so that a
changed command line is the line that changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from client.aurora.core.answers import ConfigGroup
from client.terminal import StyledLine

#: Fields that say who asked, not what runs.
_NOT_COMPARED = ("owner",)
_CONTEXT = 3


def config_lines(config: Mapping[str, Any]) -> list[str]:
    """The config as text; equal configs give equal texts."""
    shown = {name: value for name, value in config.items() if value is not None and name not in _NOT_COMPARED}
    executor = shown.get("executorConfig")
    if isinstance(executor, dict):
        shown["executorConfig"] = {**executor, "data": _opened(executor.get("data"))}
    for name in ("resources", "constraints", "metadata", "mesosFetcherUris"):
        if isinstance(shown.get(name), list):
            shown[name] = sorted(shown[name], key=lambda entry: json.dumps(entry, sort_keys=True))
    return list(_lines(shown))


def _opened(data: object) -> object:
    """What an executor is told, as data if it is any."""
    try:
        return json.loads(data) if isinstance(data, str) and data[:1] in "{[" else data
    except (ValueError, RecursionError):
        return data


def _lines(document: object) -> Iterator[str]:
    """JSON, but texts of several lines are shown line by line."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    for line in text.encode("utf-8", "backslashreplace").decode().split("\n"):  # a lone surrogate stays an escape
        first, *more = line.split("\\n") if "\\n" in line and "\\\\n" not in line else [line]
        yield first
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        yield from (indent + each for each in more)


def diff_lines(old: Sequence[str], new: Sequence[str], old_name: str, new_name: str) -> list[str]:
    """[]: they are the same."""
    return list(unified_diff(old, new, old_name, new_name, lineterm="", n=_CONTEXT))


def styled(line: str) -> StyledLine:
    """A line of a diff with its colour."""
    if line.startswith(("+++", "---")):
        return [(line, "bold")]
    style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
    return [(line, style)]


def ranges_text(groups: Sequence[ConfigGroup]) -> str:
    """`[0-2], [5]`, the instances of these groups."""
    spans = sorted(span for group in groups for span in group.instances)
    return ", ".join(f"[{first}]" if first == last else f"[{first}-{last}]" for first, last in spans)
