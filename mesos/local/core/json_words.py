"""What is wrong with a JSON value, in the words of Mesos' conversion to protobuf."""

from __future__ import annotations

import re

_NAMES_OF_TYPES = {
    "int": "number", "float": "number", "str": "string", "bool": "boolean", "null": "null", "array": "array",
    "object": "object",
}  # fmt: skip


def explain(error: BaseException | None) -> str:
    """What msgspec says, in Mesos' words where there are such."""
    text = str(error)
    what, _, where = text.partition(" - at `$")
    path = where.rstrip("`").lstrip(".").removesuffix("[...]")
    if missing := re.match(r"Object missing required field `(\w+)`", what):
        return "Missing required fields: " + ".".join(filter(None, [path.replace("[...]", "[0]"), missing[1]]))
    field = path.rsplit(".", 1)[-1]
    if wrong := re.match(r"Expected `.*`, got `(\w+)`", what):
        return f"Not expecting a JSON {_NAMES_OF_TYPES.get(wrong[1], wrong[1])} for field '{field}'"
    if "base64" in what:
        return f"Failed to base64 decode bytes field '{field}'"
    return text
