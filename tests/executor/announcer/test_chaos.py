"""A real ZooKeeper, a wire that breaks, strangers, a server that is killed: never two members, in the end one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException

from executor.announcer import AnnouncerEvent, ZooKeeperOptions
from tests.executor.announcer.cut import Cut
from tests.executor.announcer.rig import Rig, wait_until
from tests.mesos.zookeeper import ZooKeeperServer

PATH = "/aurora/role/env/job"
ACTIONS = 20
LOOKS = 500


class Watcher:
    """Looks at the members all the time, from a connection of its own that nobody cuts."""

    def __init__(self, client: KazooClient) -> None:
        self._client = client
        self._over = False
        self.most = 0
        self.seen: set[str] = set()
        self.looks = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over:
            try:
                names = self._client.get_children(PATH)
            except KazooException:
                names = []
            self.most = max(self.most, len(names))
            self.seen.update(names)
            self.looks += 1
            time.sleep(0.002)

    def end(self) -> None:
        self._over = True
        self._thread.join(30)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_never_two_members(
    seed: int, zookeeper: ZooKeeperServer, stranger: KazooClient, rig: Callable[..., Rig]
) -> None:
    chance = random.Random(seed)
    watcher = Watcher(stranger)
    fired: dict[str, int] = {}
    with Cut(zookeeper.port) as cut:
        options = ZooKeeperOptions(f"127.0.0.1:{cut.port}", session_timeout_s=2.0, reconnect_max_s=0.5)
        announcer = rig("", options=options).start()
        announcer.wait(AnnouncerEvent.JOINED)

        def is_member_alone() -> bool:
            state = announcer.state()
            names = stranger.retry(stranger.get_children, PATH)
            return state["state"] == "joined" and [state["node"]] == [f"{PATH}/{name}" for name in names]

        for _ in range(ACTIONS):
            what = chance.choice(["break", "break", "away", "delete", "pause", "swallow", "write"])
            fired[what] = fired.get(what, 0) + 1
            if what == "break":
                cut.off()
                cut.on()
            elif what == "away":
                cut.off()
                time.sleep(chance.choice([0.3, 2.5]))  # shorter and longer than a session
                cut.on()
            elif what in ("delete", "write"):
                for name in list(watcher.seen):
                    try:
                        stranger.delete(f"{PATH}/{name}") if what == "delete" else stranger.set(f"{PATH}/{name}", b"x")
                    except KazooException:
                        pass  # not there any more
            elif what == "pause":
                announcer.post(announcer.announcer.pause)
                time.sleep(chance.random() / 10)
                announcer.post(announcer.announcer.resume)
            elif what == "swallow":
                cut.swallow_answers_after = b"member_"
                time.sleep(chance.random() / 2)
                cut.swallow_answers_after = None
                cut.off()
                cut.on()
            time.sleep(chance.random() / 2)
        wait_until(lambda: watcher.looks > LOOKS)
        zookeeper.restart()
        wait_until(lambda: announcer.state()["away_since"] is None)
        wait_until(is_member_alone)
        announcer.stop()
        assert announcer.wait(AnnouncerEvent.LEFT) == ""
        watcher.end()
        announcer.close()
    assert watcher.most == 1, "two members at a time"
    assert stranger.retry(stranger.get_children, PATH) == []
    assert len(watcher.seen) > 3, "it was disturbed indeed"
    assert len(fired) >= 5, fired
