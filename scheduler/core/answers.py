"""A wish that is said twice is done once: answers are remembered under the keys that callers chose for their wishes.

    unknown key ───────────────▶ do it, and remember the answer in the same transaction
    known, the same wish ──────▶ the same answer again, nothing is done
    known, another wish ───────▶ refused: a key stands for one wish

What is the same wish is told by a digest of all that it consists of, and of who wants it: nobody learns another one's
answer. Only answers of what was done are remembered; a refusal has changed nothing, and is worked out anew.

Answers are kept for a day, and up to a number and a size; the oldest go first, a few with each new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from scheduler.core.model import Wire


class Answer(Wire, frozen=True):
    """`at` in milliseconds; `body` as it was told."""

    key: str
    digest: bytes
    at: int
    body: bytes = b""

    @property
    def size(self) -> int:
        """About what it takes to keep it."""
        return len(self.key) + len(self.digest) + len(self.body) + 100


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """`most_at_once`: how many old ones go with a new one."""

    kept_ms: int = 24 * 3600 * 1000
    most: int = 50_000
    most_bytes: int = 64 << 20
    most_at_once: int = 20


class Known(Enum):
    """What is known of a key."""

    NEW = "new"
    SAME = "same"
    OTHER = "other"


def digest_of(*parts: str | bytes) -> bytes:
    """Of all that a wish consists of; where a part ends makes a difference."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.digest()


def known(answer: Answer | None, digest: bytes, now_ms: int, rules: AnswerRules) -> Known:
    """`answer`: what is remembered under the key. One that is too old is as good as none."""
    if answer is None or now_ms - answer.at >= rules.kept_ms:
        return Known.NEW
    return Known.SAME if answer.digest == digest else Known.OTHER


def to_forget(oldest_first: Iterable[Answer], count: int, size: int, now_ms: int, rules: AnswerRules) -> list[str]:
    """The keys of answers that need not be kept, of `count` that take `size` together. Looks at a few only."""
    keys: list[str] = []
    for answer in oldest_first:
        is_old = now_ms - answer.at >= rules.kept_ms
        if len(keys) >= rules.most_at_once or not (is_old or count > rules.most or size > rules.most_bytes):
            break
        keys.append(answer.key)
        count, size = count - 1, size - answer.size
    return keys
