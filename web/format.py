"""What templates call: times, sizes, addresses, states. Registered as filters by `web.pages`.

All times are UTC, as in the logs of the original; the exact moment stands in `datetime`, and the script puts the
reader's own time into the title.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from markupsafe import Markup

from web.core.ansi import visible

_LATEST = 253402300799.0  # the year 9999


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(min(max(at, 0.0), _LATEST), UTC)


def iso(at: float) -> str:
    return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: float, form: str = "") -> Markup:
    """A `<time>`; today's without the date. Forms: `long` always with date, `ms` with milliseconds. 0 is a dash."""
    return _clock(at, form, int(time.time() // 86400))


@lru_cache(maxsize=10_000)
def _clock(at: float, form: str, today: int) -> Markup:
    """Pages show the same moments again and again."""
    if not at:
        return Markup('<span class="none">–</span>')
    when = moment(at)
    text = when.strftime("%H:%M:%S") + (f".{when.microsecond // 1000:03d}" if form == "ms" else "")
    if form == "long" or when.timestamp() // 86400 != today:
        text = f"{when:%Y-%m-%d} {text}"
    return Markup(f'<time datetime="{iso(at)}">{text}</time>')  # digits only, nothing to escape


def ago(at: float, now: float) -> Markup:
    """How long ago, kept up to date by the script."""
    if not at:
        return Markup('<span class="none">–</span>')
    return Markup(f'<time datetime="{iso(at)}" data-since="{at:.3f}">{age_words(now - at)}</time>')  # as above


def stamp(at: float) -> str:
    """As log lines begin: to the second, without a zone."""
    return f"{moment(at):%Y-%m-%d %H:%M:%S}" if at else ""


def age_words(seconds: float) -> str:
    """One unit, as the script writes it too."""
    whole = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(str(text), safe="")


def web_url(url: str) -> str:
    """Only http and https lead anywhere."""
    return url if url.startswith(("http://", "https://")) else "#"


def shown(text: str) -> str:
    """Untrusted text with its control and direction characters made visible; line ends and tabs stay."""
    if text.isprintable():
        return text  # as nearly all of it
    return "\n".join(visible(line) for line in text.split("\n"))
