"""Types as values: two types with the same name and the same parts are the same type.

A config may define the same struct in two included files; an object of one has to fit a field of the other. So
`isinstance` compares the serialized form where the classes differ, and any type can be written as a tuple (or JSON)
and built again: `TypeFactory.new({}, *T.serialize_type())`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from config.dsl.refs import frozendict

#: Builds a type of its parameters; the dict holds what was built already on the way.
Factory = Callable[..., type]


class TypeMetaclass(type):
    """Structural `isinstance`; subclasses count as in Python."""

    def __instancecheck__(cls, other: Any) -> bool:
        kind = type(other)
        if cls in kind.__mro__:
            return True
        if not isinstance(kind, TypeMetaclass) or kind.__name__ != cls.__name__:
            return False
        mine, others = _serialized(cls), _serialized(kind)
        return mine is not None and mine == others


def _serialized(cls: type) -> tuple[Any, ...] | None:
    try:
        return cls.serialize_type()  # type: ignore[attr-defined,no-any-return]
    except NotImplementedError:
        return None


class Type(metaclass=TypeMetaclass):
    """Something with a type that can be written down."""

    __slots__ = ()

    @classmethod
    def type_factory(cls) -> str:
        """The name of the factory that builds this type."""
        raise NotImplementedError

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        raise NotImplementedError

    @classmethod
    def serialize_type(cls) -> tuple[Any, ...]:
        """(factory, parameters…): hashable, and enough to build the type again."""
        return (cls.type_factory(), *cls.type_parameters())

    @classmethod
    def dump(cls, fp: Any) -> None:
        json.dump(cls.serialize_type(), fp)


class TypeFactory:
    """Builds types from their serialized form."""

    _FACTORIES: ClassVar[dict[str, Factory]] = {}

    @classmethod
    def register(cls, name: str) -> Callable[[Factory], Factory]:
        """Decorator: the function builds types of this factory name."""

        def keep(factory: Factory) -> Factory:
            cls._FACTORIES[name] = factory
            return factory

        return keep

    @classmethod
    def new(cls, type_dict: dict[Any, Any], factory: str, *parameters: Any) -> Any:
        """The type; `type_dict` collects every type built on the way."""
        key = (factory, *parameters)
        if key not in type_dict:
            if factory not in cls._FACTORIES:
                raise ValueError(f"unknown type {factory!r}, known are {', '.join(sorted(cls._FACTORIES))}")
            type_dict[key] = cls._FACTORIES[factory](type_dict, *parameters)
        return type_dict[key]

    @classmethod
    def load(cls, type_tuple: tuple[Any, ...], into: dict[str, Any] | None = None) -> dict[str, Any]:
        """All types that the serialized type touches, by name, also put into `into`."""
        built: dict[Any, type] = {}
        cls.new(built, *type_tuple)
        deposit = into if into is not None else {}
        deposit.update((made.__name__, made) for made in built.values())
        return deposit

    @classmethod
    def load_json(cls, json_list: Any, into: dict[str, Any] | None = None) -> dict[str, Any]:
        """As `load`, from what `json.load` gives."""
        return cls.load(_tuples(json_list), into)

    @classmethod
    def load_file(cls, filename: str, into: dict[str, Any] | None = None) -> dict[str, Any]:
        """As `load_json`, from a file."""
        with open(filename, encoding="utf-8") as fp:
            return cls.load_json(json.load(fp), into)


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return frozendict((key, _tuples(item)) for key, item in value.items())
    return value


def pickled_type(cls: Any) -> Any:
    """How a type travels in a pickle: by name if it can be imported, else written down."""
    module = sys.modules.get(cls.__module__)
    return cls if getattr(module, cls.__qualname__, None) is cls else cls.serialize_type()


def unpickled_type(form: Any) -> Any:
    """Inverse of `pickled_type`."""
    return form if isinstance(form, type) else TypeFactory.new({}, *form)
