"""Single values: String, Integer, Float, Boolean, Enum.

A value keeps what it was given. Whether `Integer('{{n}}')` is a number is decided when the template can be filled.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar, Self

from config.core.nearest import nearest
from config.dsl.objects import CoercionError, Object, ShapeError, TypeCheck, bind_advice, explain
from config.dsl.refs import Namable, Ref
from config.dsl.report import Report, Site, Where
from config.dsl.scopes import Scope, expand_in, left_in
from config.dsl.templates import Expansion, Uninterpolatable, has_tags
from config.dsl.typing import Type, TypeFactory, TypeMetaclass, pickled_type, unpickled_type

#: Single braces round one of our names: the f of an f-string has taken the other pair.
_EATEN = re.compile(r"(?<![{$])\{((?:thermos|mesos)\.[^{}\s]+)\}(?!\})")


def suggest(given: object, known: Any) -> str:
    """`; did you mean …?` for a misspelt word, or nothing."""
    meant = nearest(str(given), known)
    return f"; did you mean `{meant}`?" if meant else ""


def _report_eaten(raw: str, report: Report, where: Where | None, key: str) -> None:
    for name in _EATEN.findall(raw):
        report.warn(
            f"`{{{name}}}` has single braces: did an f-string eat the braces? write `{{{{{name}}}}}` in a "
            f"plain string, `{{{{{{{{{name}}}}}}}}}` in an f-string",
            where,
            key,
        )


class SimpleObject(Object, Type):
    """A value without names inside."""

    __slots__ = ("_value",)
    _value: Any

    NOUN: ClassVar[str] = "a value"
    #: A value of exactly this type, without braces, is already what it should be.
    EXACT: ClassVar[type | None] = None

    def __init__(self, value: Any) -> None:
        self._value = value
        self._scopes = ()

    @classmethod
    def coerce(cls, value: Any) -> Any:
        """The plain value; raises CoercionError."""
        raise NotImplementedError

    @classmethod
    def _accepts(cls, value: Any) -> bool:
        """Whether a plain value is of this type."""
        return isinstance(value, cls.EXACT or object)

    @classmethod
    def _refusal(cls, value: Any) -> str:
        return f"{value!r} not {cls.NOUN}"

    @classmethod
    def checker(cls, obj: SimpleObject) -> TypeCheck:
        """Check an interpolated value."""
        return TypeCheck.success() if cls._accepts(obj._value) else TypeCheck.failure(cls._refusal(obj._value))

    @classmethod
    def _make(cls, value: Any) -> Self:
        fresh = cls.__new__(cls)
        fresh._value = value
        fresh._scopes = ()
        return fresh

    def _clone(self) -> Self:
        return self._make(self._value)

    def get(self) -> Any:
        return self._value

    def _evaluate(self, scope: Scope | None) -> tuple[Any, Expansion | None]:
        """(the plain value, None), or (text, expansion) if something is left open in it."""
        value = self._value
        if isinstance(value, str) and "{{" in value:
            done = expand_in(value, self._within(scope))
            if done.unbound or done.faults:
                return done.text, done
            value = done.text
        return self.coerce(value), None

    def interpolate(self) -> tuple[Any, list[Ref]]:
        value, opened = self._evaluate(None)
        return self._make(value), list(opened.unbound) if opened else []

    def _interpolate(self, scope: Scope | None, unbound: dict[Ref, None]) -> Any:
        value, opened = self._evaluate(scope)
        if opened:
            unbound.update(dict.fromkeys(opened.unbound))
        return self._make(value)

    def _check(self, scope: Scope | None) -> TypeCheck:
        try:
            value, opened = self._evaluate(scope)
        except (CoercionError, Uninterpolatable) as error:
            return TypeCheck.failure(f"Unable to interpolate: {error}")
        if opened and opened.faults:
            return TypeCheck.failure(f"Unable to interpolate: {opened.faults[0]}")
        return TypeCheck.success() if self._accepts(value) else TypeCheck.failure(self._refusal(value))

    def _plain(self, scope: Scope | None, report: Report, where: Where | None, key: str) -> Any:
        raw = self._value
        if type(raw) is self.EXACT and (raw.__class__ is not str or "{" not in raw):
            return raw
        opened: Expansion | None
        try:
            value, opened = self._evaluate(scope)
        except (CoercionError, Uninterpolatable) as error:
            tagged = isinstance(raw, str) and has_tags(raw)
            given = f"`{raw}` gives a wrong value: " if tagged and isinstance(error, CoercionError) else ""
            report.error(given + explain(error), where, key)
            value, opened = self._as_written(), left_in(raw, self._within(scope)) if tagged else None
        if opened:
            self._report_open(opened, report, where, key)
        if isinstance(raw, str) and "{" in raw:
            _report_eaten(raw, report, where, key)
        return value

    def _as_written(self) -> str | int | float:
        """The raw value, for plain data that nobody may use but rules may look at."""
        return self._value if isinstance(self._value, str | int | float) else str(self._value)

    def _report_open(self, opened: Expansion, report: Report, where: Where | None, key: str) -> None:
        report.note_unbound(opened.unbound, where, key)
        for fault in opened.faults:
            report.error(fault, where, key)
        if not self._accepts(opened.text):
            for ref in dict.fromkeys(opened.unbound):
                report.error(f"is to be {self.NOUN}, but `{ref}` is not bound: {bind_advice(ref)}", where, key)
                report.told.add((ref, Site(where, key)))

    def _text(self, scope: Scope | None) -> str:
        return str(self._evaluate(scope)[0])

    def _comparable(self) -> Any:
        return self._evaluate(None)[0]

    @classmethod
    def _kind(cls) -> type:
        """The type that counts when values are compared."""
        return cls

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SimpleObject)
            and self._kind() is other._kind()
            and bool(self._comparable() == other._comparable())
        )

    def __lt__(self, other: Any) -> bool:
        if not isinstance(other, SimpleObject) or self._kind() is not other._kind():
            return NotImplemented
        return bool(self._comparable() < other._comparable())

    def __gt__(self, other: Any) -> bool:
        if not isinstance(other, SimpleObject) or self._kind() is not other._kind():
            return NotImplemented
        return bool(self._comparable() > other._comparable())

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (pickled_type(type(self)), self._value, self._scopes)

    @classmethod
    def type_factory(cls) -> str:
        return cls.__name__

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        return ()


def _restore(form: Any, value: Any, scopes: tuple[Namable, ...]) -> SimpleObject:
    fresh: SimpleObject = unpickled_type(form)._make(value)
    return fresh._scoped(scopes) if scopes else fresh


class String(SimpleObject):
    """Text; numbers are written out."""

    __slots__ = ()
    NOUN, EXACT = "a string", str

    @classmethod
    def coerce(cls, value: Any) -> str:
        if not isinstance(value, str | int | float):
            raise CoercionError(value, cls)
        return str(value)


class Integer(SimpleObject):
    """A whole number, as `int()` reads it."""

    __slots__ = ()
    NOUN, EXACT = "an integer", int

    @classmethod
    def coerce(cls, value: Any) -> int:
        if not isinstance(value, str | int | float):
            raise CoercionError(value, cls)
        try:
            return int(value)
        except (ValueError, OverflowError):
            raise CoercionError(value, cls) from None


class Float(SimpleObject):
    """A number, as `float()` reads it."""

    __slots__ = ()
    NOUN, EXACT = "a float", float

    @classmethod
    def coerce(cls, value: Any) -> float:
        if not isinstance(value, str | int | float):
            raise CoercionError(value, cls)
        try:
            return float(value)
        except (ValueError, OverflowError):
            raise CoercionError(value, cls) from None


class Boolean(SimpleObject):
    """True or False; 'true', '1', 'false', '0' in any case; numbers by their truth."""

    __slots__ = ()
    NOUN, EXACT = "a boolean", bool

    _WORDS: ClassVar[dict[str, bool]] = {"true": True, "1": True, "false": False, "0": False}

    @classmethod
    def coerce(cls, value: Any) -> bool:
        if isinstance(value, str):
            if value.lower() not in cls._WORDS:
                raise CoercionError(value, cls)
            return cls._WORDS[value.lower()]
        if not isinstance(value, int | float):
            raise CoercionError(value, cls)
        return bool(value)


class EnumContainer(SimpleObject):
    """One of a few words; a wrong literal is refused at once, a template when it is filled."""

    __slots__ = ()
    NOUN = "one of the allowed values"
    VALUES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, value: Any) -> None:
        if isinstance(value, EnumContainer):
            value = value._value
        if not (isinstance(value, str) and has_tags(value)) and value not in self.VALUES:
            name, known = type(self).__name__, ", ".join(self.VALUES)
            hint = suggest(value, self.VALUES)
            raise ShapeError(f"{name} only accepts the following values: {known}; got {value!r}{hint}")
        super().__init__(value)

    @classmethod
    def _accepts(cls, value: Any) -> bool:
        return isinstance(value, str) and value in cls.VALUES

    @classmethod
    def _refusal(cls, value: Any) -> str:
        return f"{value!r} not in the enumeration ({', '.join(cls.VALUES)})"

    @classmethod
    def coerce(cls, value: Any) -> str:
        if not cls._accepts(value):
            hint = suggest(value, cls.VALUES)
            raise CoercionError(value, cls, f"{value} is not one of {', '.join(cls.VALUES)}{hint}")
        return str(value)

    @classmethod
    def type_factory(cls) -> str:
        return "Enum"

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        return cls.__name__, cls.VALUES


@lru_cache(maxsize=1024)
def _enum_of(name: str, values: tuple[str, ...]) -> type:
    return TypeMetaclass(name, (EnumContainer,), {"VALUES": values, "__slots__": ()})


@TypeFactory.register("Enum")
def _build_enum(type_dict: dict[Any, Any], name: str, values: Any) -> type:
    return _enum_of(name, tuple(values))


def _register_simple(kind: type[SimpleObject]) -> None:
    TypeFactory.register(kind.__name__)(lambda type_dict: kind)


for _kind in (String, Integer, Float, Boolean):
    _register_simple(_kind)


def Enum(*stuff: Any) -> Any:
    """`Enum('a', 'b')` or `Enum('Name', ('a', 'b'))`."""
    if len(stuff) == 2 and isinstance(stuff[0], str) and isinstance(stuff[1], list | tuple):
        name, values = stuff
    else:
        name, values = "Enum_" + "_".join(map(str, stuff)), stuff
    if not values or not all(isinstance(value, str) for value in values):
        raise ValueError("Enum takes strings: Enum('a', 'b') or Enum('Name', ('a', 'b'))")
    return TypeFactory.new({}, "Enum", name, tuple(values))
