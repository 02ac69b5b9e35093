"""As much of JSON Schema as our OpenAPI document uses: does a value match, and values that match (or nearly)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip

#: Keywords that are understood here; another one would be ignored silently.
KNOWN = {
    "$ref", "anyOf", "type", "enum", "properties", "required", "additionalProperties", "items", "prefixItems",
    "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "pattern",
    "title", "description", "default", "example",
}  # fmt: skip


class Schemas:
    def __init__(self, document: Schema) -> None:
        self.components: dict[str, Schema] = document["components"]["schemas"]

    def resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.components[schema["$ref"].rpartition("/")[2]]
        return schema

    # --- matching -----------------------------------------------------------------------------------------------------

    def problems(self, value: Any, schema: Schema, path: str = "$") -> Iterator[str]:
        schema = self.resolve(schema)
        assert set(schema) <= KNOWN, set(schema) - KNOWN
        if "anyOf" in schema:
            if not any(not list(self.problems(value, each, path)) for each in schema["anyOf"]):
                yield f"{path}: {value!r:.80} is none of {schema['anyOf']!r:.200}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{path}: {value!r:.80} is none of {schema['enum']}"
        kind = schema.get("type")
        if kind is None:
            return
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            yield f"{path}: {value!r:.80} is no {kind}"
            return
        yield from self._inside(value, schema, path)

    def _inside(self, value: Any, schema: Schema, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
            known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
            for name, each in value.items():
                if name in known:
                    yield from self.problems(each, known[name], f"{path}.{name}")
                elif isinstance(rest, dict):
                    yield from self.problems(each, rest, f"{path}.{name}")
                elif known:
                    yield f"{path}.{name} is not described"
        elif isinstance(value, list):
            first = schema.get("prefixItems", [])
            for index, each in enumerate(value):
                kind = first[index] if index < len(first) else schema.get("items", {})
                if kind is False:
                    yield f"{path} is too long"
                elif kind:
                    yield from self.problems(each, kind, f"{path}[{index}]")
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                yield f"{path} has {len(value)} items"
        elif isinstance(value, int | float):
            low, high = schema.get("minimum", value), schema.get("maximum", value)
            yield from () if low <= value <= high else (f"{path}: {value} is out of bounds",)

    # --- making -------------------------------------------------------------------------------------------------------

    def make(self, schema: Schema, chance: random.Random, wrong: float, depth: int = 0) -> Any:
        """A value; with that probability each part is something else."""
        schema = self.resolve(schema)
        if chance.random() < wrong:
            return chance.choice(WRONG)
        if "anyOf" in schema:
            options = schema["anyOf"]
            return self.make(options[-1] if depth > 6 else chance.choice(options), chance, wrong, depth + 1)
        if "enum" in schema:
            return chance.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                return self._object(schema, chance, wrong, depth)
            case "array":
                first = [self.make(each, chance, wrong, depth + 1) for each in schema.get("prefixItems", ())]
                items = schema.get("items") or None
                more = chance.randrange(3) if items else 0
                return first + [self.make(items or {}, chance, wrong, depth + 1) for _ in range(more)]
            case "string":
                return chance.choice(TEXTS)
            case "integer":
                edges = [schema.get("minimum", 0), schema.get("maximum", 10), 0, 1, 2, 5, 100, 4000]
                return chance.choice(edges) + chance.choice((0, 0, 0, -1, 1))
            case "number":
                return chance.choice((0.0, 0.5, 1, -1.5, 1e9, 99.9))
            case "boolean":
                return chance.random() < 0.5
            case _:
                return None

    def _object(self, schema: Schema, chance: random.Random, wrong: float, depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        found = {
            name: self.make(each, chance, wrong, depth + 1)
            for name, each in schema.get("properties", {}).items()
            if name in required or chance.random() < 0.4
        }
        if isinstance(schema.get("additionalProperties"), dict):
            found["x"] = self.make(schema["additionalProperties"], chance, wrong, depth + 1)
        if chance.random() < wrong:
            found["nobodyKnowsThis"] = 1
        return found


TEXTS = [
    "www",
    "prod",
    "web",
    "",
    "a" * 300,
    "AuroraExecutor",
    "ä",
    "\x00",
    "{{x}}",
    "../..",
    "host",
    "rack",
    "RW",
    "x:y",
]
WRONG: list[Any] = [None, "", "x", -1, 0, 1.5, 2**63, 10**30, [], {}, [[]], {"a": {}}, True, "\ud7ff", "1", [None]]
