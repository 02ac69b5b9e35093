"""pystachio 0.8.10 is the oracle: on random configs ours gives the same data, refs, verdicts and texts.

Where pystachio crashes (an IndexError for a list that is too short, say) ours must answer without a crash.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings

from config import dsl as ours
from config.core.problem import is_error
from config.dsl import templates

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pystachio as theirs
    from pystachio.base import Object as TheirObject
    from pystachio.parsing import MustacheParser as TheirParser

from tests.config.dsl.differential import build_value, plain, structs, texts, values

LIGHT = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

CONFIGS = structs().flatmap(values)

#: What both raise on purpose; anything else of pystachio is a crash of it.
EXPECTED = (TheirObject.CoercionError, TheirParser.Uninterpolatable, ours.CoercionError, ours.Uninterpolatable)


def without_hints(text: str) -> str:
    """Our message without what it adds to pystachio's."""
    return re.sub(r"; did you mean `[^`]*`\?", "", text)


def outcome(act: Any, *args: Any) -> tuple[str, Any]:
    """("value", result), ("refused", text) or ("crash", error)."""
    try:
        return "value", act(*args)
    except EXPECTED as error:
        return "refused", without_hints(str(error))
    except Exception as error:
        return "crash", error


def interpolated(obj: Any) -> Any:
    done, refs = obj.interpolate()
    return plain(done.get()), sorted({ref.address() for ref in refs})


def checked(obj: Any) -> Any:
    verdict = obj.check()
    return verdict.ok(), without_hints(verdict.message())


def raw(obj: Any) -> Any:
    return plain(obj.get())


class Longest:
    """The longest text that ours has met while it expanded one; pystachio would go on until the memory is full."""

    length = 0
    LIMIT = 20_000


@pytest.fixture(autouse=True, scope="module")
def measured_texts():
    real = templates._replace_once

    def measure(*args: Any) -> tuple[bool, str]:
        again, text = real(*args)
        Longest.length = max(Longest.length, len(text))
        return again, text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "_replace_once", measure)
        yield


def compare(value: Any, act: Any) -> None:
    """Act on both, ours first: where a text grows without end, pystachio is not asked."""
    Longest.length = 0
    kind, mine = outcome(build_value, ours, value)
    got = outcome(act, mine) if kind == "value" else None
    if Longest.length > Longest.LIMIT or "…" in str(got):
        return
    their_kind, other = outcome(build_value, theirs, value)
    if their_kind != "value":  # pystachio reads a Choice's default when the class is made; ours waits
        return
    assert got is not None, mine
    expected = outcome(act, other)
    event(expected[0])
    if expected[0] == "crash":
        assert got[0] != "crash", got
    elif act is checked and expected[0] == "refused":  # pystachio raises while it words the failure of a Map
        assert got[0] == "value"
        assert not got[1][0]
    else:
        assert got == expected


@LIGHT
@given(CONFIGS)
def test_same_data_and_same_unbound_refs(value: Any) -> None:
    compare(value, interpolated)


@LIGHT
@given(CONFIGS)
def test_same_verdict_and_message(value: Any) -> None:
    compare(value, checked)


@settings(LIGHT, max_examples=40)
@given(CONFIGS)
def test_same_raw_data_text_and_json(value: Any) -> None:
    compare(value, raw)
    if "{{&" not in str(value):  # pystachio interpolates twice here, and takes an undone literal for a reference
        compare(value, repr)
    compare(value, lambda obj: obj.json_dumps())


@settings(LIGHT, max_examples=40)
@given(CONFIGS)
def test_accessors_agree_with_pystachio(value: Any) -> None:
    for name in ("a", "b", "c", "name"):
        if name in {field for field, *_ in value[1][2]}:

            def read(obj: Any, name: str = name) -> Any:
                field = getattr(obj, name)()
                return None if isinstance(field, type) else plain(field.get())

            compare(value, read)
            compare(value, lambda obj, name=name: getattr(obj, f"has_{name}")())


@settings(LIGHT, max_examples=40)
@given(CONFIGS)
def test_a_copy_keeps_fields_and_bindings(value: Any) -> None:
    compare(value, lambda obj: interpolated(obj()))
    compare(value, lambda obj: interpolated(obj.bind(a="{{b}}", name=0)))
    compare(value, lambda obj: interpolated(obj.in_scope({"a": {"b": "{{c}}"}}, b="q")))
    compare(value, lambda obj: raw(obj % {"a": 1, "z": {"y": "{{a}}"}}))


@LIGHT
@given(CONFIGS)
def test_resolve_is_interpolate_check_and_json_at_once(value: Any) -> None:
    kind, obj = outcome(build_value, ours, value)
    if kind != "value":
        return
    data, unbound, problems = obj.resolve()
    errors = [problem for problem in problems if is_error(problem)]
    assert (not errors) == obj.check().ok()
    if not errors:
        assert plain(data) == interpolated(obj)[0]
        assert sorted(ref.address() for ref in unbound) == interpolated(obj)[1]


@settings(LIGHT, max_examples=400)
@given(texts)
@example("{{a}}{{&a}}{{&&}}{{&a&}}")
@example("{{{{a}}}}")
def test_same_pieces_of_a_template(text: str) -> None:
    def pieces(parser: Any) -> Any:
        return [piece if isinstance(piece, str) else piece.address() for piece in parser.split(text)]

    assert outcome(pieces, ours.MustacheParser) == outcome(pieces, TheirParser)


def test_equality_and_hash_ignore_bindings_in_both() -> None:
    for lib in (ours, theirs):
        kind = type(lib.Struct)("P", (lib.Struct,), {"a": lib.String})
        assert kind(a="x") == kind(a="x").bind(q=1)
        assert hash(kind(a="x")) == hash(kind(a="x").bind(q=1))
        assert kind(a="{{q}}").bind(q=1) == kind(a="1")
