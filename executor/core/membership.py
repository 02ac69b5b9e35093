"""The words of announcing: states, what happens, what is done about it, and what is known between two events.

`core/announcing` has the table of them; this is what its rims and its tests speak with it.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"  # for the first time
    LOST = "lost"  # no connection; what is in ZooKeeper may have stayed
    LOOKING = "looking"
    JOINING = "joining"
    PREPARING = "preparing"  # parents are being made
    CHECKING = "checking"
    JOINED = "joined"
    RETRYING = "retrying"  # later
    WITHDRAWING = "withdrawing"
    PAUSED = "paused"
    LEAVING = "leaving"  # the session is being closed, and with it goes what it owns
    LEFT = "left"
    FAILED = "failed"


class Happened(StrEnum):
    """Kinds of events."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    TICK = "tick"  # a deadline may have come
    UNUSABLE = "unusable"  # no session can be begun, ever; `text` says why
    CONNECTED = "connected"  # to a living session, the same or a new one
    SUSPENDED = "suspended"  # the connection broke
    EXPIRED = "expired"  # the server ended the session: what it owned is gone
    ENDED = "ended"  # the session is over for another reason, and does not come back by itself
    CLOSED = "closed"  # as we asked
    GONE = "gone"  # `node` is not there (any more): an answer, or news
    CHANGED = "changed"  # somebody wrote to `node`; whether it goes is told no more
    # answers
    CREATED = "created"  # `node`
    NO_PARENT = "no parent"
    PARENTS_MADE = "parents made"
    THERE = "there"
    FOUND = "found"  # `node`
    NOT_FOUND = "not found"
    REFUSED = "refused"  # not allowed, or never possible; nothing was changed
    ERROR = "error"  # not now; nothing was changed
    UNKNOWN = "unknown"  # the answer is lost


class Event(Struct, frozen=True):
    """`ask` is the number of what is answered, 0: nobody asked."""

    what: Happened
    text: str = ""
    node: str | None = None
    ask: int = 0


class Waits(Struct, frozen=True):
    """Seconds."""

    connect_s: float = 15.0  # for the first connection
    answer_s: float = 15.0
    leave_s: float = 5.0
    steady_s: float = 10.0  # a membership that lasted so long forgets the failures before
    retry_max_s: float = 15.0


# --- actions -----------------------------------------------------------------------------------------------------


class AnnouncerEvent(StrEnum):
    """What the executor is told."""

    JOINED = "joined"
    LOST = "lost"  # the member is gone; it joins again by itself
    PAUSED = "paused"  # taken back, as asked
    LEFT = "left"  # the answer to stop, the last
    FAILED = "failed"  # it can't be announced, the text says why; a stop is still answered


class Tell(Struct, frozen=True):
    event: AnnouncerEvent
    text: str = ""


class Do(StrEnum):
    """Actions without arguments; those that ask carry the number `Life.ask`."""

    OPEN = "close the session if there is one, then begin a new one"
    CREATE = "create the member"
    PREPARE = "make the parents"
    CHECK = "ask whether the node is there, and to be told when it goes"
    LOOK = "look for a node that a session of ours owns"
    DELETE = "delete the node"
    CLOSE = "close the session"


Action = Tell | Do


class Life(Struct, frozen=True):
    """The machine's state. Times are mono; `away_since` is None while announced, or while nobody wants it to be."""

    state: State = State.IDLE
    node: str | None = None  # ours, and perhaps there
    doubt: bool = False  # a create was asked, and what came of it is not known
    wanted: bool = True
    stopping: bool = False
    ended: bool = False  # the session has to be begun anew
    undeletable: bool = False  # we may not delete the node: only the end of its session removes it
    announced: bool = False  # as told
    was_joined: bool = False  # ever
    ask: int = 0
    deadline: float | None = None
    leave_by: float | None = None
    joined_at: float = 0.0
    failures: int = 0
    away_since: float | None = None
    problem: str = ""

    @property
    def has_nothing(self) -> bool:
        """Certainly nothing of ours is in ZooKeeper, or will be."""
        return self.node is None and not self.doubt

    @property
    def is_over(self) -> bool:
        return self.state in (State.LEFT, State.FAILED)

    @property
    def next_wake(self) -> float | None:
        wakes = [wake for wake in (self.deadline, self.leave_by) if wake is not None]
        return min(wakes) if wakes and not self.is_over else None


class Decision(Struct, frozen=True):
    life: Life
    actions: tuple[Action, ...] = ()

    @property
    def next_wake(self) -> float | None:
        return self.life.next_wake


class Moment(Struct, frozen=True):
    """What decisions depend on besides the event."""

    waits: Waits
    now: float
    random: float  # 0 to 1
