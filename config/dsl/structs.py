"""Struct: named, typed fields. A class body declares them, an instance is a value, a call makes a changed copy.

    class Process(Struct):
        name = Required(String)
        cmdline = Required(String)
        max_failures = Default(Integer, 1)

    web = Process(name="web", cmdline="serve {{thermos.ports[http]}}")
    two = web(name="two")          # web is unchanged

`web.name()` is the value with references filled, `web.has_name()` whether it is set, `Empty` unsets a field. A
subclass has the fields of its bases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from config.core.nearest import nearest
from config.core.problem import Place, Problem
from config.dsl.containers import adopt, stepped
from config.dsl.fields import Empty, TypeSignature
from config.dsl.jsonfilter import known_part
from config.dsl.objects import CoercionError, Object, ShapeError, TypeCheck
from config.dsl.places import Mark, mark_caller, place_of
from config.dsl.refs import Namable, Ref, frozendict
from config.dsl.refusals import Refusal, refuse
from config.dsl.report import Report, Where, describe
from config.dsl.salvage import salvage
from config.dsl.scopes import Chain, Fields, Hit, Keys, Scope, found
from config.dsl.structmeta import IsNotMappingError, StructMetaclass, UnknownFieldError
from config.dsl.templates import Uninterpolatable
from config.dsl.typing import Type, TypeFactory, pickled_type, unpickled_type
from config.dsl.values import SimpleObject, suggest


class Structural(Object, Type, Namable, metaclass=StructMetaclass):
    """What every struct can do; `_data` maps each field to an object or Empty."""

    __slots__ = ("_data", "_mark", "_refused")
    _data: dict[str, Any]
    _mark: Mark | None
    _refused: tuple[Refusal, ...]
    TYPEMAP: ClassVar[dict[str, TypeSignature]]
    _UNSET: ClassVar[dict[str, Any]]
    _WALK: ClassVar[tuple[tuple[str, str, bool], ...]]
    _PARAMETERS: ClassVar[tuple[Any, ...] | None]

    def __init__(self, /, *args: Any, **fields: Any) -> None:
        data = self._UNSET.copy()
        _set_data(self, data)
        _set_refused(self, self._fill_all(data, args, fields))
        _set_scopes(self, ())
        _set_mark(self, mark_caller())

    @classmethod
    def _adopted(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise IsNotMappingError(value, cls.__name__)
        return cls(value)

    def _fill_all(self, data: dict[str, Any], args: tuple[Any, ...], fields: Mapping[str, Any]) -> tuple[Refusal, ...]:
        """As `_fill`, with mappings given by position first."""
        refused: tuple[Refusal, ...] = ()
        for arg in args:
            if isinstance(arg, Mapping):
                refused += self._fill(data, arg)
                continue
            error = IsNotMappingError(arg, type(self).__name__)
            refused += (refuse(error, Problem(str(error)), tuple(self.TYPEMAP)),)
        return refused + self._fill(data, fields)

    def _fill(self, data: dict[str, Any], fields: Mapping[str, Any]) -> tuple[Refusal, ...]:
        """Put objects of the declared types into `data`; what does not fit is refused."""
        typemap = self.TYPEMAP
        refused: tuple[Refusal, ...] = ()
        for attr, value in fields.items():
            signature = typemap.get(attr)
            if signature is None:
                refused += (self._refuse_unknown(attr, fields),)
                continue
            klazz = signature.klazz
            if value is Empty or type(value) is klazz:
                data[attr] = value
                continue
            try:
                data[attr] = adopt(klazz, value)
            except ShapeError as error:
                kept, reasons = salvage(klazz, value, error)
                refused += tuple([self._refuse_value(attr, reason, kept) for reason in reasons])
                data[attr] = data[attr] if kept is Empty else kept
        return refused

    def _refuse_unknown(self, attr: str, fields: Mapping[str, Any]) -> Refusal:
        text = self._unknown(attr, fields)
        meant = nearest(str(attr), self.TYPEMAP)
        return refuse(UnknownFieldError(text), Problem(text), (meant,) if meant else ())

    def _refuse_value(self, attr: str, error: ShapeError, kept: Any) -> Refusal:
        name = type(self).__name__
        stepped(f"{name}.{attr}", error)
        problem = Problem(error.reason, name, error.path.removeprefix(f"{name}."))
        return refuse(error, problem, (attr,) if kept is Empty else ())

    def _unknown(self, attr: str, fields: Mapping[str, Any]) -> str:
        given = fields.get("name", self._data.get("name"))
        given = given.get() if isinstance(given, SimpleObject) else given
        words = f"{type(self).__name__} `{given}`" if isinstance(given, str) else type(self).__name__
        hint = suggest(attr, self.TYPEMAP) or f"; its fields are {', '.join(self.TYPEMAP)}"
        return f"unknown field `{attr}` of {words}{hint}"

    @classmethod
    def _make(cls, data: dict[str, Any], mark: Mark | None, refused: tuple[Refusal, ...] = ()) -> Self:
        fresh = cls.__new__(cls)
        _set_data(fresh, data)
        _set_refused(fresh, refused)
        _set_scopes(fresh, ())
        _set_mark(fresh, mark)
        return fresh

    def _clone(self) -> Self:
        return self._make(self._data, self._mark, self._refused)

    @classmethod
    def _blank(cls) -> Self:
        """An object that lost all fields, in place of an element that was refused."""
        return cls._make(cls._UNSET, mark_caller(), (Refusal(tuple(cls.TYPEMAP)),))

    def __call__(self, /, *args: Any, **fields: Any) -> Self:
        """A copy with these fields changed."""
        data = self._data.copy()
        refused = self._refused + self._fill_all(data, args, fields)
        fresh = self._make(data, mark_caller() or self._mark, refused)
        _set_scopes(fresh, self._scopes)
        return fresh

    def __setattr__(self, attr: str, value: Any) -> None:
        name = type(self).__name__
        if attr in self.TYPEMAP:
            raise AttributeError(f"a {name} can't be changed; make a copy: new = old({attr}=...)")
        raise UnknownFieldError(self._unknown(attr, {}))

    def __delattr__(self, attr: str) -> None:
        raise AttributeError(f"a {type(self).__name__} can't be changed; make a copy: new = old({attr}=Empty)")

    def __getattr__(self, attr: str) -> Any:
        typemap = type(self).TYPEMAP
        if attr in typemap:
            return lambda: self._field(attr)
        if attr.startswith("has_") and attr[4:] in typemap:
            return lambda: self._data[attr[4:]] is not Empty
        if attr.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {attr}")
        raise UnknownFieldError(self._unknown(attr.removeprefix("has_"), {}))

    def _field(self, attr: str) -> Any:
        """One field, interpolated; the others are not looked at unless it refers to them."""
        value = self._data[attr]
        if value is Empty:
            return Empty
        inner = Fields(self._data, self._within(None))
        return adopt(self.TYPEMAP[attr].klazz, value._interpolate(inner, {}))

    def get(self) -> frozendict:
        return frozendict((attr, value.get()) for attr, value in self._data.items() if value is not Empty)

    def _place(self) -> Place | None:
        return place_of(self._mark)

    def _own_name(self, scope: Scope | None) -> str:
        name = self._data.get("name", Empty)
        if not isinstance(name, SimpleObject):
            return ""
        try:
            return name._text(scope or Fields(self._data, self._within(None)))
        except (CoercionError, Uninterpolatable):
            return str(name.get())

    def scopes(self) -> tuple[Namable, ...]:
        return (Chain(Fields(self._data, self._within(None))),)

    def _seek(self, keys: Keys, scope: Any) -> Hit | None:
        first = keys[0]
        value = self._data.get(first[1:], Empty) if first[0] == "." else Empty
        if value is Empty:
            return None
        inner = Fields(self._data, self._within(scope))
        if len(keys) == 1:
            return value, inner
        hit: Hit | None = value._seek(keys[1:], inner) if isinstance(value, Namable) else None
        return hit

    def find(self, ref: Ref) -> Any:
        """The value at `ref`, in its scope; raises Namable.Error."""
        if not ref.is_dereference():
            raise Namable.NamingError(self, ref)
        return found(self, ref)

    def _interpolate(self, scope: Scope | None, unbound: dict[Ref, None]) -> Any:
        inner = Fields(self._data, self._within(scope))
        data = {}
        for attr, value in self._data.items():
            if value is not Empty:
                value = adopt(self.TYPEMAP[attr].klazz, value._interpolate(inner, unbound))
            data[attr] = value
        return self._make(data, self._mark, self._refused)

    def _check(self, scope: Scope | None) -> TypeCheck:
        inner = Fields(self._data, self._within(scope))
        name = type(self).__name__
        for attr, _, required in self._WALK:
            value = self._data[attr]
            if value is not Empty:
                verdict = value._check(inner)
                if not verdict.ok():
                    return TypeCheck.failure(f"{name}[{attr}] failed: {verdict.message()}")
            elif required:
                return TypeCheck.failure(f"{name}[{attr}] is required.")
        return TypeCheck.success()

    def _plain(self, scope: Scope | None, report: Report, where: Where | None, key: str) -> Any:
        data = self._data
        inner = Fields(data, self._within(scope))
        here = Where(where, key, self, inner)
        out = {}
        lost = self._lost(report, here) if self._refused else ()
        for attr, dotted, required in self._WALK:
            value = data[attr]
            if value is not Empty:
                out[attr] = value._plain(inner, report, here, dotted)
            elif attr in lost:
                out[attr] = None
            elif required:
                report.error(f"{describe(self, inner)} needs `{attr}`, which is not set", here, dotted)
        return out

    def _lost(self, report: Report, here: Where) -> set[str]:
        """Tell what was refused; the fields that are not set because of it."""
        report.note_refusals(self._refused, here)
        return {attr for refusal in self._refused for attr in refusal.lost}

    def _text(self, scope: Scope | None) -> str:
        inner = Fields(self._data, self._within(scope))
        name = type(self).__name__
        parts = [f"{attr}={value._text(inner)}" for attr, value in self._data.items() if value is not Empty]
        return f"{name}({(',' + chr(10) + ' ' * (len(name) + 1)).join(parts)})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Structural)
            and self.TYPEMAP == other.TYPEMAP
            and self.interpolate()[0]._data == other.interpolate()[0]._data
        )

    def __hash__(self) -> int:
        return hash(self.get())

    def __repr__(self) -> str:
        return self._text(None)

    def __reduce__(self) -> tuple[Any, ...]:
        place = self._place()
        return _restore, (pickled_type(type(self)), self._data, self._scopes, place)

    def json_dumps(self) -> str:
        """The interpolated fields as JSON."""
        return json.dumps(self.interpolate()[0].get())

    def json_dump(self, fp: Any) -> None:
        fp.write(self.json_dumps())

    @classmethod
    def _filter_against_schema(cls, values: Any) -> Any:
        return known_part(cls, values)

    @classmethod
    def json_loads(cls, json_string: str | bytes, strict: bool = False) -> Self:
        """An object of JSON text; unknown keys are ignored at any depth, or refused if `strict`."""
        values = json.loads(json_string)
        return cls(values if strict else known_part(cls, values))

    @classmethod
    def json_load(cls, fp: Any, strict: bool = False) -> Self:
        """As `json_loads`, from a file."""
        return cls.json_loads(fp.read(), strict)

    @classmethod
    def type_factory(cls) -> str:
        return "Struct"

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        if cls._PARAMETERS is None:
            fields = [(attr, signature.serialize()) for attr, signature in cls.TYPEMAP.items()]
            cls._PARAMETERS = cls.__name__, tuple(sorted(fields, key=lambda field: field[0]))
        return cls._PARAMETERS


class Struct(Structural):
    """The base of what users declare."""


_set_data = Structural.__dict__["_data"].__set__
_set_mark = Structural.__dict__["_mark"].__set__
_set_refused = Structural.__dict__["_refused"].__set__
_set_scopes = Object.__dict__["_scopes"].__set__


def _restore(form: Any, data: dict[str, Any], scopes: tuple[Namable, ...], place: Place | None) -> Any:
    fresh = unpickled_type(form)._make(data, place)
    _set_scopes(fresh, scopes)
    return fresh


@TypeFactory.register("Struct")
def _build_struct(type_dict: dict[Any, Any], name: str, fields: tuple[tuple[str, Any], ...]) -> Any:
    body: dict[str, Any] = {attr: TypeSignature.deserialize(form, type_dict) for attr, form in fields}
    return StructMetaclass(name, (Struct,), body)
