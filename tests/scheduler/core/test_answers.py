"""Which answers are given again, and which need not be kept."""

from __future__ import annotations

import pytest

from scheduler.core.answers import Answer, AnswerRules, Known, digest_of, known, to_forget

RULES = AnswerRules(kept_ms=1000, most=3, most_bytes=10_000, most_at_once=2)


def answer(key: str, at: int = 0, size: int = 0) -> Answer:
    return Answer(key=key, digest=b"mine", at=at, body=b"x" * size)


@pytest.mark.parametrize(
    ("remembered", "digest", "now_ms", "expected"),
    [
        (None, b"mine", 0, Known.NEW),
        (answer("k"), b"mine", 999, Known.SAME),
        (answer("k"), b"other", 999, Known.OTHER),
        (answer("k"), b"mine", 1000, Known.NEW),
        (answer("k"), b"other", 1000, Known.NEW),
        (answer("k", at=5000), b"mine", 0, Known.SAME),  # the clock was set back
    ],
)
def test_what_is_known(remembered: Answer | None, digest: bytes, now_ms: int, expected: Known) -> None:
    assert known(remembered, digest, now_ms, RULES) is expected


@pytest.mark.parametrize(
    ("answers", "now_ms", "expected"),
    [
        ([], 0, []),
        ([answer("a"), answer("b", at=5)], 999, []),
        ([answer("a"), answer("b", at=5)], 1000, ["a"]),
        ([answer("a"), answer("b"), answer("c")], 1000, ["a", "b"]),  # a few at once
        ([answer("a"), answer("b"), answer("c")], 1, []),
        ([answer("a"), answer("b"), answer("c"), answer("d")], 1, ["a"]),
        ([answer("a", size=6000), answer("b", size=6000)], 1, ["a"]),
        ([answer("a", at=5), answer("b")], 1000, []),  # the oldest is looked at, no others
    ],
)
def test_what_is_forgotten(answers: list[Answer], now_ms: int, expected: list[str]) -> None:
    assert to_forget(answers, len(answers), sum(each.size for each in answers), now_ms, RULES) == expected


def test_a_digest_tells_where_its_parts_end() -> None:
    digests = {
        digest_of("ab", "c"),
        digest_of("a", "bc"),
        digest_of("abc"),
        digest_of("abc", ""),
        digest_of("ab", b"d"),
    }
    assert len(digests) == 5
    assert digest_of("POST", b"x") == digest_of(b"POST", "x")
