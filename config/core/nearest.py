"""What a misspelt word was meant to be: the known word with the fewest slips of the finger, if they are few."""

from __future__ import annotations

from collections.abc import Iterable

#: The beginning of a long name is taken for it from so many letters on.
_ABBREVIATION = 3


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is meant, or None: nothing far-off is offered. Case and underscores don't count."""
    given = _letters(word)
    best: tuple[int, str] | None = None
    for name in known:
        wanted = _letters(name)
        most = max(len(given), len(wanted)) // 3
        abbreviated = len(given) >= _ABBREVIATION and wanted.startswith(given)
        slips = int(given != wanted) if abbreviated else slips_between(given, wanted, most)
        if slips <= most and (best is None or slips < best[0]):
            best = slips, name
    return None if best is None else best[1]


def _letters(word: str) -> str:
    return word.lower().replace("_", "")


def slips_between(one: str, other: str, most: int) -> int:
    """Letters to add, drop, replace or swap with their neighbour; anything over `most` means: too many."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, there in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != there))
            if earlier and j > 1 and letter == other[j - 2] and one[i - 2] == there:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
