"""Logs: a stream of a run is the file that is written to and the rotated ones `.1` (newest) to `.N`. Read by pages,
followed across rotations by inode, searched from the newest line back with bounded work.

A follower remembers (inode, offset). If the current file is another one now, it first reads the renamed file to its
end, then the newer ones in turn; so nothing is lost as long as the file is still there. A file that shrank is read
from its beginning; one that was deleted is said to be gone.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from observer.core.sandbox_path import Refused
from observer.core.views import Chunk, Hit, LogPart
from observer.files import MAX_CHUNK, NoSuchFile, OpenFile, opened, read_chunk, read_lines, read_page_before

STREAMS = ("stdout", "stderr")

#: A page of a log, and what one search may read and return.
PAGE = 32 * 1024
SEARCH_BYTES = 8 * 1024 * 1024
SEARCH_LINES = 250_000
SEARCH_HITS = 200
LONGEST_LINE = 2000

#: More rotated files than this are not looked at.
MAX_PARTS = 1000

#: A timestamp at the beginning of a line: ISO 8601 with a blank or T, optional bracket before.
_STAMP = re.compile(rb"[\[(]?(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})")

_TYPED = re.compile(r"(?:(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ])?(?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)Z?")


@dataclass(frozen=True, slots=True)
class Log:
    """Where a stream of a run lies: `base` is the resolved log directory, `names` lead to the current file."""

    base: Path
    names: tuple[str, ...]

    def part(self, number: int) -> tuple[str, ...]:
        return self.names if number == 0 else (*self.names[:-1], f"{self.names[-1]}.{number}")


def list_parts(log: Log) -> tuple[LogPart, ...]:
    """The files there are, the current one first, then the rotated ones without a gap in their numbers."""
    parts = []
    for number in range(MAX_PARTS):
        try:
            with opened(log.base, log.part(number)) as file:
                parts.append(LogPart(number, file.size, max(0.0, file.modified_at), file.inode))
        except (NoSuchFile, Refused):
            if number:
                break
    return tuple(parts)


def tail_page(log: Log, length: int = PAGE) -> tuple[int, Chunk] | None:
    """The newest page as (part, chunk); None when there is no log."""
    parts = list_parts(log)
    if not parts:
        return None
    newest = parts[0] if parts[0].part == 0 else next((part for part in parts if part.size), parts[0])
    with opened(log.base, log.part(newest.part)) as file:
        return newest.part, read_page_before(file, file.size, length)


def page_at(log: Log, part: int, offset: int, length: int = PAGE, *, before: bool = False) -> Chunk:
    """The page that begins at (or, `before`, ends at) an offset of a part. Raises NoSuchFile, Refused."""
    with opened(log.base, log.part(part)) as file:
        return read_page_before(file, offset, length) if before else read_lines(file, offset, length)


def older_of(log: Log, parts: tuple[LogPart, ...], part: int, begin: int, length: int) -> tuple[int, int] | None:
    """Where the page before begins: in this part, or in the next older one that isn't empty."""
    before = (part, begin) if begin > 0 else next(((p.part, p.size) for p in parts if p.part > part and p.size), None)
    if before is None:
        return None
    try:
        return before[0], page_at(log, *before, length, before=True).offset
    except (NoSuchFile, Refused):
        return None  # it has just gone


def newer_of(parts: tuple[LogPart, ...], part: int, end: int) -> tuple[int, int] | None:
    """Where the page behind begins; None at the end of the current file."""
    sizes = {p.part: p.size for p in parts}
    if end < sizes.get(part, 0):
        return part, end
    return next(((number, 0) for number in range(part - 1, -1, -1) if sizes.get(number)), None)


@dataclass(frozen=True, slots=True)
class Followed:
    """The next piece of a log that is followed. `chunk` None: the log is gone. `gap`: something was lost, the file had
    been rotated away; `restarted`: the file shrank. `more`: call again at once."""

    chunk: Chunk | None
    gap: bool = False
    restarted: bool = False
    more: bool = False


def follow_from(log: Log, inode: int, offset: int, length: int = MAX_CHUNK) -> Followed:
    """What comes after (inode, offset); inode 0: whatever the current file is."""
    parts = list_parts(log)
    if not parts:
        return Followed(None)
    here = next((p for p in parts if p.inode == inode), None) if inode else parts[0]
    if here is None:
        begun = parts[-1]  # it was rotated away: go on with the oldest there is
        return _piece(log, begun, 0, length, gap=True, newer=begun.part > 0)
    if offset > here.size:
        return _piece(log, here, 0, length, restarted=True, newer=here.part > 0)
    if offset == here.size and here.part > 0:
        following = next((p for p in reversed(parts) if p.part < here.part), None)
        if following is not None:
            return _piece(log, following, 0, length, newer=following.part > 0)
    return _piece(log, here, max(0, offset), length, newer=here.part > 0)


