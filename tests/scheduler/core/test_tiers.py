"""Tiers: the original's three, files of the old form, what is wrong with others."""

from __future__ import annotations

import pytest

from scheduler.core.tiers import BUILT_IN, parse_tiers
from thermos.errors import ConfigError


def test_without_a_file_there_are_three() -> None:
    assert BUILT_IN.of(None).name == "preemptible"
    assert [name for name, tier in BUILT_IN.by_name.items() if tier.is_production] == ["preferred"]
    assert BUILT_IN.of("revocable").revocable
    assert BUILT_IN.named("gone") is None and BUILT_IN.of("gone") == BUILT_IN.of(None)


@pytest.mark.parametrize("yes", [True, "true"])
def test_a_file_may_say_booleans_as_text(yes: object) -> None:
    tiers = parse_tiers({"default": "x", "tiers": {"x": {"preemptible": yes, "revocable": "false"}}})
    assert (tiers.of("x").preemptible, tiers.of("x").revocable) == (True, False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"default": "y", "tiers": {}}, "the default 'y' is none of them"),
        ({"tiers": {}}, "missing required field `default`"),
        ({"default": "x", "tiers": {"x": {"preemptible": "maybe", "revocable": False}}}, r"\$\.tiers"),
        ({"default": "x", "tiers": {"x": {"preemptible": True, "revocable": True, "fast": True}}}, "fast"),
    ],
)
def test_what_is_wrong_is_told(value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_tiers(value)
