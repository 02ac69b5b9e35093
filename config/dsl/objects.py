"""The base of everything in a config: an immutable object with bindings that wait to be used.

Nothing is substituted when an object is made. `.bind()` returns a copy with one more scope; only `interpolate`,
`check`, `resolve` and `problems` read the templates, in the object's own bindings and those of what holds it.

A subclass says how to walk itself, each time in the scope of its holder: `_interpolate` (an object again),
`_check` (the first failure, in pystachio's words), `_plain` (plain data, all problems), `_text` (as substituted).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from config.core.problem import Place, Problem
from config.dsl.refs import Namable, Ref, Value
from config.dsl.report import Report, Where
from config.dsl.scopes import Binding, Chain, Environment, Scope
from config.dsl.templates import Uninterpolatable

#: More of a wrong value is not shown in a problem.
_SHOWN = 120


class CoercionError(ValueError):
    """A value that can't become the type it is declared as."""

    def __init__(self, src: object, dst: type, message: str | None = None) -> None:
        error = f"Cannot coerce '{src}' to {dst.__name__}"
        super().__init__(f"{error}: {message}" if message else error)
        self.src, self.dst, self.reason = src, dst, message

    def __reduce__(self) -> tuple[Any, ...]:
        return CoercionError, (self.src, self.dst, self.reason)


