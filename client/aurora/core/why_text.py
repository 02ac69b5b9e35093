"""`job why` in text: the line that says it all, how many hosts have which reason, the smallest changes, host by host.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from client.aurora.core.tasks import one_line
from client.render import countdown, duration, pad, plural, width_of

_HEAD = ("HOST", "FITS", "REASONS", "CHANGE")
_WIDEST = (40, 4, 60)


def why_lines(key: str, why: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    """What the scheduler answered."""
    since = why.get("since") or 0
    age = f" for {duration(max(0, now_ms - since) / 1000)}" if since else ""
    yield f"{key} {why.get('status', '')}{age}"
    yield f"  {_text(why.get('reason'))}"
    attempts, wait = why.get("attempts") or 0, why.get("nextAttemptS")
    if attempts:
        after = f"; the next one in {countdown(wait)}" if wait is not None else ""
        yield f"  {plural(attempts, 'attempt')} so far{after}"
    yield from _counts(why)
    yield from _changes(why)
    yield from _hosts(why.get("hosts") or [], why.get("hostCount") or 0)


def _text(value: object) -> str:
    return one_line(str(value or ""))


def _counts(why: Mapping[str, Any]) -> Iterator[str]:
    reasons = why.get("byReason") or {}
    if reasons:
        count = why.get("hostCount") or 0
        yield ""
        yield f"Reasons, of {plural(count, 'host')}:"
        for reason, hosts in reasons.items():
            yield f"  {hosts:>6}  {_text(reason)}"


def _changes(why: Mapping[str, Any]) -> Iterator[str]:
    smallest, own = why.get("smallest"), why.get("smallestOfTask")
    if smallest:
        yield ""
        yield f"Smallest change: {_text(smallest.get('change'))} (host {_text(smallest.get('host'))})"
    if own and own != smallest:
        yield f"Smallest change of the job alone: {_text(own.get('change'))} (host {_text(own.get('host'))})"


def _hosts(hosts: Sequence[Mapping[str, Any]], count: int) -> Iterator[str]:
    if not hosts:
        return
    rows = [_HEAD, *(_row(host) for host in hosts)]
    widths = [min(most, max(width_of(row[i]) for row in rows)) for i, most in enumerate(_WIDEST)]
    yield ""
    for row in rows:
        cells = [cell if width_of(cell) > width else pad(cell, width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()
    if len(hosts) < count:
        yield f"… {plural(count - len(hosts), 'more host')}; --hosts N shows more"


def _row(host: Mapping[str, Any]) -> tuple[str, str, str, str]:
    reasons = "; ".join(_text(reason) for reason in host.get("reasons") or ())
    return _text(host.get("host")), "yes" if host.get("fits") else "no", reasons or "-", _text(host.get("change"))
