"""References in text: what is replaced, what stays, and what is said about the rest."""

from __future__ import annotations

import pytest

from config.core.problem import Severity
from config.dsl import MustacheParser, Ref, String, Uninterpolatable
from config.dsl.templates import expand, parse_template

BOUND = {"a": "1", "b": "2", "which": "http", "foo": {"bar": "deep"}}

EXPANSIONS = [
    ("", ""),
    ("plain", "plain"),
    ("{{a}}{{b}}", "12"),
    ("{{foo.bar}}", "deep"),
    ("{{&a}}", "{{a}}"),
    ("{{&a&}}", "{{a}}"),
    ("{{&print $1}}", "{{print $1}}"),
    ("{{&.ID}}", "{{.ID}}"),
    ("{{}}", "{{}}"),
    ("${a} {a}", "${a} {a}"),
    ("{{{a}}}", "{1}"),
    ("{{{{a}}}}", "{{1}}"),
    ("{{x}}", "{{x}}"),
    ("{{a[b-c/d.e]}}", "{{a[b-c/d.e]}}"),
    ("{{.a}}", "1"),
]


@pytest.mark.parametrize(("text", "wanted"), EXPANSIONS)
def test_expansion(text: str, wanted: str) -> None:
    assert String(text).bind(BOUND).interpolate()[0].get() == wanted


@pytest.mark.parametrize(
    ("address", "components"),
    [
        ("a", (".a",)),
        ("a.b", (".a", ".b")),
        ("a[b]", (".a", "[b]")),
        ("[a]", ("[a]",)),
        (".a", (".a",)),
        ("a[b-c/d.e][0].x_1", (".a", "[b-c/d.e]", "[0]", ".x_1")),
        ("é", None),
        ("a b", None),
        ("a:b", None),
        ("a#", None),
        ("1a", None),
        ("a..b", None),
        ("a[]", None),
        ("a[ b ]", None),
        ("", None),
    ],
)
def test_addresses(address: str, components: tuple[str, ...] | None) -> None:
    if components is None:
        with pytest.raises(Ref.InvalidRefError):
            Ref.from_address(address)
    else:
        ref = Ref.from_address(address)
        assert ref.keys == components
        assert Ref.from_address(ref.address()) == ref
        assert str(ref) == f"{{{{{ref.address()}}}}}"


def test_refs_have_an_order_and_can_be_taken_apart() -> None:
    a, ab, b = Ref.from_address("a"), Ref.from_address("a[b]"), Ref.from_address("b")
    assert sorted([ab, b, a]) == [a, b, ab]
    assert a + ab.rest() == ab
    assert ab.action().value == "a"
    assert ab.is_dereference()
    assert ab.rest().is_index()
    assert a.rest().is_empty()
    assert a.scoped_to(ab) == Ref.from_address("[b]")
    assert ab.scoped_to(a) is None
    assert Ref.wrap("a") == Ref.wrap(a)
    assert {a: 1}[Ref.from_address("a")] == 1
    assert repr(ab) == "Ref(a[b])"


def test_nested_refs_resolve_from_the_inside() -> None:
    text = String("{{ports[{{which}}]}}")
    assert text.bind({"ports[http]": 80, "which": "http"}).interpolate()[0].get() == "80"
    done, unbound = text.bind(which="http").interpolate()
    assert (done.get(), unbound) == ("{{ports[http]}}", [Ref.from_address("ports[http]")])
    assert text.interpolate()[1] == [Ref.from_address("which")]


def test_a_chain_of_90_resolves_and_one_of_120_is_refused() -> None:
    def chain(length: int) -> String:
        return String("{{v0}}").bind({f"v{n}": f"{{{{v{n + 1}}}}}" for n in range(length)}, {f"v{length}": "end"})

    assert chain(90).interpolate()[0].get() == "end"
    with pytest.raises(Uninterpolatable, match="Maximum replacements reached"):
        chain(120).interpolate()


