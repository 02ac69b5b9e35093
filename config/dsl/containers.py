"""List(T) and Map(K, V): typed, immutable, read lazily.

`{{xs[0]}}` and `{{m[key]}}` reach inside; iteration and indexing in Python give interpolated elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import GeneratorType
from typing import Any, ClassVar, Self

from config.dsl.objects import CoercionError, Object, ShapeError, TypeCheck
from config.dsl.refs import Namable, Ref, frozendict
from config.dsl.report import Report, Where
from config.dsl.scopes import Chain, Hit, Keys, Scope, found
from config.dsl.templates import Uninterpolatable
from config.dsl.typing import Type, TypeFactory, TypeMetaclass, pickled_type, unpickled_type


def adopt(klass: Any, value: Any) -> Any:
    """The value as an object of the type, itself if it is one. Raises ShapeError (a ValueError)."""
    return value if type(value) is klass or isinstance(value, klass) else klass._adopted(value)


def stepped(step: str, error: ShapeError) -> ShapeError:
    """The error, told from one step further out; a dot parts the step from the name of an inner struct."""
    return error.within(f"{step}{'.' if error.path and error.path[0] not in '.[' else ''}")


class _Container(Object, Namable, Type):
    """What List and Map share."""

    __slots__ = ()

    def find(self, ref: Ref) -> Any:
        """The element at `ref`, in its scope; raises Namable.Error."""
        if not ref.is_index():
            raise Namable.NamingError(self, ref)
        return found(self, ref)

    def _descend(self, element: Any, keys: Keys, scope: Scope | None) -> Hit | None:
        inner = self._within(scope)
        if len(keys) == 1:
            return element, inner
        hit: Hit | None = element._seek(keys[1:], inner) if isinstance(element, Namable) else None
        return hit

    def scopes(self) -> tuple[Namable, ...]:
        return (Chain(self._within(None)),) if self._scopes else ()

    def __hash__(self) -> int:
        return hash(self.get())


class ListContainer(_Container):
    """Elements of one type in order."""

    __slots__ = ("_values",)
    _values: tuple[Any, ...]
    TYPE: ClassVar[Any] = Object

    def __init__(self, vals: Any) -> None:
        if not self.isiterable(vals):
            got = "a generator: write list(...) round it" if isinstance(vals, GeneratorType) else repr(vals)
            raise ShapeError(f"ListContainer expects an iterable, a list or tuple of {self.TYPE.__name__}, got {got}")
        self._values = tuple([self._element(index, value) for index, value in enumerate(vals)])
        self._scopes = ()

    def _element(self, index: int, value: Any) -> Any:
        try:
            return adopt(self.TYPE, value)
        except ShapeError as error:
            raise stepped(f"[{index}]", error) from None

    @staticmethod
    def isiterable(values: Any) -> bool:
        return isinstance(values, Sequence) and not isinstance(values, str)

    @classmethod
    def _make(cls, values: tuple[Any, ...]) -> Self:
        fresh = cls.__new__(cls)
        fresh._values = values
        fresh._scopes = ()
        return fresh

    def _clone(self) -> Self:
        return self._make(self._values)

    def get(self) -> tuple[Any, ...]:
        return tuple([value.get() for value in self._values])

    def _interpolate(self, scope: Scope | None, unbound: dict[Ref, None]) -> Any:
        inner = self._within(scope)
        return self._make(tuple([adopt(self.TYPE, v._interpolate(inner, unbound)) for v in self._values]))

    def _check(self, scope: Scope | None) -> TypeCheck:
        inner = self._within(scope)
        for element in self._values:
            verdict = element._check(inner)
            if not verdict.ok():
                return TypeCheck.failure(f"Element in {type(self).__name__} failed check: {verdict.message()}")
        return TypeCheck.success()

    def _plain(self, scope: Scope | None, report: Report, where: Where | None, key: str) -> Any:
        inner = self._within(scope)
        here = Where(where, key, self, inner)
        return [value._plain(inner, report, here, f"[{index}]") for index, value in enumerate(self._values)]

    def _text(self, scope: Scope | None) -> str:
        inner = self._within(scope)
        return f"{type(self).__name__}({', '.join(value._text(inner) for value in self._values)})"

    def _seek(self, keys: Keys, scope: Any) -> Hit | None:
        if keys[0][0] != "[":
            return None
        try:
            element = self._values[int(keys[0][1:-1])]
        except (ValueError, IndexError):
            return None
        return self._descend(element, keys, scope)

    def _elements(self) -> tuple[Any, ...]:
        values: tuple[Any, ...] = self.interpolate()[0]._values
        return values

    def __iter__(self) -> Iterator[Any]:
        return iter(self._elements())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._elements()[index]
        unbound: dict[Ref, None] = {}
        return adopt(self.TYPE, self._values[index]._interpolate(self._within(None), unbound))

    def __contains__(self, item: object) -> bool:
        values = self._elements()
        return item in values if isinstance(item, self.TYPE) else item in tuple(value.get() for value in values)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ListContainer)
            and self.serialize_type() == other.serialize_type()
            and self._elements() == other._elements()
        )

    __hash__ = _Container.__hash__

    def __repr__(self) -> str:
        return self._text(None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (pickled_type(type(self)), self._values, self._scopes)

    @classmethod
    def type_factory(cls) -> str:
        return "List"

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        return (cls.TYPE.serialize_type(),)


class MapContainer(_Container):
    """Pairs in order; a key may be a template, so equal keys are not merged here."""

    __slots__ = ("_map",)
    _map: tuple[tuple[Any, Any], ...]
    KEYTYPE: ClassVar[Any] = Object
    VALUETYPE: ClassVar[Any] = Object

    def __init__(self, *args: Any) -> None:
        pairs: Iterable[Any]
        if len(args) == 1 and isinstance(args[0], Mapping):
            pairs = args[0].items()
        elif all(isinstance(arg, Sequence) and not isinstance(arg, str) and len(arg) == 2 for arg in args):
            pairs = args
        else:
            raise ShapeError(f"Unexpected input to MapContainer: {args!r}; write a dict")
        self._map = tuple([self._pair(key, value) for key, value in pairs])
        self._scopes = ()

    def _pair(self, key: Any, value: Any) -> tuple[Any, Any]:
        try:
            return adopt(self.KEYTYPE, key), adopt(self.VALUETYPE, value)
        except ShapeError as error:
            raise stepped(f"[{key}]", error) from None

    @classmethod
    def _make(cls, pairs: tuple[tuple[Any, Any], ...]) -> Self:
        fresh = cls.__new__(cls)
        fresh._map = pairs
        fresh._scopes = ()
        return fresh

    def _clone(self) -> Self:
        return self._make(self._map)

    def get(self) -> frozendict:
        return frozendict((key.get(), value.get()) for key, value in self._map)

    def _interpolate(self, scope: Scope | None, unbound: dict[Ref, None]) -> Any:
        inner = self._within(scope)
        pairs = [(key._interpolate(inner, unbound), value._interpolate(inner, unbound)) for key, value in self._map]
        return self._make(tuple([(adopt(self.KEYTYPE, key), adopt(self.VALUETYPE, value)) for key, value in pairs]))

    def _check(self, scope: Scope | None) -> TypeCheck:
        inner = self._within(scope)
        name = type(self).__name__
        for key, value in self._map:
            verdict = key._check(inner)
            if not verdict.ok():
                return TypeCheck.failure(f"{name} key {_shown(key)} failed check: {verdict.message()}")
            verdict = value._check(inner)
            if not verdict.ok():
                shown = f"{name}[{_shown(key)}] value {_shown(value)}"
                return TypeCheck.failure(f"{shown} failed check: {verdict.message()}")
        return TypeCheck.success()

    def _plain(self, scope: Scope | None, report: Report, where: Where | None, key: str) -> Any:
        inner = self._within(scope)
        here = Where(where, key, self, inner)
        data: dict[Any, Any] = {}
        for name, value in self._map:
            shown = _shown(name)
            plain = name._plain(inner, report, here, f"[{shown}]")
            data[frozendict(plain) if isinstance(plain, dict) else plain] = value._plain(
                inner, report, here, f"[{shown}]"
            )
        return data

    def _text(self, scope: Scope | None) -> str:
        inner = self._within(scope)
        pairs = ", ".join(f"{key._text(inner)} => {value._text(inner)}" for key, value in self._map)
        return f"{type(self).__name__}({pairs})"

    def _seek(self, keys: Keys, scope: Any) -> Hit | None:
        if keys[0][0] != "[":
            return None
        try:
            wanted = self.KEYTYPE(keys[0][1:-1])
            element = next((value for key, value in self._map if wanted == key), None)
        except ValueError:  # not a key of this type, or a key that can't be read
            return None
        return None if element is None else self._descend(element, keys, scope)

    def _pairs(self) -> tuple[tuple[Any, Any], ...]:
        pairs: tuple[tuple[Any, Any], ...] = self.interpolate()[0]._map
        return pairs

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self._pairs())

    def __getitem__(self, key: Any) -> Any:
        try:
            wanted = adopt(self.KEYTYPE, key)
            for name, value in self._pairs():
                if wanted == name:
                    return value
        except ValueError:
            raise KeyError(f"{key} is not coercable to {self.KEYTYPE.__name__}") from None
        raise KeyError(f"{key} not found")

    def __contains__(self, item: object) -> bool:
        try:
            self[item]
        except KeyError:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MapContainer)
            and self.serialize_type() == other.serialize_type()
            and self._pairs() == other._pairs()
        )

    __hash__ = _Container.__hash__

    def __repr__(self) -> str:
        return self._text(None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (pickled_type(type(self)), self._map, self._scopes)

    @classmethod
    def type_factory(cls) -> str:
        return "Map"

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        return cls.KEYTYPE.serialize_type(), cls.VALUETYPE.serialize_type()


def _shown(value: Any) -> str:
    """A value for a message, even if it can't be filled."""
    try:
        return str(value)
    except (CoercionError, Uninterpolatable):
        return str(value.get())


