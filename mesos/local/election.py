"""Which of several masters leads: the one with the lowest ephemeral node in ZooKeeper, as with real Mesos.

Each master creates `json.info_NNNNNNNNNN` under the path, with its MasterInfo as JSON, and watches who has the lowest
number. Schedulers and agents that read those nodes find the leader without knowing what kind of Mesos it is.

A master steps down as soon as it can't be sure any more: when its session expired, and when it heard nothing from
ZooKeeper for as long as a session lasts. Then it joins again as another master (a new id, nothing in its memory): a
real master ends its process instead. kazoo's callbacks come from its threads; everything here runs in the asyncio loop.

Without ZooKeeper there is one master, and it leads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import CREATOR_ALL_ACL, READ_ACL_UNSAFE

from mesos.core.leader import NODE_PREFIX, ZooKeeperPath, leading_node
from mesos.core.messages import MasterInfo
from mesos.core.wire import BadMessage, decode, encode
from thermos.errors import RemoteError

#: How kazoo looks for a server: without end, soon again.
_FOREVER = {"max_tries": -1, "delay": 0.1, "max_delay": 2.0}

#: Seconds for the first connection.
_START_S = 15.0

KAZOO_LOG = f"{__name__}.kazoo"
_kazoo_log = logging.getLogger(KAZOO_LOG)  # each attempt to reach a server is a line of it


@dataclass(frozen=True, slots=True)
class Leader:
    """`info` as it was published; `is_us`: it is the one that this election published last."""

    info: MasterInfo
    is_us: bool

    @property
    def address(self) -> str:
        where = self.info.address
        return f"{where.ip or where.hostname}:{where.port}" if where else f"{self.info.hostname}:{self.info.port}"


Report = Callable[[Leader | None], None]
MakeInfo = Callable[[], MasterInfo]
Found = tuple[tuple[str, MasterInfo], Leader | None]


class Election(Protocol):
    """`report` is called in the loop whenever the leader changes, None when nobody leads or nobody knows."""

    async def start(self, report: Report) -> None: ...

    async def stop(self) -> None: ...


class Alone:
    """One master, without ZooKeeper."""

    def __init__(self, make_info: MakeInfo) -> None:
        self._make_info = make_info

    async def start(self, report: Report) -> None:
        report(Leader(self._make_info(), is_us=True))

    async def stop(self) -> None:
        """Nothing to leave."""


class ZooKeeperElection:
    """`make_info` gives another id each time: a node is one master."""

    def __init__(self, where: ZooKeeperPath, make_info: MakeInfo, session_timeout_s: float = 10.0) -> None:
        self._hosts = ",".join(where.hosts)
        self._path = where.path.rstrip("/")
        self._auth = where.auth
        self._make_info = make_info
        self._timeout_s = session_timeout_s
        self._client: KazooClient | None = None
        self._own: tuple[str, MasterInfo] | None = None  # our node
        self._losses = 0
        self._reported: Leader | None = None
        self._report: Report = lambda leader: None
        self._doubt: asyncio.TimerHandle | None = None
        self._look: asyncio.Task[None] | None = None
        self._again = False  # something changed while a look was under way

    async def start(self, report: Report) -> None:
        """Raises RemoteError when ZooKeeper can't be reached."""
        loop = asyncio.get_running_loop()
        self._report = report
        client = self._client = KazooClient(
            self._hosts,
            timeout=self._timeout_s,
            auth_data=[("digest", self._auth)] if self._auth else None,
            default_acl=[*CREATOR_ALL_ACL, *READ_ACL_UNSAFE] if self._auth else None,  # as Mesos does it
            connection_retry=_FOREVER,
            logger=_kazoo_log,
        )

        def changed(state: str) -> None:  # in a thread of kazoo
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._state_changed, state)

        client.add_listener(changed)
        try:
            await asyncio.to_thread(client.start, _START_S)
        except (KazooTimeoutError, KazooException) as error:
            await self.stop()
            raise RemoteError(f"cannot reach ZooKeeper at {self._hosts}: {error}") from error

    async def stop(self) -> None:
        """Leaves: the node goes with the session."""
        client, self._client = self._client, None
        if self._look is not None:
            self._look.cancel()
        self._trust()
        if client is not None:
            await asyncio.to_thread(_end, client)

    def _state_changed(self, state: str) -> None:
        if self._client is None:
            return
        if state == KazooState.SUSPENDED:
            if self._doubt is None:
                self._doubt = asyncio.get_running_loop().call_later(self._timeout_s, self._lose)
        elif state == KazooState.LOST:
            self._trust()
            self._lose()
        else:
            self._trust()
            self._look_again()

    def _trust(self) -> None:
        if self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None

    def _lose(self) -> None:
        self._own = None
        self._losses += 1
        self._tell(None)

    def _tell(self, leader: Leader | None) -> None:
        if leader != self._reported:
            self._reported = leader
            self._report(leader)

    def _look_again(self) -> None:
        """One look at a time; what happens meanwhile makes one more."""
        if self._look is not None and not self._look.done():
            self._again = True
            return
        self._look = asyncio.get_running_loop().create_task(self._look_until_quiet())

    async def _look_until_quiet(self) -> None:
        loop = asyncio.get_running_loop()

        def changed(event: Any) -> None:  # in a thread of kazoo
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._look_again)

        self._again = True
        while self._again and self._client is not None:
            self._again = False
            losses = self._losses
            try:
                own, leader = await asyncio.to_thread(self._join_and_read, self._client, changed)
            except (KazooException, KazooTimeoutError):
                continue  # the connection is in trouble: the next state brings us here again
            if losses == self._losses:  # else the session that this was seen with is over
                self._own = own
                self._tell(leader)

    def _join_and_read(self, client: KazooClient, changed: Callable[[Any], None]) -> Found:
        """In a thread: make our node if we have none (any more), watch, and see who leads."""
        client.ensure_path(self._path)
        own = self._own
        if own is None or client.exists(f"{self._path}/{own[0]}") is None:
            _remove_ours(client, self._path)
            info = self._make_info()
            created = client.create(f"{self._path}/{NODE_PREFIX}", encode(info), ephemeral=True, sequence=True)
            own = (str(created).rsplit("/", 1)[-1], info)
        names = client.get_children(self._path, watch=changed)
        return own, _read_leader(client, self._path, names, own[1].id)


def _remove_ours(client: KazooClient, path: str) -> None:
    """Nodes of this session: of the master that we were until we stepped down, or made by a call whose answer was
    lost."""
    for name in client.get_children(path):
        stat = client.exists(f"{path}/{name}") if leading_node([name]) is not None else None
        if stat is not None and stat.ephemeralOwner == client.client_id[0]:
            client.delete(f"{path}/{name}")


def _read_leader(client: KazooClient, path: str, names: list[str], our_id: str) -> Leader | None:
    """Of the lowest node. One that went meanwhile, or can't be read, leads nobody: its end makes another look."""
    name = leading_node(names)
    if name is None:
        return None
    try:
        data, _ = client.get(f"{path}/{name}")
        info = decode(data, MasterInfo)
    except (NoNodeError, BadMessage):
        return None
    return Leader(info, is_us=info.id == our_id)


def _end(client: KazooClient) -> None:
    client.stop()
    client.close()