@pytest.mark.parametrize("bound", [{"a": "{{a}}"}, {"a": "{{b}}", "b": "{{a}}"}, {"a": "x{{a}}"}])
def test_a_circle_is_an_error_not_a_hang(bound: dict[str, str]) -> None:
    circle = String("{{a}}").bind(bound)
    assert "Maximum replacements reached" in circle.check().message()
    assert "go round in a circle" in circle.problems()[0].text
    with pytest.raises(Uninterpolatable):
        circle.interpolate()


def test_a_circle_that_doubles_is_stopped_before_it_fills_the_memory() -> None:
    seen = []

    def lookup(keys: tuple[str, ...]) -> str:
        seen.append(keys)
        return "{{a}}{{a}}"

    with pytest.raises(Uninterpolatable) as failure:
        expand("{{a}}", lookup)
    assert len(str(failure.value)) < 500
    assert len(seen) == 1


SINGLE = "or `{print $1}` for single braces"

FAULTS = [
    ("{{ x }}", "`{{ x }}` has blanks: write `{{x}}` for a reference, or `{{& x }}` for a literal `{{ x }}`"),
    (
        "{{print $1}}",
        "`{{print $1}}` is not a reference: write `{{&print $1}}` for a literal `{{print $1}}`, " + SINGLE,
    ),
    ("{{.ID}}", "`{{.ID}}` is not bound: write `{{ID}}` for a reference, or `{{&.ID}}` for a literal `{{.ID}}`"),
]


@pytest.mark.parametrize(("tag", "text"), FAULTS)
def test_what_is_no_reference_stays_as_written_and_says_what_to_write(tag: str, text: str) -> None:
    value = String(f"docker ps {tag} {{{{x}}}}").bind(x=1)
    data, unbound, problems = value.resolve()
    assert data == f"docker ps {tag} 1"
    assert unbound == []
    assert [problem.text for problem in problems] == [text]
    assert problems[0].severity is Severity.ERROR
    assert value.check().message() == f"Unable to interpolate: {text}"
    assert value.interpolate()[0].get() == f"docker ps {tag} 1"


@pytest.mark.parametrize("tag", ["{{ x }}", "{{print $1}}", "{{.ID}}", "{{a&}}", "{{&}}", "{{range .Items}}"])
def test_the_advised_literal_gives_what_was_written(tag: str) -> None:
    advice = String(tag).problems()[0].text
    literal = advice.split("or `")[-1].split("`")[0] if "single braces" not in advice else advice.split("`")[3]
    assert String(literal).resolve() == (tag, [], [])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{thermos.ports[http]}", ["thermos.ports[http]"]),
        ("x {mesos.instance} {thermos.task_id}", ["mesos.instance", "thermos.task_id"]),
        ("{{thermos.ports[http]}}", []),
        ("{{{mesos.instance}}}", []),
        ("${mesos.instance}", []),
        ("{name}", []),
    ],
)
def test_braces_eaten_by_an_fstring_are_a_warning(text: str, names: list[str]) -> None:
    warnings = String(text).problems()
    assert [problem.severity for problem in warnings] == [Severity.WARNING] * len(names)
    for problem, name in zip(warnings, names, strict=True):
        assert "did an f-string eat the braces?" in problem.text
        assert f"write `{{{{{name}}}}}` in a plain string" in problem.text
    assert String(text).check().ok()


def test_the_advice_for_fstrings_is_true() -> None:
    advice = String("{thermos.task_id}").problems()[0].text
    written = advice.split("`")[5]
    assert eval(f"f'{written}'") == "{{thermos.task_id}}"


def test_a_template_is_taken_apart_once() -> None:
    assert parse_template("x {{a}}") is parse_template("x {{a}}")


def test_the_old_parser_interface() -> None:
    assert MustacheParser.split("a{{b}}{{&c}}") == ["a", Ref.from_address("b"), "{{c}}"]
    assert MustacheParser.split("{{&c}}", keep_aliases=True) == ["{{&c}}"]
    with pytest.raises(Ref.InvalidRefError):
        MustacheParser.split("{{ a }}")
