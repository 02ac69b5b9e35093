"""`job why` in text: the line that says it all, how many hosts have which reason, the smallest changes, host by host.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from client.aurora.core.answers import Why, WhyHost, one_line
from client.render import pad, width_of
from thermos.core.words import countdown, duration, plural

_HEAD = ("HOST", "FITS", "REASONS", "CHANGE")
#: Columns that are padded so far; longer texts push the rest of their line aside.
_WIDEST = (40, 4, 60)


def why_lines(key: str, why: Why, now_ms: int) -> Iterator[str]:
    """What the scheduler answered."""
    age = f" for {duration(max(0, now_ms - why.since) / 1000)}" if why.since else ""
    yield f"{key} {one_line(why.status)}{age}"
    yield f"  {one_line(why.reason)}"
    if why.attempts:
        after = f"; the next one in {countdown(why.next_attempt_s)}" if why.next_attempt_s is not None else ""
        yield f"  {plural(why.attempts, 'attempt')} so far{after}"
    yield from _counts(why)
    yield from _changes(why)
    yield from _hosts(why.hosts, why.host_count)


def _counts(why: Why) -> Iterator[str]:
    if why.by_reason:
        yield ""
        yield f"Reasons, of {plural(why.host_count, 'host')}:"
        for reason, hosts in why.by_reason.items():
            yield f"  {hosts:>6}  {one_line(reason)}"


def _changes(why: Why) -> Iterator[str]:
    smallest, own = why.smallest, why.smallest_of_task
    if smallest is not None:
        yield ""
        yield f"Smallest change: {one_line(smallest.change)} (host {one_line(smallest.host)})"
    if own is not None and own != smallest:
        yield f"Smallest change of the job alone: {one_line(own.change)} (host {one_line(own.host)})"


def _hosts(hosts: Sequence[WhyHost], count: int) -> Iterator[str]:
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


def _row(host: WhyHost) -> tuple[str, str, str, str]:
    reasons = one_line("; ".join(host.reasons)) or "-"
    return one_line(host.host), "yes" if host.fits else "no", reasons, one_line(host.change)
