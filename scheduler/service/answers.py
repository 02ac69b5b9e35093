"""Wishes that may be said again: with a key, a wish is done once, and its answer is told as often as it is asked for.

The answer is remembered in the turn that does the wish, so there is never one without the other, whatever fails. A
second saying of a wish that is under way sees its answer in memory; as every turn it is told when all before it is
durable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.core.answers import Answer, Known, digest_of, known, to_forget
from scheduler.service.context import Context
from scheduler.service.refusals import Refusal, RefusalCode
from scheduler.store.ops import DeleteAnswers, SaveAnswer
from scheduler.turn import Turn


class KeyWasUsed(Refusal):
    """For another wish."""

    def __init__(self, key: str) -> None:
        text = f"the idempotency key {key} was used for another request; use a new one"
        super().__init__(RefusalCode.INVALID_REQUEST, text)


@dataclass(frozen=True, slots=True)
class Wish:
    """`key`: the asker's own name for it. `digest`: of all it consists of."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """`again`: it was done before."""

    body: bytes
    again: bool = False


def wish(key: str, who: str, *parts: str | bytes) -> Wish:
    """`parts`: what it consists of, such as method, path and body. It belongs to who says it."""
    return Wish(key, digest_of(who, *parts))


def once(context: Context, turn: Turn, asked: Wish | None, decide: Callable[[], bytes]) -> Reply:
    """`decide` does the wish and gives the answer. Raises what it raises, and nothing is remembered then; KeyWasUsed
    when the key stands for another wish. None: a wish without a key."""
    if asked is None:
        return Reply(decide())
    answers, rules = context.tables.answers, context.settings.answers
    before = answers.get(asked.key)
    match known(before, asked.digest, turn.now_ms, rules):
        case Known.SAME if before is not None:
            return Reply(before.body, again=True)
        case Known.OTHER:
            raise KeyWasUsed(asked.key)
    body = decide()
    turn.apply(SaveAnswer(answer=Answer(key=asked.key, digest=asked.digest, at=turn.now_ms, body=body)))
    old = to_forget(answers, len(answers), answers.size, turn.now_ms, rules)
    if old:
        turn.apply(DeleteAnswers(keys=tuple(old)))
    return Reply(body)
