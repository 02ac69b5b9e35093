"""Host constraints as text."""

import pytest

from config.core.constraints import LimitConstraint, ValueConstraint, dedicated_refusal, parse_constraint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("limit:1", LimitConstraint(1)),
        ("limit: 3", LimitConstraint(3)),
        ("a", ValueConstraint(("a",), False)),
        ("a,b,a", ValueConstraint(("a", "b"), False)),
        ("!a, b", ValueConstraint(("a", "b"), True)),
        ("unlimited", ValueConstraint(("unlimited",), False)),
    ],
)
def test_parse(text: str, expected: LimitConstraint | ValueConstraint) -> None:
    assert parse_constraint(text) == expected


@pytest.mark.parametrize("text", ["limit:", "limit:a", "limit:0", "limit:-1", "limit:1.5", "", "!", "a,,b"])
def test_refuse(text: str) -> None:
    with pytest.raises(ValueError, match="`"):
        parse_constraint(text)


@pytest.mark.parametrize("text", ["www", "www/pool", "*", "*/pool"])
def test_dedicated_accepts_own_pools(text: str) -> None:
    assert dedicated_refusal(text, "www") is None


@pytest.mark.parametrize("text", ["db", "db/pool", "www,db", "!www", "limit:2"])
def test_dedicated_refuses_others(text: str) -> None:
    assert dedicated_refusal(text, "www") is not None
