"""Answers in the tables: their size, their order, and the way back."""

from __future__ import annotations

from scheduler.core.answers import Answer
from scheduler.store.ops import DeleteAnswers, SaveAnswer
from scheduler.store.tables import Tables
from scheduler.store.trial import Trial


def answer(key: str, at: int = 0, body: bytes = b"") -> Answer:
    return Answer(key=key, digest=b"d", at=at, body=body)


def test_size_and_order_follow_every_change() -> None:
    tables = Tables()
    trial = Trial(tables)
    for each in (answer("a"), answer("b", body=b"12345"), answer("a", at=1, body=b"1")):
        trial.apply(SaveAnswer(answer=each))
    assert [each.key for each in tables.answers] == ["b", "a"]
    assert len(tables.answers) == 2 and tables.answers.size == sum(each.size for each in tables.answers)
    assert tables.answers.get("a") == answer("a", at=1, body=b"1")
    trial.apply(DeleteAnswers(keys=("b", "nothing", "a")))
    assert len(tables.answers) == 0 == tables.answers.size


def test_what_is_taken_back_leaves_no_trace() -> None:
    tables, expected = Tables(), Tables()
    for each in (tables, expected):
        Trial(each).apply(SaveAnswer(answer=answer("a", body=b"first")))
    trial = Trial(tables)
    trial.apply(SaveAnswer(answer=answer("a", body=b"second, and longer")))
    trial.apply(SaveAnswer(answer=answer("b")))
    trial.apply(DeleteAnswers(keys=("a", "b")))
    assert tables != expected
    trial.take_back()
    assert tables == expected and tables.answers.size == expected.answers.size
