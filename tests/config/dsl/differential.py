"""Random schemas, values and bindings as plain descriptions, built alike with pystachio and with ours."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = ("a", "b", "c", "name")

#: A description of a type: ("String",), ("Enum", words), ("List", T), ("Map", K, V), ("Choice", Ts),
#: ("Struct", name, ((field, kind, T, default or None), ...)).
Kind = tuple[Any, ...]

SCALARS = (("String",), ("Integer",), ("Float",), ("Boolean",), ("Enum", ("x", "y", "1")))

_words = st.sampled_from(["", "x", "y", "1", "0", "true", "7", "1.5", "a b", "{", "}", "{}", "{{}}", "$x", "${y}"])
_ADDRESSES = (
    "a b c name self.a self.name super.a super.super.name super.b.a super a.b b.a a.name a[0] a[-1] b[1] a[b] c[x] "
    "a[0].name b.c.a a[b][c] z z.y"
)
_addresses = st.sampled_from(_ADDRESSES.split(" "))
_tags = st.one_of(
    _addresses.map("{{{{{}}}}}".format),
    _addresses.map("{{{{{}}}}}".format),
    _addresses.map("{{{{&{}}}}}".format),
    st.just("{{{a}}}"),
    st.just("{{a[{{b}}]}}"),
    st.just("{{{{name}}}}"),
)
texts = st.lists(st.one_of(_words, _tags), max_size=3).map("".join)
_numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.0, 1.0, 1.9, -2.5, 1e20]), st.booleans())


def kinds(depth: int = 2) -> st.SearchStrategy[Kind]:
    """Types up to a depth of nesting; String is the commonest."""
    scalar = st.one_of(st.just(("String",)), st.sampled_from(SCALARS))
    if depth == 0:
        return scalar
    inner = kinds(depth - 1)
    return st.one_of(
        scalar,
        st.tuples(st.just("List"), inner),
        st.tuples(st.just("Map"), st.just(("String",)), inner),
        st.tuples(st.just("Choice"), st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3, unique=True)),
        structs(depth - 1),
    )


@st.composite
def structs(draw: Any, depth: int = 2) -> Kind:
    """A struct type with one to four fields, sorted: pystachio sorts them in types that are used as fields."""
    fields = []
    for name in sorted(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))):
        kind = draw(kinds(depth))
        how = draw(st.sampled_from(["Required", "Optional", "Optional", "Default"]))
        fields.append((name, how, kind, draw(values(kind)) if how == "Default" else None))
    return ("Struct", draw(st.sampled_from(["Job", "Task", "Process"])), tuple(fields))


@st.composite
def values(draw: Any, kind: Kind) -> Any:
    """A description of a value: ("plain", x), ("list", …), ("map", …), ("struct", kind, {field: value}, binds)."""
    match kind[0]:
        case "List":
            return ("list", kind, draw(st.lists(values(kind[1]), max_size=3)), draw(bindings(0)))
        case "Map":
            pairs = st.tuples(st.sampled_from(["x", "y", "1", "{{b}}"]), values(kind[2]))
            return ("map", kind, draw(st.lists(pairs, max_size=3, unique_by=lambda pair: pair[0])), draw(bindings(0)))
        case "Struct":
            fields = {}
            for name, how, inner, _ in kind[2]:
                odds = 10 if how == "Required" else 2
                if draw(st.integers(0, odds)):
                    fields[name] = draw(values(inner))
            return ("struct", kind, fields, draw(bindings(1)))
        case "Enum":
            return ("plain", draw(st.one_of(st.sampled_from(kind[1]), st.just("{{a}}"), st.just("{{b}}x"))))
        case "String":
            return ("plain", draw(st.one_of(texts, texts, _numbers)))
        case "Choice":  # pystachio reads an interpolated Choice again, and takes an undone literal for a reference
            return ("plain", draw(st.one_of(_numbers, texts.filter(lambda text: "{{&" not in text))))
        case _:
            return ("plain", draw(st.one_of(_numbers, texts)))


@st.composite
def bindings(draw: Any, depth: int = 1) -> list[tuple[str, dict[str, Any]]]:
    """What is bound to an object: ("bind" or "in_scope", {name: text, number, nested dict or value description})."""
    leaf = st.one_of(texts, st.integers(0, 3), st.sampled_from([True, 0.5]))
    held: st.SearchStrategy[Any] = st.one_of(leaf, st.dictionaries(st.sampled_from(NAMES), leaf, max_size=2))
    if depth:
        held = st.one_of(held, kinds(1).flatmap(values))
    names = st.sampled_from([*NAMES, "a.b", "z.y", "a[0]", "b[1]"])
    one = st.tuples(st.sampled_from(["bind", "bind", "in_scope"]), st.dictionaries(names, held, max_size=2))
    return draw(st.lists(one, max_size=2))


def build_kind(lib: Any, kind: Kind) -> Any:
    """The type, in a library."""
    match kind[0]:
        case "Enum":
            return lib.Enum("Word", kind[1])
        case "List":
            return lib.List(build_kind(lib, kind[1]))
        case "Map":
            return lib.Map(build_kind(lib, kind[1]), build_kind(lib, kind[2]))
        case "Choice":
            return lib.Choice([build_kind(lib, inner) for inner in kind[1]])
        case "Struct":
            body = {}
            for name, how, inner, default in kind[2]:
                built = build_kind(lib, inner)
                if how == "Required":
                    built = lib.Required(built)
                elif how == "Default":
                    built = lib.Default(built, build_value(lib, default))
                body[name] = built
            return type(lib.Struct)(kind[1], (lib.Struct,), body)
        case plain:
            return getattr(lib, plain)


def build_value(lib: Any, value: Any) -> Any:
    """The value, in a library; may raise what the library's constructors raise."""
    match value:
        case ("plain", plain):
            return plain
        case ("list", kind, items, binds):
            made = build_kind(lib, kind)([build_value(lib, item) for item in items])
        case ("map", kind, pairs, binds):
            made = build_kind(lib, kind)({key: build_value(lib, item) for key, item in pairs})
        case ("struct", kind, fields, binds):
            made = build_kind(lib, kind)(**{name: build_value(lib, item) for name, item in fields.items()})
    for how, held in binds:
        made = getattr(made, how)({name: _bound(lib, item) for name, item in held.items()})
    return made


def _bound(lib: Any, item: Any) -> Any:
    if isinstance(item, dict):
        return {name: _bound(lib, inner) for name, inner in item.items()}
    return build_value(lib, item) if isinstance(item, tuple) else item


def plain(value: Any) -> Any:
    """Comparable data of `.get()`: both libraries have their own frozendict."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
