"""The instances of a job as lines: a table that is drawn again and again, or a line for each change. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from client.aurora.core.instances import Seen
from client.aurora.core.tasks import DELETED, WAITING
from client.render import clock_time, pad, running_clock
from client.terminal import Segment, StyledLine

_SIGNS: Mapping[str, Segment] = {
    "RUNNING": ("●", "green"),
    "FINISHED": ("✓", "green"),
    "FAILED": ("✗", "bold red"),
    "LOST": ("✗", "bold red"),
    "KILLED": ("■", "dim"),
    DELETED: ("■", "dim"),
    "PENDING": ("○", "yellow"),
    "THROTTLED": ("↻", "yellow"),
    "PARTITIONED": ("?", "yellow"),
}
_OTHER: Segment = ("○", "cyan")
#: What is worth a line when there are more instances than lines: first those that are in trouble.
_ORDER = ("FAILED", "LOST", "PARTITIONED", "THROTTLED", "PENDING")
_HOST_COLUMNS = 28


def counts_text(known: Mapping[int, Seen]) -> str:
    """`RUNNING 3, PENDING 1`, the most frequent first."""
    counts = Counter(seen.status for seen in known.values())
    return ", ".join(f"{status} {count}" for status, count in counts.most_common()) or "no instances"


def table_lines(title: str, known: Mapping[int, Seen], now_ms: int, rows: int) -> list[StyledLine]:
    """At most `rows` lines."""
    lines: list[StyledLine] = [[(title, "bold"), (f"  {counts_text(known)}", "")]]
    room = max(0, rows - 1)
    shown = list(known.values())
    if len(shown) > room:
        shown = sorted(shown, key=_importance)[: max(0, room - 1)]
        shown.sort(key=lambda seen: seen.instance)
    lines += [_row(seen, now_ms) for seen in shown]
    if len(shown) < len(known) and room:
        lines.append([(f"  … {len(known) - len(shown)} more", "dim")])
    return lines


def _importance(seen: Seen) -> tuple[int, int]:
    if seen.status in _ORDER:
        return _ORDER.index(seen.status), seen.instance
    return len(_ORDER) + (seen.status in ("RUNNING", "FINISHED")), seen.instance


def _row(seen: Seen, now_ms: int) -> StyledLine:
    sign, style = _SIGNS.get(seen.status, _OTHER)
    age = running_clock(max(0, now_ms - seen.since_ms) / 1000) if seen.since_ms else ""
    line: list[Segment] = [(f"  {sign} ", style), (f"{seen.instance:<4}", ""), (f" {seen.status:<11}", style)]
    line += [(f" {age:>9}", "dim"), (f"  {pad(seen.host, _HOST_COLUMNS).rstrip() or '-'}", "")]
    remark = _remark(seen)
    if remark:
        quiet = "dim" if seen.status in ("RUNNING", "FINISHED") else "yellow"
        line.append((f"  {remark}", "red" if seen.status in ("FAILED", "LOST") else quiet))
    return line


def _remark(seen: Seen) -> str:
    return seen.reason if seen.status in WAITING and seen.reason else seen.message


def change_line(job: str, seen: Seen, at: float) -> str:
    """`17:03:21.4 rz1/www/prod/web/0 RUNNING on host: message`."""
    when = seen.since_ms / 1000 if seen.since_ms and seen.status != DELETED else at
    host = f" on {seen.host}" if seen.host else ""
    remark = _remark(seen)
    return f"{clock_time(when)} {job}/{seen.instance} {seen.status}{host}{f': {remark}' if remark else ''}"