class ShapeError(ValueError):
    """A value of the wrong shape, refused when the object is made; `within` adds where it was, outward."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = ""

    def within(self, step: str) -> Self:
        """Put `step` (`Task.`, `processes`, `[1]`) in front of the path."""
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class TypeCheck:
    """Whether an object is well typed, and if not, why."""

    __slots__ = ("_message", "_ok")

    class Error(Exception):
        pass

    def __init__(self, success: bool, message: str) -> None:
        self._ok = success
        self._message = message

    @staticmethod
    def success() -> TypeCheck:
        return _SUCCESS

    @staticmethod
    def failure(message: str) -> TypeCheck:
        return TypeCheck(False, message)

    def ok(self) -> bool:
        return self._ok

    def message(self) -> str:
        return self._message

    def __repr__(self) -> str:
        return "TypeCheck(OK)" if self._ok else f"TypeCheck(FAILED): {self._message}"


_SUCCESS = TypeCheck(True, "")


class Resolved(NamedTuple):
    """One pass over an object: plain data, the refs that nothing binds, and every problem."""

    data: Any
    unbound: list[Ref]
    problems: list[Problem]


class Object(Value):
    """An immutable value with scopes, newest first."""

    __slots__ = ("_scopes",)
    _scopes: tuple[Namable, ...]

    CoercionError = CoercionError

    class InterpolationError(Exception):
        pass

    @classmethod
    def _adopted(cls, value: Any) -> Any:
        """An object of this type, made of a plain value inside another one. Raises ShapeError."""
        made: Any = cls
        return made(value)

    def _clone(self) -> Self:
        """A copy that shares all parts."""
        raise NotImplementedError

    def _interpolate(self, scope: Scope | None, unbound: dict[Ref, None]) -> Any:
        raise NotImplementedError

    def _check(self, scope: Scope | None) -> TypeCheck:
        raise NotImplementedError

    def _plain(self, scope: Scope | None, report: Report, where: Where | None, key: str) -> Any:
        raise NotImplementedError

    def _text(self, scope: Scope | None) -> str:
        raise NotImplementedError

    def get(self) -> Any:
        """The plain, hashable value; templates as they are written."""
        raise NotImplementedError

    def _place(self) -> Place | None:
        return None

    def _own_name(self, scope: Scope | None) -> str:
        return ""

    def _within(self, outer: Scope | None) -> Scope | None:
        """The chain this object is read in: its own bindings, then `outer`."""
        for namable in reversed(self._scopes):
            outer = Binding(namable, outer)
        return outer

    def scopes(self) -> tuple[Namable, ...]:
        """What content of this object is read in; to be given to `in_scope`."""
        return self._scopes

    @staticmethod
    def translate_to_scopes(*args: Any, **named: Any) -> tuple[Namable, ...]:
        """Namables of dicts, environments and objects that can be asked for names."""
        scopes = [arg if isinstance(arg, Namable) else Environment.wrap(arg) for arg in args]
        for scope in scopes:
            if not isinstance(scope, Namable):
                raise ValueError(f"cannot bind {scope!r} without a name: write .bind(name={scope!r})")
        return (*scopes, Environment(named)) if named else tuple(scopes)

    def _scoped(self, scopes: tuple[Namable, ...]) -> Self:
        fresh = self._clone()
        _set_scopes(fresh, scopes)
        return fresh

    def bind(self, /, *args: Any, **named: Any) -> Self:
        """A copy in which these values answer first; the last argument wins, then the named ones."""
        return self._scoped(self.translate_to_scopes(*args, **named)[::-1] + self._scopes)

    def in_scope(self, /, *args: Any, **named: Any) -> Self:
        """A copy in which these values answer last."""
        return self._scoped(self._scopes + self.translate_to_scopes(*args, **named))

    def copy(self) -> Self:
        return self._scoped(self._scopes)

    def dup(self) -> Self:
        """A copy without bindings."""
        return self._scoped(())

    def interpolate(self) -> tuple[Any, list[Ref]]:
        """(the object with all replaced that is bound, the refs that are not). Raises CoercionError."""
        unbound: dict[Ref, None] = {}
        return self._interpolate(None, unbound), list(unbound)

    def check(self) -> TypeCheck:
        """The first failure, or success."""
        return self._check(None)

    def resolve(self) -> Resolved:
        """Plain data (dict, list, str, int, float, bool; unset fields are absent), unbound refs, all problems."""
        return resolve(self)

    def problems(self) -> list[Problem]:
        """Everything that is wrong with this object, in the order of its fields."""
        return resolve(self).problems

    def __mod__(self, namable: Any) -> Any:
        return self.bind(namable).interpolate()[0]

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __str__(self) -> str:
        return self._text(None)


_set_scopes = Object.__dict__["_scopes"].__set__


def resolve(obj: Object) -> Resolved:
    """As `obj.resolve()`, also where a struct has a field of that name."""
    report = Report(obj)
    data = obj._plain(None, report, None, "")
    return Resolved(data, list(report.unbound), [*report.refused, *report.problems])


def unbound_problems(obj: Object, is_allowed: Callable[[Ref], bool]) -> list[Problem]:
    """A problem for each ref that is not allowed to stay, where `problems()` does not speak of it."""
    report = Report(obj)
    obj._plain(None, report, None, "")
    return [
        report.problem_at(unbound_text(ref), site)
        for ref, sites in report.unbound.items()
        if not is_allowed(ref)
        for site in dict.fromkeys(sites)
        if (ref, site) not in report.told
    ]


def bind_advice(ref: Ref) -> str:
    """How a ref gets a value."""
    return f"bind it (`--bind {ref.address()}=…`)"


def unbound_text(ref: Ref) -> str:
    """What to do about a ref in a text that nothing binds."""
    return f"`{ref}` is not bound: {bind_advice(ref)}, or write `{{{{&{ref.address()}}}}}` for a literal `{ref}`"


def explain(error: CoercionError | Uninterpolatable) -> str:
    """A failure of a single value in our words."""
    if isinstance(error, Uninterpolatable):
        return f"its references go round in a circle, or on for too long: what is left in the end is `{error.text}`"
    shown = repr(error.src)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}…"
    return error.reason or f"{shown} is not {getattr(error.dst, 'NOUN', f'a {error.dst.__name__}')}"


__all__ = [
    "Chain",
    "CoercionError",
    "Object",
    "Resolved",
    "ShapeError",
    "TypeCheck",
    "bind_advice",
    "explain",
    "resolve",
    "unbound_problems",
    "unbound_text",
]
