"""ZooKeeper as the announcer uses it: the one module of the executor that knows kazoo (and with it ssl: 11 MB).

Each method asks one thing and returns at once; the answer is an `Event` with the number of the question. kazoo's own
threads call `heed`, which only posts. Nothing is repeated here and nothing is decided, but one thing: what an error of
ZooKeeper says about whether something was changed. Where that is not certain the answer is UNKNOWN.

Parents are never made on the way by kazoo's `makepath`: its second create would be sent from one of its threads,
perhaps after the announcer has seen the connection break, and be a member that nobody knows. And a part of the tree
that an ensemble's address names (`host:2181/below`) is put before paths here: kazoo would not make its parents.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    AuthFailedError,
    BadArgumentsError,
    ConnectionClosedError,
    ConnectionLoss,
    InvalidACLError,
    KazooException,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotReadOnlyCallError,
    SessionExpiredError,
)
from kazoo.protocol.states import EventType, KeeperState
from kazoo.security import ACL, make_acl, make_digest_acl_credential

from executor.announcer_auth import Access, AnnouncerAuth, ZooKeeperOptions
from executor.core.announcement import MEMBER_PREFIX
from executor.core.membership import (
    Event,
    Happened,
)

Heed = Callable[[Event], None]

#: Questions in a search that are under way at the same time.
SEARCH_WINDOW = 100

_REFUSALS: dict[type[Exception], str] = {
    NoAuthError: "ZooKeeper's ACLs do not allow it (NoAuth); check --announcer-zookeeper-auth-config and the ACL there",
    InvalidACLError: "ZooKeeper does not take the ACL of --announcer-zookeeper-auth-config (InvalidACL)",
    NoChildrenForEphemeralsError: "a part of the path is an ephemeral node, which has no children",
    BadArgumentsError: "ZooKeeper does not take the path or the data (BadArguments)",
}

#: The server says no, now; nothing was changed.
_ERRORS: dict[type[Exception], str] = {
    NotReadOnlyCallError: "the server is read-only just now",
    NodeExistsError: "the node exists already",
    NoNodeError: "the parent was removed just now",
}

#: The answer is lost.
_BROKEN: dict[type[Exception], str] = {
    ConnectionLoss: "the connection to ZooKeeper broke",
    ConnectionClosedError: "the connection to ZooKeeper broke",
    SessionExpiredError: "ZooKeeper's session has expired",
    AuthFailedError: "ZooKeeper refuses the credentials",
}

_ENDS = {
    KeeperState.AUTH_FAILED: "ZooKeeper refuses the credentials of --announcer-zookeeper-auth-config (AuthFailed)",
    KeeperState.CLOSED: "the ZooKeeper client ended by itself",
}


class KazooSession:
    """One session. `ours` holds the numbers of our last sessions; this one's is added when the server gives it."""

    def __init__(self, options: ZooKeeperOptions, heed: Heed, ours: deque[int]) -> None:
        auth = options.auth or AnnouncerAuth()
        self._heed = heed
        self._ours = ours
        self._closing = False
        self._last_warning = _LastWarning()
        hosts, _, below = options.ensemble.partition("/")
        self._below = f"/{below.strip('/')}" if below.strip("/") else ""
        self._client = KazooClient(
            hosts,
            timeout=options.session_timeout_s,
            auth_data=[(entry.scheme, entry.credential) for entry in auth.auth] or None,
            default_acl=[_acl(access) for access in auth.acl] or None,
            connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": options.reconnect_max_s},
            logger=self._last_warning.logger,
        )
        self._client.add_listener(self._on_state)

    @property
    def trouble(self) -> str:
        """What kazoo said last of a connection that fails."""
        return self._last_warning.text

    def start(self) -> None:
        self._client.start_async()

    def create(self, path: str, data: bytes, ask: int) -> None:
        self._ask(
            lambda: self._client.create_async(
                f"{self._below}{path}/{MEMBER_PREFIX}", data, ephemeral=True, sequence=True
            ),
            lambda node: Event(Happened.CREATED, node=node, ask=ask),
            ask,
            missing=Event(Happened.NO_PARENT, ask=ask),
        )

    def prepare(self, path: str, ask: int) -> None:
        self._ask(
            lambda: self._client.ensure_path_async(self._below + path),
            lambda _: Event(Happened.PARENTS_MADE, ask=ask),
            ask,
        )

    def check(self, node: str, ask: int) -> None:
        self._ask(
            lambda: self._client.exists_async(node, watch=self._on_watch),
            lambda stat: Event(Happened.GONE if stat is None else Happened.THERE, node=node, ask=ask),
            ask,
        )

    def delete(self, node: str, ask: int) -> None:
        gone = Event(Happened.GONE, node=node, ask=ask)
        self._ask(lambda: self._client.delete_async(node), lambda _: gone, ask, missing=gone)

    def look(self, path: str, ask: int) -> None:
        """For a member that one of our sessions owns; the newest first."""
        self._ask(
            lambda: self._client.get_children_async(self._below + path),
            lambda names: self._search(self._below + path, names, ask),
            ask,
            missing=Event(Happened.NOT_FOUND, ask=ask),
        )

    def close(self) -> None:
        """Blocks, at most for some seconds. The server removes what the session owns, if it can be reached."""
        self._closing = True
        try:
            self._client.stop()
        finally:
            self._client.close()

    # --- in kazoo's threads ------------------------------------------------------------------------------------------

    def _ask(
        self, send: Callable[[], Any], answer: Callable[[Any], Event | None], ask: int, missing: Event | None = None
    ) -> None:
        """`answer` makes the event of what came back; `missing` is the one for a node that is not there."""
        try:
            send().rawlink(lambda result: self._hear(result, answer, ask, missing))
        except (KazooException, OSError, ValueError, TypeError) as error:
            self._heed(_problem(error, ask))

    def _hear(self, result: Any, answer: Callable[[Any], Event | None], ask: int, missing: Event | None) -> None:
        try:
            event = answer(result.get_nowait())
        except NoNodeError as error:
            event = missing or _problem(error, ask)
        except Exception as error:  # the rim of kazoo's thread: it becomes an event
            event = _problem(error, ask)
        if event is not None:
            self._heed(event)

    def _search(self, path: str, names: list[str], ask: int) -> Event | None:
        left = sorted(name for name in names if name.startswith(MEMBER_PREFIX))  # the newest is the last
        return self._search_on(path, left, ask)

    def _search_on(self, path: str, left: list[str], ask: int) -> Event | None:
        """Who owns the next ones? None: asked."""
        if not left:
            return Event(Happened.NOT_FOUND, ask=ask)
        window, rest = left[-SEARCH_WINDOW:][::-1], left[:-SEARCH_WINDOW]
        round_ = _Round([f"{path}/{name}" for name in window], lambda nodes: self._searched(path, nodes, rest, ask))
        for i, node in enumerate(round_.nodes):
            self._ask(partial(self._client.exists_async, node), partial(round_.heed, i), ask)
        return None

    def _searched(self, path: str, owners: list[tuple[str, int]], rest: list[str], ask: int) -> Event | None:
        for node, owner in owners:
            if owner in self._ours:
                return Event(Happened.FOUND, node=node, ask=ask)
        return self._search_on(path, rest, ask)

    def _on_state(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            client_id = self._client.client_id
            if client_id is not None and client_id[0] not in self._ours:
                self._ours.append(client_id[0])
            self._heed(Event(Happened.CONNECTED))
        elif state == KazooState.SUSPENDED:
            self._heed(Event(Happened.SUSPENDED))
        elif self._client.client_state == KeeperState.EXPIRED_SESSION:
            self._heed(Event(Happened.EXPIRED, "ZooKeeper's session has expired"))
        elif not self._closing:
            end = self._client.client_state
            self._heed(Event(Happened.ENDED, _ENDS.get(end, f"ZooKeeper's session is {end}")))

    def _on_watch(self, event: Any) -> None:
        """Events of type NONE tell of the connection; that is told by `_on_state`."""
        if event.type == EventType.DELETED:
            self._heed(Event(Happened.GONE, f"{event.path} was deleted", node=event.path))
        elif event.type == EventType.CHANGED:
            self._heed(Event(Happened.CHANGED, node=event.path))


class _LastWarning(logging.Handler):
    """A logger of kazoo's own, of which the last warning is kept: each attempt to reach a server is one, for as long
    as ZooKeeper is away."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        self.logger = logging.Logger(f"{__name__}.kazoo", logging.WARNING)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if not record.getMessage().startswith("Transition"):  # says nothing, after the line that says why
            self.text = record.getMessage()


class _Round:
    """Collects the owners of some nodes, in kazoo's completion thread; the last answer makes the event."""

    def __init__(self, nodes: list[str], done: Callable[[list[tuple[str, int]]], Event | None]) -> None:
        self.nodes = nodes
        self._owners = [0] * len(nodes)
        self._missing = len(nodes)
        self._done = done

    def heed(self, i: int, stat: Any) -> Event | None:
        self._owners[i] = stat.ephemeralOwner if stat is not None else 0
        self._missing -= 1
        return None if self._missing else self._done(list(zip(self.nodes, self._owners, strict=True)))


def _acl(access: Access) -> ACL:
    credential = access.credential
    if access.scheme == "digest":
        credential = make_digest_acl_credential(*credential.split(":", 1))
    p = access.permissions
    return make_acl(access.scheme, credential, p.read, p.write, p.create, p.delete, p.admin)


def _problem(error: Exception, ask: int) -> Event:
    """What is not known to have changed nothing has an unknown outcome."""
    for what, known in ((Happened.REFUSED, _REFUSALS), (Happened.ERROR, _ERRORS), (Happened.UNKNOWN, _BROKEN)):
        text = known.get(type(error))
        if text is not None:
            return Event(what, text, ask=ask)
    return Event(Happened.UNKNOWN, f"ZooKeeper's answer is {type(error).__name__}: {error}", ask=ask)
