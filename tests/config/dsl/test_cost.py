"""The work grows with the size of a config: counted in look-ups and parses, not in seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from config.dsl import Default, Integer, List, Required, String, Struct, scopes, templates, values


class Process(Struct):
    name = Required(String)
    cmdline = Required(String)
    max_failures = Default(Integer, 1)


class Task(Struct):
    name = Default(String, "{{processes[0].name}}")
    processes = List(Process)


class Counter:
    """Counts calls of a function that is replaced in its module."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.real = real
        self.calls = 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.real(*args)


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts how many links of scope chains are asked."""
    counter = Counter(scopes.Fields.here)
    bound = Counter(scopes.Binding.here)
    monkeypatch.setattr(scopes.Fields, "here", lambda self, keys: counter(self, keys))

    def here(self: Any, keys: Any) -> Any:
        counter.calls += 1
        return bound(self, keys)

    monkeypatch.setattr(scopes.Binding, "here", here)
    return counter


@pytest.fixture
def expansions(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter(values.expand_in)
    monkeypatch.setattr(values, "expand_in", counter)
    return counter


def nested(depth: int) -> Any:
    """A struct in a struct in a struct…; the innermost refers to the outermost."""
    kind: Any = type(Struct)("S0", (Struct,), {"text": String})
    value = kind(text="{{top}} {{nix}}")
    for level in range(1, depth):
        kind = type(Struct)(f"S{level}", (Struct,), {"inner": kind})
        value = kind(inner=value)
    return value.bind(top="x")


def work(counter: Counter, act: Callable[[], object]) -> int:
    before = counter.calls
    act()
    return counter.calls - before


@pytest.mark.parametrize("verb", ["resolve", "check", "interpolate"])
def test_nesting_costs_linearly(links: Counter, verb: str) -> None:
    costs = [work(links, getattr(nested(depth), verb)) for depth in (10, 20, 40)]
    assert costs[0] > 0
    assert costs[2] - costs[1] <= 2.2 * (costs[1] - costs[0])
    assert costs[2] <= 4 * 40


def test_super_costs_at_most_chain_times_supers(links: Counter) -> None:
    def cost(depth: int) -> int:
        supers = ".".join(["super"] * depth)
        value = nested(depth)
        inner = value
        while hasattr(type(inner), "TYPEMAP") and "inner" in type(inner).TYPEMAP:
            inner = inner._data["inner"]
        text = inner(text=f"{{{{{supers}.nix}}}}")
        for level in range(1, depth):
            text = type(Struct)(f"T{level}", (Struct,), {"inner": type(text)})(inner=text)
        return work(links, text.resolve)

    assert 0 < cost(12) <= 3 * 12 * 13


def test_bindings_cost_linearly(links: Counter) -> None:
    def cost(binds: int) -> int:
        process = Process(name="a", cmdline="{{x}}")
        for number in range(binds):
            process = process.bind({f"y{number}": 1})
        return work(links, process.bind().in_scope(x=1).resolve)

    assert cost(400) - cost(200) == 2 * (cost(200) - cost(100)) > 0


def test_processes_cost_linearly(expansions: Counter) -> None:
    def cost(count: int) -> int:
        processes = [Process(name=f"p{number}", cmdline="{{thermos.ports[http]}} {{name}}") for number in range(count)]
        return work(expansions, Task(processes=processes).resolve)

    assert cost(200) - cost(100) == 100
    assert cost(100) <= 2 * 100


def test_text_without_braces_is_not_expanded(expansions: Counter) -> None:
    assert work(expansions, Task(name="a", processes=[Process(name="x", cmdline="sleep ${TIME}")]).resolve) == 0


def test_an_accessor_does_not_read_the_other_fields(expansions: Counter) -> None:
    task = Task(processes=[Process(name=f"p{number}", cmdline="{{x}}") for number in range(100)])
    assert work(expansions, task.name) <= 1
    process = Process(name="{{x}}", cmdline="{{y}}")
    assert work(expansions, process.name) == 1


def test_the_same_template_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(templates._parse_tag)
    monkeypatch.setattr(templates, "_parse_tag", counter)
    text = "once {{parsed.for_all[of]}} {{them}}"
    assert (
        work(counter, Task(processes=[Process(name=f"p{n}", cmdline=text) for n in range(50)], name="t").resolve) == 2
    )


def test_one_problem_per_process_is_found_in_linear_work(expansions: Counter) -> None:
    def cost(count: int) -> int:
        return work(expansions, Task(name="t", processes=[Process(name="{{ x }}", cmdline="x")] * count).resolve)

    assert cost(200) == 2 * cost(100) > 0