def _piece(
    log: Log, part: LogPart, offset: int, length: int, *, newer: bool, gap: bool = False, restarted: bool = False
) -> Followed:
    try:
        with opened(log.base, log.part(part.part)) as file:
            if file.inode != part.inode:
                return Followed(Chunk(offset, 0, part.size, part.inode, ""), gap, restarted, more=True)
            chunk = read_chunk(file, offset, length)
    except (NoSuchFile, Refused):
        return Followed(None)
    return Followed(chunk, gap, restarted, more=newer or chunk.end < chunk.size)


# --- search ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Found:
    """Hits so far, newest first, and where to go on; `part` None: everything was searched."""

    hits: list[Hit]
    searched: int = 0
    lines: int = 0
    part: int | None = None
    offset: int | None = None


def search(log: Log, text: str, part: int = 0, offset: int | None = None) -> Found:
    """Lines that contain `text`, whatever the case of its letters, from (part, offset) backwards."""
    found = Found([])
    needle = text.casefold()
    for each in list_parts(log):
        if each.part < part:
            continue
        end = offset if each.part == part and offset is not None else each.size
        try:
            with opened(log.base, log.part(each.part)) as file:
                done = _search_part(file, each.part, min(max(0, end), file.size), needle, found)
        except (NoSuchFile, Refused):
            continue
        if not done:
            return found
    return found


def _search_part(file: OpenFile, part: int, end: int, needle: str, found: Found) -> bool:
    """False when the bounds were reached; `found` says where to go on."""
    for begin, line in _lines_backwards(file, end):
        found.searched += len(line)
        found.lines += 1
        if needle in line[:MAX_CHUNK].decode("utf-8", "replace").casefold():
            found.hits.append(Hit(part, begin, _around(line, needle)))
        if len(found.hits) >= SEARCH_HITS or found.searched >= SEARCH_BYTES or found.lines >= SEARCH_LINES:
            found.part, found.offset = (part, begin) if begin else (part + 1, None)
            return False
    return True


def _around(line: bytes, needle: str) -> str:
    """The line, or the part of a long one where the text is."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if len(text) <= LONGEST_LINE:
        return text
    at = max(0, text.casefold().find(needle) - LONGEST_LINE // 4)
    return f"{'…' if at else ''}{text[at : at + LONGEST_LINE]}…"


def _lines_backwards(file: OpenFile, end: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of the lines that begin before `end`, last one first; a line longer than MAX_CHUNK is cut."""
    block = b""
    begin = end
    while begin > 0:
        size = min(256 * 1024, begin)
        begin -= size
        block = os.pread(file.fd, size, begin) + block
        stop = len(block)
        while (cut := block.rfind(b"\n", 0, stop - 1)) >= 0:
            yield begin + cut + 1, block[cut + 1 : stop]
            stop = cut + 1
        block = block[:stop]
        if len(block) > MAX_CHUNK:
            yield begin, block
            block = b""
    if block:
        yield 0, block


def offset_at_time(log: Log, stamp: str) -> tuple[int, int] | None:
    """(part, offset) of the first line whose own timestamp is at or after `stamp` (`2026-11-22T17:03:21`), by bisection
    over each part; None when no line has one."""
    parts = list_parts(log)
    wanted = full_stamp(stamp, parts[0].modified_at).encode() if parts else b""
    best: tuple[int, int] | None = None
    for each in parts if wanted else ():
        try:
            with opened(log.base, log.part(each.part)) as file:
                found = _bisect_time(file, wanted)
                first = _stamp_after(file, 0)
        except (NoSuchFile, Refused):
            continue
        if found is not None:
            best = (each.part, found)
        if first is not None and first[1] < wanted:
            break  # older parts are older still
    return best


def full_stamp(text: str, modified_at: float) -> str:
    """`2026-11-22 17:03:21` of what people type; without a date it is the day (UTC) of the last change of the log; ""
    for what is no time."""
    matched = _TYPED.fullmatch(text.strip())
    if matched is None:
        return ""
    day = matched["day"] or f"{dt.datetime.fromtimestamp(modified_at, dt.UTC):%Y-%m-%d}"
    return f"{day} {matched['time']}{':00' if len(matched['time']) == 5 else ''}"


def _bisect_time(file: OpenFile, wanted: bytes) -> int | None:
    low, high = 0, file.size
    best: int | None = None
    while low < high:
        middle = (low + high) // 2
        found = _stamp_after(file, middle)
        if found is None:
            high = middle
        elif found[1] >= wanted:
            best, high = found[0], middle
        else:
            low = max(found[0] + 1, middle + 1)
    return best


def _stamp_after(file: OpenFile, offset: int) -> tuple[int, bytes] | None:
    """The first line that begins at or after `offset` with a timestamp, within 64 KiB."""
    begin = max(0, offset - 1)
    data = os.pread(file.fd, 64 * 1024, begin)
    at = 0 if offset == 0 else data.find(b"\n") + 1
    if offset and not at:
        return None
    while at < len(data):
        matched = _STAMP.match(data, at)
        if matched is not None:
            return begin + at, matched[1] + b" " + matched[2]
        at = data.find(b"\n", at) + 1
        if not at:
            return None
    return None
