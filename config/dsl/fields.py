"""Declarations in the body of a struct: a type, `Required(T)` or `Default(T, value)`; and Empty, the unset value."""

from __future__ import annotations

from typing import Any

from config.dsl.containers import adopt
from config.dsl.objects import Object
from config.dsl.typing import TypeFactory


class Empty:
    """The value of a field that is not set (the class itself is the value)."""


class TypeSignature:
    """A declared field: its type, whether it must be set, what it is if nobody sets it."""

    __slots__ = ("default", "klazz", "required")

    def __init__(self, cls: Any, required: bool = False, default: Any = Empty) -> None:
        if not (isinstance(cls, type) and issubclass(cls, Object)):
            raise ValueError(f"a field is declared with a type such as String or a Struct, got {cls!r}")
        self.klazz: Any = cls
        self.required = required
        self.default: Any = default if default is Empty else adopt(cls, default)

    @property
    def empty(self) -> bool:
        return self.default is Empty

    @staticmethod
    def wrap(declared: Any) -> TypeSignature | None:
        """The signature of what stands in a class body, or None if that is no field."""
        if isinstance(declared, type) and issubclass(declared, Object):
            return TypeSignature(declared)
        return declared if isinstance(declared, TypeSignature) else None

    def serialize(self) -> tuple[Any, ...]:
        default = () if self.empty else self.default.get()
        return self.required, default, self.empty, self.klazz.serialize_type()

    @staticmethod
    def deserialize(form: tuple[Any, ...], type_dict: dict[Any, Any]) -> TypeSignature:
        required, default, empty, klazz = form
        real = TypeFactory.new(type_dict, *klazz)
        return TypeSignature(real, required, Empty if empty else real(default))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeSignature) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash(self.serialize())

    def __repr__(self) -> str:
        name = self.klazz.__name__
        return f"TypeSignature({name}, required: {self.required}, default: {self.default}, empty: {self.empty})"


def Required(cls: Any) -> Any:
    """A field that must be set."""
    return TypeSignature(cls, required=True)


def Default(cls: Any, default: Any) -> Any:
    """A field with a value of its own."""
    return TypeSignature(cls, default=default)
