"""The map from the specification to the tests leads somewhere: nothing is left out, everything named exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.spec_map import CHECKLIST, SECTION, Evidence, Reason
from tests.spec_map_executor import EXECUTING
from tests.spec_map_stories import DEFECTS, PITFALLS, SCENARIOS

ROOT = Path(__file__).parent.parent

NUMBERS = {
    "checklist": (CHECKLIST | EXECUTING, [*range(1, 134)]),
    "scenarios": (SCENARIOS, [*range(1, 10)]),
    "defects": (DEFECTS, [*range(1, 24)]),
    "pitfalls": (PITFALLS, [*range(1, 16)]),
}

#: file::function[config]
NODE = re.compile(r"(?P<file>tests/[\w/]+\.py)::(?P<function>test_\w+)(\[(?P<config>[\w.]+)\])?")

#: Tests of many configs, and where these lie: the one that is meant stands in brackets.
CONFIGS = {
    "test_a_broken_config_is_told_what_is_wrong": ["tests/config/bad"],
    "test_a_good_config_has_no_problems_and_this_json": ["tests/config/good", "examples"],
}

EVERYTHING = [(name, number, found) for name, (items, _) in NUMBERS.items() for number, found in items.items()]


@cache
def functions_of(path: str) -> frozenset[str]:
    """Names of the tests of a file: functions, and methods of its classes."""
    tree = ast.parse((ROOT / path).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    bodies = [tree.body, *(node.body for node in classes)]
    return frozenset(n.name for body in bodies for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def section_of_decisions() -> str:
    """The reasons, in one line."""
    parts = (ROOT / "docs" / "decisions.md").read_text().split("\n## ")
    found = [part for part in parts if part.startswith(f"{SECTION}\n")]
    assert len(found) == 1, f"docs/decisions.md has no section {SECTION!r}"
    return " ".join(found[0].split())


def trouble_with(evidence: str | Reason) -> str:
    """Why this leads nowhere; "" if it leads somewhere."""
    if isinstance(evidence, Reason):
        return "" if evidence.words in section_of_decisions() else "docs/decisions.md does not say this"
    match = NODE.fullmatch(evidence)
    if match is None:
        return "not of the form tests/FILE.py::test_NAME or tests/FILE.py::test_NAME[CONFIG]"
    path, function, config = match["file"], match["function"], match["config"]
    if not (ROOT / path).is_file():
        return "no such file"
    if function not in functions_of(path):
        return "no such test"
    places = CONFIGS.get(function, [])
    if bool(config) != bool(places):
        return "a config is to be named" if places else "parameters are not named"
    return "" if not config or any((ROOT / place / config).is_file() for place in places) else "no such config"


@pytest.mark.parametrize("name", NUMBERS)
def test_nothing_is_left_out(name: str) -> None:
    items, wanted = NUMBERS[name]
    assert sorted(items) == wanted
    assert all(items.values()), "every number needs a test or a reason"


@pytest.mark.parametrize(("name", "number", "found"), EVERYTHING, ids=[f"{n}-{i}" for n, i, _ in EVERYTHING])
def test_it_leads_somewhere(name: str, number: int, found: Evidence) -> None:
    assert {str(e): trouble for e in found if (trouble := trouble_with(e))} == {}
    assert len(found) == len(set(found)), "named twice"


def test_what_is_wrong_would_be_seen() -> None:
    here = "tests/test_spec_map.py"
    assert trouble_with(f"{here}::test_what_is_wrong_would_be_seen") == ""
    for wrong, text in {
        f"{here}::test_no_such": "no such test",
        f"{here}::trouble_with": "not of the form",
        "tests/nowhere.py::test_x": "no such file",
        f"{here}::test_nothing_is_left_out[name]": "parameters are not named",
        "tests/config/test_bad.py::test_a_broken_config_is_told_what_is_wrong": "a config is to be named",
        "tests/config/test_bad.py::test_a_broken_config_is_told_what_is_wrong[nix.thermos]": "no such config",
    }.items():
        assert trouble_with(wrong).startswith(text), wrong
    assert trouble_with(Reason("we did not feel like it")) == "docs/decisions.md does not say this"


def test_nothing_that_is_named_is_skipped() -> None:
    """A test that is skipped, or expected to fail, shows nothing. (Some need root, and say so by `skipif`.)"""
    files = {e.partition("::")[0] for _, _, found in EVERYTHING for e in found if isinstance(e, str)}
    unconditional = re.compile(r"\bmark\.(skip|xfail)\b|\bpytest\.(skip|xfail)\(")
    assert [path for path in sorted(files) if unconditional.search((ROOT / path).read_text())] == []