def _restore(form: Any, content: Any, scopes: tuple[Namable, ...]) -> Any:
    fresh = unpickled_type(form)._make(content)
    return fresh._scoped(scopes) if scopes else fresh


def _require_types(words: str, *types: Any) -> None:
    for kind in types:
        if not (isinstance(kind, type) and issubclass(kind, Object)):
            raise ValueError(f"{words} takes types such as String or a Struct, got {kind!r}")


@lru_cache(maxsize=1024)
def _list_of(kind: Any) -> Any:
    return TypeMetaclass(f"{kind.__name__}List", (ListContainer,), {"TYPE": kind, "__slots__": ()})


@lru_cache(maxsize=1024)
def _map_of(key: Any, value: Any) -> Any:
    names = {"KEYTYPE": key, "VALUETYPE": value, "__slots__": ()}
    return TypeMetaclass(f"{key.__name__}{value.__name__}Map", (MapContainer,), names)


def List(kind: Any) -> Any:
    """The type of lists of `kind`."""
    _require_types("List", kind)
    return _list_of(kind)


def Map(key: Any, value: Any) -> Any:
    """The type of maps from `key` to `value`."""
    _require_types("Map", key, value)
    return _map_of(key, value)


@TypeFactory.register("List")
def _build_list(type_dict: dict[Any, Any], kind: Any) -> Any:
    return List(TypeFactory.new(type_dict, *kind))


@TypeFactory.register("Map")
def _build_map(type_dict: dict[Any, Any], key: Any, value: Any) -> Any:
    return Map(TypeFactory.new(type_dict, *key), TypeFactory.new(type_dict, *value))
