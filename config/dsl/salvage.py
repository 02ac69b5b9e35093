"""What is left of a value that a field refuses: the good elements of a list or map, and every reason against the rest.

Comes in only after a plain attempt has failed, so that making good objects costs nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.dsl.containers import ListContainer, MapContainer, adopt, stepped
from config.dsl.fields import Empty
from config.dsl.objects import ShapeError
from config.dsl.refusals import is_recording

Salvaged = tuple[Any, list[ShapeError]]


def salvage(klass: Any, value: Any, error: ShapeError) -> Salvaged:
    """(an object of the type or Empty, the reasons); `error` is the first of them, met when all was tried at once."""
    if not is_recording():
        return Empty, [error]
    if issubclass(klass, ListContainer) and klass.isiterable(value):
        return _salvage_list(klass, value)
    if issubclass(klass, MapContainer) and isinstance(value, Mapping):
        return _salvage_map(klass, value)
    return Empty, [error]


def _salvage_list(klass: Any, values: Any) -> Salvaged:
    """A bad element becomes a blank object, so that the others keep their index; without such, it is left out."""
    kept: list[Any] = []
    reasons: list[ShapeError] = []
    for index, value in enumerate(values):
        element = _try(klass.TYPE, value, f"[{index}]", reasons)
        if element is Empty and hasattr(klass.TYPE, "_blank"):
            element = klass.TYPE._blank()
        if element is not Empty:
            kept.append(element)
    return klass(kept), reasons


def _salvage_map(klass: Any, pairs: Mapping[Any, Any]) -> Salvaged:
    kept: list[tuple[Any, Any]] = []
    reasons: list[ShapeError] = []
    for key, value in pairs.items():
        pair = _try(klass.KEYTYPE, key, f"[{key}]", reasons), _try(klass.VALUETYPE, value, f"[{key}]", reasons)
        if Empty not in pair:
            kept.append(pair)
    return klass(*kept), reasons


def _try(klass: Any, value: Any, step: str, reasons: list[ShapeError]) -> Any:
    """The value as an object of the type, as far as it can be one; why not goes to `reasons`."""
    try:
        return adopt(klass, value)
    except ShapeError as error:
        kept, inner = salvage(klass, value, error)
        reasons += (stepped(step, reason) for reason in inner)
        return kept
