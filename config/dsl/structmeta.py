"""How the body of a struct becomes its type, and the errors that a struct raises."""

from __future__ import annotations

from typing import Any

from config.dsl.fields import TypeSignature
from config.dsl.objects import ShapeError
from config.dsl.typing import TypeMetaclass


class UnknownFieldError(AttributeError):
    """A field that the struct does not have."""


class IsNotMappingError(ShapeError):
    """A struct was given something that has no fields."""

    def __init__(self, arg: Any, struct: str = "a struct") -> None:
        super().__init__(f"{struct} takes fields, as in {struct}(name=...), got {arg!r}")
        self.arg = arg


#: Methods that pystachio does not have: a field of such a name is what the user means.
_YIELDING = ("problems", "resolve")


def _accessor(name: str) -> Any:
    def access(self: Any) -> Any:
        return self._field(name)

    return access


class StructMetaclass(TypeMetaclass):
    """Moves the fields of a class body into TYPEMAP."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        typemap: dict[str, TypeSignature] = {}
        for base in reversed(bases):
            typemap.update(getattr(base, "TYPEMAP", {}))
        for attr, declared in list(body.items()):
            signature = None if attr.startswith("__") else TypeSignature.wrap(declared)
            if signature is not None:
                typemap[attr] = signature
                del body[attr]
        body.setdefault("__slots__", ())
        body["TYPEMAP"] = typemap
        body["_UNSET"] = {attr: signature.default for attr, signature in typemap.items()}
        body["_WALK"] = tuple((attr, f".{attr}", signature.required) for attr, signature in typemap.items())
        body["_PARAMETERS"] = None
        body.update((attr, _accessor(attr)) for attr in _YIELDING if attr in typemap)
        return super().__new__(mcs, name, bases, body)
