"""Choice([A, B]): a value that may be of one of several types.

The value is kept as given; reading it takes an object of an alternative as it is, and tries to make one of the
alternatives, in order, of anything else. A dict becomes the first alternative that has all its fields and is well
typed, whichever place that has in the list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from config.core.problem import is_error
from config.dsl.objects import CoercionError, Object, TypeCheck
from config.dsl.refs import Namable, Ref
from config.dsl.refusals import raising
from config.dsl.report import Report, Where
from config.dsl.scopes import Scope
from config.dsl.typing import Type, TypeFactory, TypeMetaclass, pickled_type, unpickled_type

#: What says "this value is not of this type": a coercion, a wrong shape, an unknown field.
_MISFITS = (ValueError, AttributeError, TypeError)


class ChoiceContainer(Object, Type):
    """A value and the types it may be."""

    __slots__ = ("_value",)
    _value: Any
    CHOICES: ClassVar[tuple[Any, ...]] = ()

    def __init__(self, val: Any) -> None:
        self._value = val
        self._scopes = ()

    def _clone(self) -> Self:
        fresh = type(self).__new__(type(self))
        fresh._value = self._value
        fresh._scopes = ()
        return fresh

    def _exact(self) -> Any:
        """The value if it is an object of an alternative already, else None."""
        return self._value if any(isinstance(self._value, option) for option in self.CHOICES) else None

    def _candidates(self) -> Iterator[tuple[Any, Any, str]]:
        """(alternative, object or None, why not) for a value that is no object of an alternative."""
        for option in self.CHOICES:
            try:
                with raising():
                    candidate = option(self._value)
            except _MISFITS as error:
                yield option, None, str(error)
            else:
                yield option, candidate, ""

    def unwrap(self) -> Any:
        """The object of the alternative that fits."""
        return self.interpolate()[0]

    def get(self) -> Any:
        return self.unwrap().get()

    def _interpolate(self, scope: Scope | None, unbound: dict[Ref, None]) -> Any:
        inner = self._within(scope)
        exact = self._exact()
        if exact is not None:
            return exact._interpolate(inner, unbound)
        fallback: tuple[Any, dict[Ref, None]] | None = None
        for _, candidate, _ in self._candidates():
            refs: dict[Ref, None] = {}
            try:
                done = None if candidate is None else candidate._interpolate(inner, refs)
            except _MISFITS:
                continue
            if done is None:
                continue
            fallback = fallback or (done, refs)
            if not self._is_plain() or candidate._check(inner).ok():
                fallback = (done, refs)
                break
        if fallback is None:
            raise CoercionError(self._value, type(self))
        unbound.update(fallback[1])
        return fallback[0]

    def _is_plain(self) -> bool:
        """Whether the value is a dict or list, which fits a type only if its content does."""
        return isinstance(self._value, Mapping | list | tuple)

    def _check(self, scope: Scope | None) -> TypeCheck:
        inner = self._within(scope)
        exact = self._exact()
        if exact is not None:
            verdict: TypeCheck = exact._check(inner)
            return verdict
        for _, candidate, _ in self._candidates():
            if candidate is not None and candidate._check(inner).ok():
                return TypeCheck.success()
        return TypeCheck.failure(
            f"{type(self).__name__} typecheck failed: value {self._value} did not match any of its alternatives"
        )

    def _plain(self, scope: Scope | None, report: Report, where: Where | None, key: str) -> Any:
        inner = self._within(scope)
        exact = self._exact()
        if exact is not None:
            return exact._plain(inner, report, where, key)
        reasons = []
        open_refs: Report | None = None
        for option, candidate, why in self._candidates():
            if candidate is not None:
                trial = Report(report.root)
                data = candidate._plain(inner, trial, where, key)
                errors = [problem for problem in trial.problems if is_error(problem)]
                if not errors:
                    report.take(trial)
                    return data
                open_refs = trial if open_refs is None or not open_refs.unbound else open_refs
                why = "; ".join(problem.text for problem in errors)
            reasons.append(f"{option.__name__}: {why}")
        if open_refs is not None:
            report.take_notes(open_refs)
        names = ", ".join(option.__name__ for option in self.CHOICES)
        report.error(f"fits none of {names} ({' | '.join(reasons)})", where, key)
        return self._value if isinstance(self._value, str | int | float | Mapping) else str(self._value)

    def _text(self, scope: Scope | None) -> str:
        return str(self._interpolate(scope, {})._text(None))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ChoiceContainer)
            and self._alternatives() == other._alternatives()
            and bool(self.unwrap() == other.unwrap())
        )

    def __hash__(self) -> int:
        return hash(self.get())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._value!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (pickled_type(type(self)), self._value, self._scopes)

    @classmethod
    def _alternatives(cls) -> tuple[Any, ...]:
        return tuple(option.serialize_type() for option in cls.CHOICES)

    @classmethod
    def type_factory(cls) -> str:
        return "Choice"

    @classmethod
    def type_parameters(cls) -> tuple[Any, ...]:
        return cls.__name__, cls._alternatives()


def _restore(form: Any, value: Any, scopes: tuple[Namable, ...]) -> Any:
    fresh = unpickled_type(form)(value)
    return fresh._scoped(scopes) if scopes else fresh


def Choice(*args: Any) -> Any:
    """`Choice([A, B])` or `Choice('Name', [A, B])`."""
    name, options = args if len(args) == 2 else ("", args[0] if args else ())
    if not isinstance(options, list | tuple) or not options or not isinstance(name, str):
        raise ValueError("Choice takes a list of types: Choice([A, B]) or Choice('Name', [A, B])")
    for option in options:
        if not (isinstance(option, type) and issubclass(option, Object)):
            raise ValueError(f"Choice takes types such as String or a Struct, got {option!r}")
    name = name or "Choice_" + "_".join(option.__name__ for option in options)
    return TypeMetaclass(name, (ChoiceContainer,), {"CHOICES": tuple(options), "__slots__": ()})


@TypeFactory.register("Choice")
def _build_choice(type_dict: dict[Any, Any], name: str, options: tuple[Any, ...]) -> Any:
    return Choice(name, [TypeFactory.new(type_dict, *option) for option in options])
