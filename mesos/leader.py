"""Finding the leading master: a list of addresses that are tried in turn, or the nodes that masters have in ZooKeeper.

A detector reports an address when it learns one, and None when it sees that there is no leader. What it reports while
`failed` runs is a guess (the next of a list); everything else is news.

With ZooKeeper, all decisions are taken in the asyncio loop; kazoo's threads only hand over what came. While ZooKeeper
is away the last leader counts: nobody can be elected then. On every connection the nodes are looked at anew, since
watches may have been lost with the one before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    ConnectionClosedError,
    ConnectionLoss,
    KazooException,
    NoNodeError,
    SessionExpiredError,
)

from mesos.core.leader import MasterList, ZooKeeperPath, leading_node, master_address, parse_masters
from mesos.core.wire import BadMessage

Report = Callable[[str | None], None]

_log = logging.getLogger(__name__)
_kazoo_log = logging.getLogger(f"{__name__}.kazoo")  # each attempt to reach a server is a line of it


class LeaderDetector(Protocol):
    async def start(self, report: Report) -> None:
        """`report` is called in this loop, from now on until `stop`."""

    def failed(self, url: str) -> None:
        """The master at `url` does not serve: look anew, or guess another."""

    async def stop(self) -> None: ...


def leader_detector(text: str, scheme: str = "http") -> LeaderDetector:
    """From `host:port`, a URL, a list of these with commas, or `zk://[user:password@]a:2181,b:2181/mesos`.

    `scheme` is for masters written (or found) without one. Raises UserError.
    """
    masters = parse_masters(text, scheme)
    if isinstance(masters, MasterList):
        return ListedMasters(masters)
    return ZooKeeperMasters(masters)


class ListedMasters:
    """One address after the other, in a circle. Masters redirect to their leader, so any that lives will do."""

    def __init__(self, masters: MasterList) -> None:
        self._urls = masters.urls
        self._at = 0
        self._report: Report | None = None

    async def start(self, report: Report) -> None:
        self._report = report
        report(self._urls[self._at])

    def failed(self, url: str) -> None:
        if self._report is None or url != self._urls[self._at] or len(self._urls) < 2:
            return
        self._at = (self._at + 1) % len(self._urls)
        self._report(self._urls[self._at])

    async def stop(self) -> None:
        self._report = None


class ZooKeeperMasters:
    def __init__(self, masters: ZooKeeperPath, *, session_timeout_s: float = 10.0) -> None:
        self._masters = masters
        self._session_timeout_s = session_timeout_s
        self._report: Report | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: KazooClient | None = None
        self._connection = 0  # of the connection; answers to what was asked on an older one are void
        self._looking = False
        self._look_again = False
        self._node: str | None = None  # of the leader that was reported
        self._reported: str | None = None

    async def start(self, report: Report) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        auth = [("digest", self._masters.auth)] if self._masters.auth else None
        forever = {"max_tries": -1, "delay": 0.1, "max_delay": 2.0}
        self._client = KazooClient(
            ",".join(self._masters.hosts),
            timeout=self._session_timeout_s,
            auth_data=auth,
            connection_retry=forever,
            logger=_kazoo_log,
        )
        self._client.add_listener(self._on_state)
        self._client.start_async()

    def failed(self, url: str) -> None:
        self._look()

    async def stop(self) -> None:
        self._report = None
        client, self._client = self._client, None
        if client is not None:
            assert self._loop is not None
            await self._loop.run_in_executor(None, _end, client)

    # --- in kazoo's threads ------------------------------------------------------------------------------------------

    def _on_state(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._hand_over(self._begin)

    def _on_watch(self, event: object) -> None:
        self._hand_over(self._look)

    def _hand_over(self, call: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            pass  # the loop is closed: nobody wants to know any more

    # --- in the loop -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """A new connection: what was asked on the one before is void."""
        self._connection += 1
        self._looking = False
        self._look()

    def _look(self) -> None:
        """Ask for the nodes, and to be told when they change. One look at a time: changes may come in any number."""
        if self._client is None or self._client.state != KazooState.CONNECTED:
            return  # looked at when it is connected
        if self._looking:
            self._look_again = True
            return
        self._looking, self._look_again = True, False
        self._ask(self._client.get_children_async(self._masters.path, watch=self._on_watch), self._on_children)

    def _ask(self, answer: Any, heed: Callable[[Any], None]) -> None:
        """`heed` gets the answer in the loop, unless it is void then."""
        number = self._connection

        def in_loop(result: Any) -> None:
            if number != self._connection or self._client is None:
                return
            try:
                heed(result)
            except KazooException as error:
                self._note(error)
                self._looked()

        answer.rawlink(lambda result: self._hand_over(in_loop, result))

    def _on_children(self, result: Any) -> None:
        assert self._client is not None
        try:
            node = leading_node(result.get_nowait())
        except NoNodeError:  # no master was ever there: wait for the first
            self._say(None, None)
            self._ask(self._client.exists_async(self._masters.path, watch=self._on_watch), self._on_exists)
            return
        if node is None:
            self._say(None, None)
            self._looked()
            return
        path = f"{self._masters.path}/{node}"
        self._ask(self._client.get_async(path), lambda result: self._on_node(node, result))

    def _on_exists(self, result: Any) -> None:
        self._look_again |= result.get_nowait() is not None  # it came just now
        self._looked()

    def _on_node(self, node: str, result: Any) -> None:
        try:
            data, _ = result.get_nowait()
            self._say(node, master_address(data, self._masters.scheme))
        except NoNodeError:  # it went just now
            self._look_again = True
        except BadMessage as error:
            _log.warning("cannot use ZooKeeper's node %s/%s: %s", self._masters.path, node, error)
            self._say(node, None)
        self._looked()

    def _looked(self) -> None:
        self._looking = False
        if self._look_again:
            self._look()

    def _note(self, error: KazooException) -> None:
        """A broken connection heals itself and is looked at again then; anything else somebody has to mend."""
        broken = isinstance(error, ConnectionLoss | ConnectionClosedError | SessionExpiredError)
        text = "cannot look for masters in ZooKeeper at %s: %r"
        _log.log(logging.INFO if broken else logging.WARNING, text, self._masters.path, error)

    def _say(self, node: str | None, url: str | None) -> None:
        """Report what is new; another node with the same address is: the master was started anew."""
        if self._report is not None and (node, url) != (self._node, self._reported):
            self._node, self._reported = node, url
            self._report(url)


def _end(client: KazooClient) -> None:
    """In a worker thread: it waits for kazoo's own."""
    client.stop()
    client.close()
