"""Numbers with limits, for the schema: what is certainly a mistake in a size or a count is refused.

`Range(Integer, min=1)` reads what Integer reads, but refuses True, 1.9, nan and everything outside its limits. It also
takes the value of an object of another simple type (`cpu=profile.cores()`, where that is an Integer).
Plain Integer and Float stay as lenient as they always were.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, ClassVar

from config.dsl.objects import CoercionError
from config.dsl.refs import Namable
from config.dsl.typing import TypeFactory, TypeMetaclass
from config.dsl.values import Float, Integer, SimpleObject

Number = int | float


class _Ranged(SimpleObject):
    """Mixed into Integer or Float by `Range`."""

    __slots__ = ()
    EXACT = None
    PLAIN: ClassVar[type] = SimpleObject
    LIMITS: ClassVar[tuple[Number | None, Number | None, Number | None]] = (None, None, None)

    def __init__(self, value: Any) -> None:
        scopes: tuple[Namable, ...] = ()
        if isinstance(value, SimpleObject):
            value, scopes = value._value, value._scopes
        super().__init__(value)
        self._scopes = scopes

    @classmethod
    def coerce(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise CoercionError(value, cls, f"is to be {cls.NOUN}, got {value}")
        if cls.PLAIN is Integer and isinstance(value, float) and not value.is_integer():
            raise CoercionError(value, cls, f"is to be {cls.NOUN}, got {value}")
        number = super().coerce(value)
        minimum, maximum, above = cls.LIMITS
        if isinstance(number, float) and not math.isfinite(number):
            raise CoercionError(value, cls, f"must be finite, got {number}")
        if minimum is not None and number < minimum:
            raise CoercionError(value, cls, f"must be at least {minimum}, got {value}")
        if above is not None and number <= above:
            raise CoercionError(value, cls, f"must be more than {above}, got {value}")
        if maximum is not None and number > maximum:
            raise CoercionError(value, cls, f"must be at most {maximum}, got {value}")
        return number

    @classmethod
    def _accepts(cls, value: Any) -> bool:
        return isinstance(value, int | float)

    @classmethod
    def _kind(cls) -> type:
        return cls.PLAIN

    @classmethod
    def type_factory(cls) -> str:
        return "Range"

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        return cls.PLAIN.__name__, *cls.LIMITS


@lru_cache(maxsize=256)
def _ranged(base: Any, limits: tuple[Number | None, ...]) -> Any:
    names = {"PLAIN": base, "LIMITS": limits, "__slots__": (), "__doc__": f"{base.__name__} within {limits}."}
    return TypeMetaclass(base.__name__, (_Ranged, base), names)


def Range(base: Any, min: Number | None = None, max: Number | None = None, *, above: Number | None = None) -> Any:
    """Integer or Float, strictly read, `min` ≤ value ≤ `max` and value > `above`."""
    if base is not Integer and base is not Float:
        raise ValueError(f"Range takes Integer or Float, got {base!r}")
    return _ranged(base, (min, max, above))


@TypeFactory.register("Range")
def _build_range(type_dict: dict[Any, Any], base: str, *limits: Number | None) -> Any:
    return _ranged(TypeFactory.new(type_dict, base), limits)


#: Strictly read numbers of any size, and the usual limits.
StrictInteger = Range(Integer)
StrictFloat = Range(Float)
NonNegativeInteger = Range(Integer, min=0)
NonNegativeFloat = Range(Float, min=0)
PositiveInteger = Range(Integer, min=1)
PositiveFloat = Range(Float, above=0)
