"""What holds for any order of events: the table against a model of ZooKeeper and of kazoo.

The model is as nasty as the real ones: a connection breaks with questions under way, of which some were done and some
were not, some are done later and some are never answered; news of the connection, answers and watches come from three
threads in any order; sessions expire, strangers delete and write, the server refuses, clients end.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.core.announcing import begin, step
from executor.core.membership import (
    AnnouncerEvent,
    Do,
    Event,
    Happened,
    State,
    Tell,
    Waits,
)

H, A = Happened, AnnouncerEvent
WAITS = Waits()


@dataclass
class Server:
    nodes: dict[str, int] = field(default_factory=dict)  # who owns each
    sessions: set[int] = field(default_factory=set)
    parents: bool = False
    counter: int = 0

    def expire(self, session: int) -> None:
        self.sessions.discard(session)
        self.nodes = {node: owner for node, owner in self.nodes.items() if owner != session}


class World:
    def __init__(self, paused: bool, deletable: bool, parents: bool, listable: bool) -> None:
        self.server = Server(parents=parents)
        self.deletable, self.listable = deletable, listable
        self.life = begin(paused=paused)
        self.now = 0.0
        self.session = 0
        self.sessions = 0  # so far
        self.open = False  # there is a client
        self.connected = False
        self.dead = False  # the client ended by itself
        self.queue: deque[tuple[Do, int, str | None]] = deque()
        self.streams: list[deque[Event]] = [deque(), deque(), deque()]  # connection, answers, watches
        self.watched: set[str] = set()
        self.ours: set[int] = set()
        self.told: list[Tell] = []
        self.closing = 0
        self.stopped = False
        self.seen: Counter[str] = Counter()

    # --- the announcer -----------------------------------------------------------------------------------------------

    def happens(self, event: Event) -> None:
        decision = step(self.life, event, WAITS, self.now, 0.5)
        self.life = decision.life
        for action in decision.actions:
            if isinstance(action, Tell):
                self.told.append(action)
                if action.event is A.LEFT and not action.text:
                    assert not self.server.nodes, "left, and yet there"
            elif action is Do.OPEN:
                self.close_client()
                self.closing = 0
                self.open, self.dead, self.session = True, False, 0
            elif action is Do.CLOSE:
                self.close_client()
                self.closing = 1
            else:
                assert self.open, f"{action} without a session"
                self.queue.append((action, self.life.ask, self.life.node))
        self.check()

    def check(self) -> None:
        assert len(self.server.nodes) <= 1, "two members"
        counts = Counter(tell.event for tell in self.told)
        assert counts[A.LEFT] <= 1
        assert counts[A.FAILED] <= 1
        assert not (counts[A.FAILED] and counts[A.JOINED]), "a running task dies of ZooKeeper"
        if counts[A.LEFT]:
            assert self.told[-1].event is A.LEFT
            assert self.stopped

    # --- the client --------------------------------------------------------------------------------------------------

    def close_client(self) -> None:
        if self.connected or not self.listable:  # who may neither list nor delete has only this, see docs/decisions.md
            while self.queue and self.connected:
                self.answer()
            self.server.expire(self.session)
        self.open = self.connected = False
        self.queue.clear()
        self.watched.clear()
        for stream in self.streams:
            stream.clear()

    def answer(self, refuse: Happened | None = None) -> None:
        """The server does the next thing that was asked."""
        if not self.queue or not self.connected:
            return
        do, ask, node = self.queue.popleft()
        event = Event(refuse, "no", ask=ask) if refuse is not None else self.do(do, ask, node)
        self.seen[event.what] += 1
        self.streams[1].append(event)

    def do(self, do: Do, ask: int, node: str | None) -> Event:
        server = self.server
        if do is Do.CREATE:
            if not server.parents:
                return Event(H.NO_PARENT, ask=ask)
            server.counter += 1
            name = f"/p/member_{server.counter}"
            server.nodes[name] = self.session
            assert len(server.nodes) <= 1, "two members"
            return Event(H.CREATED, node=name, ask=ask)
        if do is Do.PREPARE:
            server.parents = True
            return Event(H.PARENTS_MADE, ask=ask)
        if do is Do.CHECK:
            assert node is not None
            if node in server.nodes:
                self.watched.add(node)
            return Event(H.THERE if node in server.nodes else H.GONE, node=node, ask=ask)
        if do is Do.LOOK:
            if not self.listable:
                return Event(H.REFUSED, "no", ask=ask)
            mine = [name for name, owner in server.nodes.items() if owner in self.ours]
            return Event(H.FOUND if mine else H.NOT_FOUND, node=mine[0] if mine else None, ask=ask)
        assert do is Do.DELETE
        if not self.deletable:
            return Event(H.REFUSED, "no", ask=ask)
        assert node is not None
        self.remove(node)
        return Event(H.GONE, node=node, ask=ask)

    def remove(self, node: str) -> None:
        if self.server.nodes.pop(node, None) is not None and node in self.watched:
            self.watched.discard(node)
            if self.connected:
                self.streams[2].append(Event(H.GONE, "deleted", node=node))

    # --- faults ------------------------------------------------------------------------------------------------------

    def breaks(self, n: int) -> None:
        """Some of what is under way is done without an answer, the next is told as unknown, the rest is done later."""
        if not self.connected:
            return
        for _ in range(n % 3):
            if self.queue:
                do, ask, node = self.queue.popleft()
                self.do(do, ask, node)
                self.streams[1].append(Event(H.UNKNOWN, "broke", ask=ask))
        if n & 4 and self.queue:
            self.streams[1].append(Event(H.UNKNOWN, "broke", ask=self.queue.popleft()[1]))
        if n & 8 and self.queue:
            self.queue.popleft()  # nobody ever hears of it
        self.connected = False
        self.watched.clear()
        self.streams[0].append(Event(H.SUSPENDED))
        self.seen["broke"] += 1

    def connects(self) -> None:
        if not self.open or self.connected or self.dead:
            return
        if self.session and self.session not in self.server.sessions:
            self.streams[0].append(Event(H.EXPIRED, "expired"))
            self.session = 0
            self.seen["expired"] += 1
        if not self.session:
            self.sessions += 1
            self.session = self.sessions
            self.server.sessions.add(self.session)
            self.ours.add(self.session)
        self.connected = True
        self.streams[0].append(Event(H.CONNECTED))

    def expires(self) -> None:
        """Of sessions without a connection."""
        for session in list(self.server.sessions):
            if not (self.connected and session == self.session):
                for node, owner in list(self.server.nodes.items()):
                    if owner == session:
                        self.remove(node)
                self.server.expire(session)

    def ends(self) -> None:
        if self.open and self.connected:
            self.connected, self.dead = False, True
            self.queue.clear()
            self.watched.clear()
            self.streams[0].append(Event(H.ENDED, "ended"))

    # --- one thing after the other -----------------------------------------------------------------------------------

    def deliver(self, stream: int) -> bool:
        if not self.streams[stream]:
            return False
        self.happens(self.streams[stream].popleft())
        return True

    def act(self, what: str, n: int) -> None:
        match what:
            case "deliver":
                self.deliver(n % 3)
            case "answer":
                self.answer()
            case "refuse":
                if self.queue and self.queue[0][0] in (Do.CREATE, Do.PREPARE):
                    self.answer(H.REFUSED)
            case "error":
                self.answer(H.ERROR)
            case "break":
                self.breaks(n)
            case "connect":
                self.connects()
            case "expire":
                self.expires()
            case "end":
                self.ends()
            case "delete":
                for node in list(self.server.nodes):
                    self.remove(node)
            case "write":
                for node in self.watched & set(self.server.nodes):
                    self.watched.discard(node)
                    self.streams[2].append(Event(H.CHANGED, node=node))
            case "time":
                self.now += n / 2
                self.happens(Event(H.TICK))
            case "pause":
                self.happens(Event(H.PAUSE))
            case "resume":
                self.happens(Event(H.RESUME))
            case "stop":
                self.stopped = True
                self.happens(Event(H.STOP))
        self.check()

    def settle(self) -> None:
        """Everything works now, and time goes by."""
        for _ in range(400):
            self.connects()
            self.answer()
            moved = any([self.deliver(0), self.deliver(1), self.deliver(2)])
            if self.closing:
                self.closing = 0
                self.happens(Event(H.CLOSED))
                moved = True
            if not moved and not (self.queue and self.connected):
                self.expires()
                wake = self.life.next_wake
                if wake is None and not any(self.streams):
                    return
                self.now = max(self.now, wake or 0.0)
                self.happens(Event(H.TICK))
        raise AssertionError(f"it never comes to rest: {self.life}")


WORDS = ["deliver"] * 6 + ["answer"] * 5 + ["connect"] * 3 + ["break"] * 3 + ["time"] * 2 + [
    "refuse", "error", "expire", "end", "delete", "write", "pause", "resume", "stop",
]  # fmt: skip

acts = st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 40)), min_size=15, max_size=100)

#: Enough to be joined, mostly.
ALL_IS_WELL = [("connect", 0), ("deliver", 0), *[("answer", 0), ("deliver", 1)] * 4]


@settings(max_examples=600, deadline=None)
@given(
    acts=acts,
    paused=st.booleans(),
    deletable=st.booleans(),
    parents=st.booleans(),
    listable=st.booleans(),
    joined_first=st.booleans(),
)
def test_never_two_members_one_end_and_joined_when_all_is_well(
    acts: list[tuple[str, int]],
    paused: bool,
    deletable: bool,
    parents: bool,
    listable: bool,
    joined_first: bool,
) -> None:
    world = World(paused, deletable, parents, listable)
    world.happens(Event(H.START))
    for what, n in (ALL_IS_WELL if joined_first else []) + acts:
        world.act(what, n)
    world.settle()
    told = [tell.event for tell in world.told]
    state = world.life.state
    note(f"ends {state}")
    for word in world.seen:
        note(f"seen {word}")
    if world.stopped:
        assert state is State.LEFT
        assert told.count(A.LEFT) == 1
        world.expires()
        assert not world.server.nodes
    elif state is State.FAILED:
        assert told[-1] is A.FAILED
    elif world.life.wanted:
        assert state is State.JOINED
        assert list(world.server.nodes) == [world.life.node]
        assert told[-1] is A.JOINED
        assert world.life.node in world.watched, "its end would not be heard of"
    else:
        assert state is State.PAUSED
        assert not world.server.nodes


@settings(max_examples=300, deadline=None)
@given(acts=acts, paused=st.booleans(), deletable=st.booleans(), listable=st.booleans())
def test_a_stop_has_its_answer_by_the_deadline_whatever_happens(
    acts: list[tuple[str, int]], paused: bool, deletable: bool, listable: bool
) -> None:
    world = World(paused, deletable, True, listable)
    world.happens(Event(H.START))
    for what, n in acts:
        world.act(what, n)
    world.act("stop", 0)
    world.now += WAITS.leave_s
    world.happens(Event(H.TICK))
    assert [tell.event for tell in world.told].count(A.LEFT) == 1
    assert world.life.state is State.LEFT
    before = world.server.counter
    world.settle()
    assert world.server.counter == before, "nothing is created after it left"
