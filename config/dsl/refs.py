"""Names of things: a Ref is a path such as `task.processes[0].name`; a Namable can be asked for one.

A component is a dereference (`.name`, for fields of structs) or an index (`[name]`, for lists and maps). `keys` is
the same path as a tuple of strings that keep the dot or the bracket, which is what all look-ups compare.
"""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering
from typing import Any, ClassVar


class frozendict(dict[Any, Any]):
    """A dict that can be a key; equality does not depend on the order."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"frozendict({dict.__repr__(self)})"


class Value:
    """Marker: may stand in an Environment and be substituted into text."""

    __slots__ = ()


class Namable:
    """Something that can be asked for a Ref."""

    __slots__ = ()

    class Error(Exception):
        """A ref can't be followed."""

    class Unnamable(Error):
        def __init__(self, obj: object) -> None:
            super().__init__(f"Object is not indexable: {type(obj).__name__}")

    class NamingError(Error):
        def __init__(self, obj: object, ref: Ref) -> None:
            super().__init__(f"Cannot dereference object {type(obj).__name__} by {ref.action()}")

    class NotFound(Error):
        def __init__(self, obj: object, ref: Ref) -> None:
            super().__init__(f"Could not find {ref.action().value} in object {type(obj).__name__}")

    def find(self, ref: Ref) -> Any:
        """The value at `ref`; raises Namable.Error where there is none."""
        raise NotImplementedError

    def _seek(self, keys: tuple[str, ...], scope: Any) -> tuple[Any, Any] | None:
        """(value, scope to read it in) at `keys`, or None; `scope` is what surrounds this object.

        A user's own Namable has only `find`.
        """
        try:
            return self.find(Ref(Index(key[1:-1]) if key[0] == "[" else Dereference(key[1:]) for key in keys)), None
        except Namable.Error:
            return None


@total_ordering
class Step:
    """One step of a Ref."""

    __slots__ = ("_value",)
    FORM: ClassVar[str] = "%s"

    def __init__(self, value: Any) -> None:
        self._value = value

    @property
    def value(self) -> Any:
        return self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and type(self) is type(other) and self._value == other._value

    def __lt__(self, other: Step) -> bool:
        return bool(self._value < other._value)

    def __repr__(self) -> str:
        return self.FORM % (self._value,)


class Index(Step):
    __slots__ = ()
    FORM = "[%s]"


class Dereference(Step):
    __slots__ = ()
    FORM = ".%s"


class InvalidRefError(Exception):
    """The text is not the address of anything."""


@total_ordering
class Ref:
    """A reference into a hierarchy of named objects; equal refs have equal components."""

    __slots__ = ("_components", "_hash", "keys")
    Component = Step
    Index = Index
    Dereference = Dereference
    InvalidRefError = InvalidRefError

    _COMPONENT = re.compile(r"\.[^\d\W]\w*|\[[\w\-./]+\]")
    _ADDRESS = re.compile(rf"(?:{_COMPONENT.pattern})+")
    _START = re.compile(r"[a-zA-Z_.\[]")

    def __init__(self, components: Any) -> None:
        self._components: tuple[Step, ...] = tuple(components)
        self.keys = tuple(str(component) for component in self._components)
        self._hash = hash(self.keys)

    @staticmethod
    def wrap(value: Any) -> Ref:
        """A Ref of a Ref or an address."""
        return value if isinstance(value, Ref) else Ref.from_address(value)

    @staticmethod
    @lru_cache(maxsize=4096)
    def from_address(address: str) -> Ref:
        """Parse `a.b[c]`; a leading dot or bracket is allowed. Raises Ref.InvalidRefError."""
        if not address or not isinstance(address, str):
            raise Ref.InvalidRefError(f"Invalid address: {address!r}")
        dotted = address if address[0] in ".[" else f".{address}"
        if not Ref._START.match(address) or not Ref._ADDRESS.fullmatch(dotted):
            raise Ref.InvalidRefError(f"Badly formed address {address!r}: write it like a.b or a[b]")
        return Ref(
            Index(part[1:-1]) if part[0] == "[" else Dereference(part[1:]) for part in Ref._COMPONENT.findall(dotted)
        )

    @staticmethod
    def subscope(outer: Ref, inner: Ref) -> Ref | None:
        """What is left of `inner` below `outer`, or None if it is not below it."""
        size = len(outer.keys)
        if len(inner.keys) > size and inner.keys[:size] == outer.keys:
            return Ref(inner._components[size:])
        return None

    def scoped_to(self, ref: Ref) -> Ref | None:
        return Ref.subscope(self, ref)

    def components(self) -> tuple[Step, ...]:
        return self._components

    def action(self) -> Step:
        return self._components[0]

    def rest(self) -> Ref:
        return Ref(self._components[1:])

    def is_index(self) -> bool:
        return isinstance(self.action(), Index)

    def is_dereference(self) -> bool:
        return isinstance(self.action(), Dereference)

    def is_empty(self) -> bool:
        return not self._components

    def address(self) -> str:
        return "".join(self.keys).removeprefix(".")

    def __add__(self, other: Ref) -> Ref:
        return Ref(self._components + other._components)

    def __str__(self) -> str:
        return f"{{{{{self.address()}}}}}"

    def __repr__(self) -> str:
        return f"Ref({self.address()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self.keys == other.keys

    def __lt__(self, other: Ref) -> bool:
        """Shorter first, then by the components' values."""
        return (len(self.keys), self._components) < (len(other.keys), other._components)

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return Ref, (self._components,)
