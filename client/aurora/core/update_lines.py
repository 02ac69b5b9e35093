"""How far an update is, as lines: a table that is drawn again and again, or a line for each change. Pure.

A small update has a line for every instance. A big one has a cell for every instance, batches with a gap between, and
lines for those that have waited longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from client.aurora.core.answers import one_line
from client.aurora.core.updates import (
    BLOCKED,
    PAUSED,
    PLACEMENT,
    RESUME,
    Cell,
    Event,
    InstanceEvent,
    Kind,
    Stand,
    Update,
    Wait,
    batches_of,
)
from client.render import clock_time, running_clock
from client.terminal import Segment, StyledLine
from thermos.core.words import plural

_SIGNS: Mapping[Stand, Segment] = {
    Stand.WAITING: ("·", "dim"),
    Stand.WORKING: ("◐", "yellow"),
    Stand.DONE: ("●", "green"),
    Stand.FAILED: ("✗", "bold red"),
    Stand.ROLLING_BACK: ("◐", "magenta"),
    Stand.ROLLED_BACK: ("○", "cyan"),
}
_WORDS: Mapping[Stand, str] = {
    Stand.WAITING: "not begun",
    Stand.FAILED: "failed",
    Stand.ROLLING_BACK: "rolling back",
    Stand.ROLLED_BACK: "rolled back",
}
#: While it is in the works, and when it is done.
_WORDS_OF_KIND: Mapping[Kind, tuple[str, str]] = {
    Kind.ADD: ("adding", "added"),
    Kind.REPLACE: ("updating", "updated"),
    Kind.REMOVE: ("removing", "removed"),
}
_STATUS_STYLES: Mapping[str, str] = {
    "ROLLED_FORWARD": "bold green",
    "ROLLING_FORWARD": "cyan",
    "ROLLING_BACK": "magenta",
    "ABORTED": "yellow",
    **dict.fromkeys(PAUSED | BLOCKED, "yellow"),
    **dict.fromkeys(("ROLLED_BACK", "FAILED", "ERROR"), "bold red"),
}

Batches = Sequence[Sequence[Cell]]


def table_lines(job: str, update: Update, now_ms: int, rows: int, columns: int) -> list[StyledLine]:
    """At most `rows` lines."""
    batches = batches_of(update)
    lines: list[StyledLine] = [_head(job, update, batches, now_ms)]
    if update.message:
        lines.append([(f"  {one_line(update.message)}", _STATUS_STYLES.get(update.status, ""))])
    lines += [[(f"  {wait_text(wait, now_ms)}", "yellow")] for wait in update.waits_for if wait.instance is None]
    room = max(0, rows - len(lines))
    waits = {wait.instance: wait for wait in update.waits_for if wait.instance is not None}
    if sum(map(len, batches)) <= room:
        lines += [
            _row(cell, waits.get(cell.instance), f"batch {number}" if len(batches) > 1 else "", now_ms)
            for number, batch in enumerate(batches, 1)
            for cell in batch
        ]
    else:
        lines += _cells(batches, columns)[:room]
        lines += _longest(waits, now_ms, max(0, rows - len(lines)))
    return lines[:rows]


def _head(job: str, update: Update, batches: Batches, now_ms: int) -> StyledLine:
    progress = update.progress
    ended = update.modified_ms if update.is_over else now_ms
    line: list[Segment] = [(job, "bold"), (f"  {one_line(update.status)}", _STATUS_STYLES.get(update.status, ""))]
    line.append((f"  {progress.done} of {plural(progress.total, 'instance')}", ""))
    at = _batch_at(batches)
    if len(batches) > 1 and update.status in ("ROLLING_FORWARD", "ROLL_FORWARD_PAUSED") and at is not None:
        line.append((f"  batch {at} of {len(batches)}", ""))
    return [*line, (f"  {running_clock(max(0, ended - update.created_ms) / 1000)}", "dim")]


def _batch_at(batches: Batches) -> int | None:
    """The number of the first one that is not done, on the way forward."""
    open_ = (Stand.WAITING, Stand.WORKING)
    return next((n for n, batch in enumerate(batches, 1) if any(cell.stand in open_ for cell in batch)), None)


def _row(cell: Cell, wait: Wait | None, batch: str, now_ms: int) -> StyledLine:
    sign, style = _SIGNS[cell.stand]
    age = running_clock(max(0, now_ms - cell.since_ms) / 1000) if cell.since_ms else ""
    line: list[Segment] = [(f"  {sign} ", style), (f"{cell.instance:<4}", ""), (f" {stand_text(cell):<13}", style)]
    line.append((f"{age:>9}", "dim"))
    if batch:
        line.append((f"  {batch}", "dim"))
    if wait is not None:
        line.append((f"  {wait_text(wait, now_ms)}", "dim" if wait.until_ms is not None else "yellow"))
    elif cell.message:
        line.append((f"  {one_line(cell.message)}", "red" if cell.stand is Stand.FAILED else "dim"))
    return line


def stand_text(cell: Cell) -> str:
    """`updated`, `adding`, `not begun`."""
    if cell.stand in _WORDS:
        return _WORDS[cell.stand]
    return _WORDS_OF_KIND[cell.kind][cell.stand is Stand.DONE]


def wait_text(wait: Wait, now_ms: int) -> str:
    """What it waits for, and since when or for how long still."""
    age = _age_text(wait, now_ms)
    return f"{_words(wait)}, {age}" if age else _words(wait)


def _words(wait: Wait) -> str:
    return one_line(wait.what) or one_line(wait.kind)


def _age_text(wait: Wait, now_ms: int) -> str:
    if wait.until_ms is not None and wait.until_ms > now_ms:
        return f"{running_clock((wait.until_ms - now_ms) / 1000)} left"
    return f"for {running_clock(max(0, now_ms - wait.since_ms) / 1000)}" if wait.since_ms else ""


def _cells(batches: Batches, columns: int) -> list[StyledLine]:
    """A sign for every instance, batches with a gap between."""
    wide = max(1, columns - 2)
    rows: list[list[Segment]] = [[]]
    for batch in batches:
        if rows[-1]:
            rows[-1].append((" ", ""))
        for cell in batch:
            if len(rows[-1]) >= wide:
                rows.append([])
            rows[-1].append(_SIGNS[cell.stand])
    return [[("  ", ""), *_joined(row)] for row in rows]


def _joined(signs: Iterable[Segment]) -> list[Segment]:
    return [("".join(sign for sign, _ in run), style) for style, run in groupby(signs, key=lambda sign: sign[1])]


def _longest(waits: Mapping[int, Wait], now_ms: int, room: int) -> list[StyledLine]:
    """Those that have waited longest; the last line is for all others."""
    found = sorted(waits.items(), key=lambda entry: (entry[1].since_ms, entry[0]))
    shown = found if len(found) <= room else found[: max(0, room - 1)]
    lines: list[StyledLine] = [[(f"  instance {n}{_named_age(wait, now_ms)}: {_words(wait)}", "yellow")]
                               for n, wait in shown]  # fmt: skip
    if len(shown) < len(found) and room:
        lines.append([(f"  … {len(found) - len(shown)} more wait", "dim")])
    return lines


def _named_age(wait: Wait, now_ms: int) -> str:
    """Before the words, which may be longer than the line."""
    age = _age_text(wait, now_ms)
    return f", {age}" if age else ""


# --- a line for each change ------------------------------------------------------------------------------------------


def state_line(event: Event) -> str:
    """`Current state ROLLING_BACK: message`."""
    message = f": {one_line(event.message)}" if event.message else ""
    return f"Current state {one_line(event.status)}{message}"


def instance_line(job: str, event: InstanceEvent) -> str:
    """`17:03:21.4 rz1/www/prod/web/0 INSTANCE_UPDATING: message`."""
    message = f": {one_line(event.message)}" if event.message else ""
    return f"{clock_time(event.timestamp_ms / 1000)} {job}/{event.instance_id} {one_line(event.action)}{message}"


def waiting_line(job: str, wait: Wait, now_ms: int) -> str:
    """`17:03:21.4 rz1/www/prod/web/0 waits: no host was found for it yet, for 12 s`."""
    which = f"{job}/{wait.instance}" if wait.instance is not None else job
    hints = {PLACEMENT: f" (aurora job why {which})", RESUME: f" (aurora update resume {job})"}
    hint = hints.get(wait.kind, "")
    return f"{clock_time(now_ms / 1000)} {which} waits: {wait_text(wait, now_ms)}{hint}"


def counts_line(job: str, update: Update) -> str:
    """`rz1/www/prod/web: 12 of 200 instances; 5 in the works, 1 failed`."""
    counts = Counter(cell.stand for batch in batches_of(update) for cell in batch)
    working = counts[Stand.WORKING] + counts[Stand.ROLLING_BACK]
    more = [
        f"{count} {words}" for count, words in ((working, "in the works"), (counts[Stand.FAILED], "failed")) if count
    ]
    text = f"{job}: {update.progress.done} of {plural(update.progress.total, 'instance')}"
    return f"{text}; {', '.join(more)}" if more else text
