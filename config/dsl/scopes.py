"""Where a reference is looked up: a chain of scopes, walked from the inside out, never copied.

An object bound with `.bind()` gets a link per binding, newest first; a struct adds one link for its own fields. A
child is read in the chain of its parent, so the chain of a value five levels deep has five links of fields and the
bindings between them. The order for a struct S: `self.x` and S's own fields, S's bindings newest first, the chain of
S's parent, and last `super.x`, which asks for x from S's bindings outward.
"""

from __future__ import annotations

from collections.abc import Mapping
from pprint import pformat
from typing import Any

from config.dsl.refs import Namable, Ref, Value
from config.dsl.templates import Expansion, Lookup, expand, open_in

Keys = tuple[str, ...]
#: What was found, and the scope it must be read in (None: only its own bindings).
Hit = tuple[Any, "Scope | None"]

_SELF, _SUPER = ".self", ".super"


class Scope:
    """One link; `parent` is the next one outward."""

    __slots__ = ("parent",)
    parent: Scope | None

    def here(self, keys: Keys) -> Hit | None:
        """What this link alone knows."""
        raise NotImplementedError


class Binding(Scope):
    """A link made by `.bind()` or `.in_scope()`."""

    __slots__ = ("namable",)

    def __init__(self, namable: Namable, parent: Scope | None) -> None:
        self.namable = namable
        self.parent = parent

    def here(self, keys: Keys) -> Hit | None:
        return self.namable._seek(keys, None)


class Fields(Scope):
    """A link for the fields of one struct; `data` leaves unset ones as None or a non-Value."""

    __slots__ = ("data",)

    def __init__(self, data: Mapping[str, Any], parent: Scope | None) -> None:
        self.data = data
        self.parent = parent

    def here(self, keys: Keys) -> Hit | None:
        if keys[0] == _SELF and len(keys) > 1:
            hit = self._field(keys[1:])
            if hit is not None:
                return hit
        return self._field(keys)

    def _field(self, keys: Keys) -> Hit | None:
        first = keys[0]
        value = self.data.get(first[1:]) if first[0] == "." else None
        if not isinstance(value, Value):
            return None
        if len(keys) == 1:
            return value, None
        return value._seek(keys[1:], None) if isinstance(value, Namable) else None


def find(scope: Scope | None, keys: Keys) -> Hit | None:
    """The innermost hit in the chain."""
    if keys[0] == _SUPER:
        return _find_super(scope, keys)
    while scope is not None:
        hit = scope.here(keys)
        if hit is not None:
            return hit
        scope = scope.parent
    return None


def _find_super(scope: Scope | None, keys: Keys) -> Hit | None:
    """As `find`, where each struct also answers `super.x` by asking outward for x, last of all.

    One sweep from the outside in keeps for every number of stripped `super`s the answer so far: linear in the chain.
    """
    chain: list[Scope] = []
    while scope is not None:
        chain.append(scope)
        scope = scope.parent
    supers = next((n for n, key in enumerate(keys) if key != _SUPER), len(keys) - 1)
    answers: list[Hit | None] = [None] * (supers + 1)
    for link in reversed(chain):
        outer = list(answers)
        for stripped in range(supers + 1):
            hit = link.here(keys[stripped:]) or outer[stripped]
            if hit is None and isinstance(link, Fields) and stripped < supers:
                hit = outer[stripped + 1]
            answers[stripped] = hit
    return answers[0]


def expand_in(text: str, scope: Scope | None) -> Expansion:
    """Expand a template in a chain of scopes."""
    return expand(text, _lookup_in(scope))


def left_in(text: str, scope: Scope | None) -> Expansion:
    """What else is wrong with a template that can't be expanded."""
    return open_in(text, _lookup_in(scope))


def _lookup_in(scope: Scope | None) -> Lookup:
    def lookup(keys: Keys) -> str | None:
        hit = find(scope, keys)
        if hit is None:
            return None
        value, inner = hit
        return value if isinstance(value, str) else str(value._text(inner))

    return lookup


class Chain(Namable):
    """A whole chain as one namable, so that it can be handed to `.in_scope()`."""

    __slots__ = ("scope",)

    def __init__(self, scope: Scope | None) -> None:
        self.scope = scope

    def _seek(self, keys: Keys, scope: Any) -> Hit | None:
        return find(self.scope, keys)

    def find(self, ref: Ref) -> Any:
        return found(self, ref)


def found(namable: Namable, ref: Ref) -> Any:
    """The value at `ref` with the scope it belongs to; raises Namable.NotFound."""
    hit = namable._seek(ref.keys, None)
    if hit is None:
        raise Namable.NotFound(namable, ref)
    value, scope = hit
    return value if scope is None or isinstance(value, str) else value.in_scope(Chain(scope))


class Environment(Namable):
    """Values by name: `Environment(a=1, b={'c': 2})` answers `{{a}}` and `{{b.c}}`."""

    __slots__ = ("_table",)

    def __init__(self, *dicts: Any, **named: Any) -> None:
        self._table: dict[Keys, Any] = {}
        for source in (*dicts, named):
            if isinstance(source, Environment):
                self._table.update(source._table)
            elif isinstance(source, dict):
                self._take(source)
            else:
                raise ValueError(f"Environment expects dict or Environment, got {source!r}")

    def _take(self, source: dict[Any, Any]) -> None:
        for key, raw in source.items():
            value = self.wrap(raw)
            keys = Ref.wrap(key).keys
            if isinstance(value, Environment):
                self._table.update((keys + inner, leaf) for inner, leaf in value._table.items())
            else:
                self._table[keys] = value

    @staticmethod
    def wrap(value: Any) -> Any:
        """A value as it stands in an environment: text, an object or an environment."""
        if isinstance(value, dict):
            return Environment(value)
        if isinstance(value, Environment | Value):
            return value
        if isinstance(value, str | int | float):
            return str(value)
        raise ValueError(
            f"Environment values must be strings, numbers, Objects or other Environments. Got {type(value)} instead."
        )

    def _seek(self, keys: Keys, scope: Any) -> Hit | None:
        table = self._table
        value = table.get(keys)
        if value is not None:
            return value, None
        for cut in range(len(keys) - 1, 0, -1):
            holder = table.get(keys[:cut])
            if isinstance(holder, Namable):
                hit = holder._seek(keys[cut:], None)
                if hit is not None:
                    return hit
        return None

    def find(self, ref: Ref) -> Any:
        """The value at `ref`; raises Namable.NotFound."""
        return found(self, ref)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Environment) and self._table == other._table

    def __hash__(self) -> int:
        return hash(frozenset(self._table))

    def __repr__(self) -> str:
        return f"Environment({pformat({''.join(k).removeprefix('.'): v for k, v in self._table.items()})})"
