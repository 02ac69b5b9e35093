"""Answers that are remembered, by key, and how much they take; the one that was saved first is first."""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.core.answers import Answer


class AnswerTable:
    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._answers)

    def __iter__(self) -> Iterator[Answer]:
        return iter(self._answers.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnswerTable) and self._answers == other._answers

    __hash__ = None  # type: ignore[assignment]

    def get(self, key: str) -> Answer | None:
        return self._answers.get(key)

    def save(self, answer: Answer) -> None:
        """The latest one, also when there was one of that key."""
        self.delete(answer.key)
        self._answers[answer.key] = answer
        self.size += answer.size

    def delete(self, key: str) -> None:
        """Nothing, if there is none."""
        gone = self._answers.pop(key, None)
        if gone is not None:
            self.size -= gone.size
