"""What happens to a scheduler's session, and what the session wants done; all of it frozen values.

Whatever happens on a connection carries that connection's number. `classify` reads a master's answer to SUBSCRIBE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# --- what happens --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeaderFound:
    """Leader detection says something new: connect there."""

    url: str


@dataclass(frozen=True, slots=True)
class LeaderGuessed:
    """The next address to try, since the last one failed."""

    url: str


@dataclass(frozen=True, slots=True)
class LeaderLost:
    pass


@dataclass(frozen=True, slots=True)
class Accepted:
    """200: the stream begins."""

    connection: int
    stream_id: str


@dataclass(frozen=True, slots=True)
class Redirected:
    connection: int
    location: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection ended, or never came to be; another attempt may help."""

    connection: int
    text: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The master does not want us, and will not."""

    connection: int
    text: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    connection: int
    framework: str
    heartbeat_s: float | None


@dataclass(frozen=True, slots=True)
class Heard:
    """An event other than SUBSCRIBED came: a sign of life."""

    connection: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """We were busy and did not read: the master's silence does not count."""

    connection: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Our own wish."""


OfConnection = Accepted | Redirected | Failed | Refused | Subscribed | Heard | Resumed
SessionEvent = LeaderFound | LeaderGuessed | LeaderLost | Tick | Stop | OfConnection


# --- what to do; in one Decision they stand in this order ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Close:
    connection: int


@dataclass(frozen=True, slots=True)
class TellDisconnected:
    reason: str


@dataclass(frozen=True, slots=True)
class TellProblem:
    text: str


@dataclass(frozen=True, slots=True)
class TellSubscribed:
    framework: str
    again: bool


@dataclass(frozen=True, slots=True)
class AskLeader:
    """The leader that was detected does not serve: look anew, or guess another."""

    failed: str


@dataclass(frozen=True, slots=True)
class Connect:
    connection: int
    url: str


Action = Close | TellDisconnected | TellProblem | TellSubscribed | AskLeader | Connect
ACTION_ORDER: tuple[type[Action], ...] = (Close, TellDisconnected, TellProblem, TellSubscribed, AskLeader, Connect)


# --- answers -----------------------------------------------------------------------------------------------------


#: Mesos' are 36 characters; it goes back to the master with each call.
_LONGEST_STREAM_ID = 256

#: Statuses of troubles that pass; 404 is what a master says that has only just started.
PASSING = frozenset({404, 408, 425, 429})


class Answer(NamedTuple):
    """Of an HTTP answer what matters here; headers that are absent are empty."""

    status: int
    text: str = ""
    content_type: str = ""
    stream_id: str = ""
    location: str = ""
    retry_after: str = ""


def classify(connection: int, url: str, answer: Answer) -> SessionEvent:
    """What a master's answer to SUBSCRIBE means."""
    words = answer.text.removeprefix(str(answer.status)).strip()  # Mesos' page of a 401 begins with it
    text = f"{answer.status}{': ' if words else ''}{words}"
    if answer.status == 200:
        if answer.content_type != "application/json":
            kind = answer.content_type[:100] or "nothing known"
            return Failed(
                connection, f"cannot subscribe at {url}: it answers with {kind}, which is no stream of events"
            )
        if not answer.stream_id.isascii() or not 0 < len(answer.stream_id) <= _LONGEST_STREAM_ID:
            return Failed(
                connection, f"cannot subscribe at {url}: its answer has no usable Mesos-Stream-Id; is it a master?"
            )
        return Accepted(connection, answer.stream_id)
    if answer.status in (307, 308):
        return Redirected(connection, answer.location)
    if 400 <= answer.status < 500 and answer.status not in PASSING:
        remedy = {401: "; check the credentials", 403: "; check the principal and what it may do"}
        return Refused(connection, f"cannot subscribe at {url}: {text}{remedy.get(answer.status, '')}")
    return Failed(connection, f"cannot subscribe at {url} yet: {text}", _seconds(answer.retry_after))


def _seconds(text: str) -> float | None:
    """Of a Retry-After; a date in it is not looked at."""
    return float(text) if text.strip().isascii() and text.strip().isdigit() and len(text) < 10 else None
