"""The announcer against a real ZooKeeper: what a plain client sees is what counts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError, NotEmptyError
from kazoo.security import OPEN_ACL_UNSAFE, make_acl, make_digest_acl

from executor.announcer import AnnouncerEvent, Waits, ZooKeeperOptions
from executor.announcer_auth import parse_announcer_auth
from executor.core.announcing import TIMED_OUT
from tests.executor.announcer.cut import Cut
from tests.executor.announcer.rig import Rig, an_announcement, brief, wait_until
from tests.mesos.ports import held_port
from tests.mesos.zookeeper import ZooKeeperServer

A = AnnouncerEvent
PATH = "/aurora/role/env/job"
MakeRig = Callable[..., Rig]


def members(client: KazooClient, path: str = PATH) -> list[str]:
    try:
        return sorted(client.retry(client.get_children, path))
    except NoNodeError:
        return []


def options(zookeeper: ZooKeeperServer, auth: object) -> ZooKeeperOptions:
    parsed = parse_announcer_auth(json.dumps(auth), "auth.json")
    return ZooKeeperOptions(zookeeper.address, parsed, session_timeout_s=10.0, reconnect_max_s=0.5)


def test_join_and_leave(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    """Spec §6.2 item 119: join; parents are created; cancel on stop."""
    announcer = rig(zookeeper.address).start()
    node = announcer.wait(A.JOINED)
    assert node == f"{PATH}/member_0000000000"
    data, stat = stranger.get(node)
    assert data == (
        b'{"serviceEndpoint":{"host":"host.example.com","port":31001},'
        b'"additionalEndpoints":{"aurora":{"host":"host.example.com","port":31001},'
        b'"http":{"host":"host.example.com","port":31001}},"status":"ALIVE","shard":0}'
    )
    assert stat.ephemeralOwner
    assert stranger.get_acls(node)[0] == OPEN_ACL_UNSAFE
    assert stranger.get_acls(PATH)[0] == OPEN_ACL_UNSAFE
    state = announcer.state()
    assert (state["state"], state["node"], state["away_since"]) == ("joined", node, None)
    announcer.stop()
    assert announcer.wait(A.LEFT) == ""
    assert members(stranger) == []
    assert announcer.events() == [A.JOINED, A.LEFT]


def test_deleted_by_a_stranger_it_joins_again_with_a_new_node(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    """The scenario of the end-to-end tests: announced again within 10 s."""
    announcer = rig(zookeeper.address).start()
    node = announcer.wait(A.JOINED)
    stranger.delete(node)
    began = time.monotonic()
    again = announcer.wait(A.JOINED, 2)
    assert time.monotonic() - began < 10.0
    assert again == f"{PATH}/member_0000000001"
    assert members(stranger) == ["member_0000000001"]
    assert announcer.events() == [A.JOINED, A.LOST, A.JOINED]
    stranger.delete(again)  # at once again: a little slower, well within the 10 s
    assert announcer.wait(A.JOINED, 3, 10.0) == f"{PATH}/member_0000000002"


def test_written_to_by_a_stranger_it_still_hears_of_its_deletion(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    announcer = rig(zookeeper.address).start()
    node = announcer.wait(A.JOINED)
    for i in range(3):
        stranger.set(node, b"%d" % i)
    stranger.delete(node)
    assert announcer.wait(A.JOINED, 2) != node


def test_the_parents_are_deleted_too(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    announcer = rig(zookeeper.address).start()
    announcer.wait(A.JOINED)
    wait_until(lambda: deleted(stranger, "/aurora"))
    wait_until(lambda: members(stranger))
    assert announcer.wait(A.JOINED, 2).startswith(f"{PATH}/member_")


def deleted(client: KazooClient, path: str) -> bool:
    """The announcer may be back before the last parent is gone."""
    try:
        client.delete(path, recursive=True)
    except NotEmptyError:
        return False
    return True


def test_a_restart_within_the_session_timeout_keeps_the_node(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    announcer = rig(zookeeper.address).start()
    node = announcer.wait(A.JOINED)
    zookeeper.restart()
    announcer.wait_for_state("joined")
    wait_until(lambda: announcer.state()["away_since"] is None)
    assert members(stranger) == [node.rpartition("/")[2]]
    assert announcer.events() == [A.JOINED], "nothing was lost"


def test_killed_and_back_beyond_the_session_timeout(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    """A server that was away waits anew for the sessions it knew: who is quick keeps its node."""
    announcer = rig(zookeeper.address, options=brief(zookeeper.address)).start()
    node = announcer.wait(A.JOINED)
    zookeeper.kill()
    announcer.wait_for_state("lost")
    wait_until(lambda: announcer.state()["disconnected_s"] >= 5)  # longer than the session may be silent
    assert members_after_start(zookeeper, stranger) == [node.rpartition("/")[2]]
    wait_until(lambda: announcer.state()["away_since"] is None)
    assert announcer.events() == [A.JOINED]
    stranger.delete(node)
    announcer.wait(A.JOINED, 2)  # it is watched as before


def members_after_start(zookeeper: ZooKeeperServer, stranger: KazooClient) -> list[str]:
    zookeeper.start()
    return members(stranger)


def test_killed_and_back_and_the_session_has_expired(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    """Spec §6.2 item 119: expiry, rejoin. Here the announcer's host is cut off for longer than its server was."""
    with Cut(zookeeper.port) as cut:
        announcer = rig("", options=brief(f"127.0.0.1:{cut.port}")).start()
        node = announcer.wait(A.JOINED)
        zookeeper.kill()
        cut.off()
        announcer.wait_for_state("lost")
        zookeeper.start()
        wait_until(lambda: stranger.retry(stranger.get_children, PATH) == [])
        cut.on()
        again = announcer.wait(A.JOINED, 2)
        assert again != node
        assert members(stranger) == [again.rpartition("/")[2]]
        assert announcer.events() == [A.JOINED, A.LOST, A.JOINED]
        wait_until(lambda: announcer.state()["away_since"] is None)
        announcer.close()


def test_frozen_server_expires_the_session(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    """The client's side is cut off while the server lives: the server expires the session and removes the node."""
    with Cut(zookeeper.port) as cut:
        announcer = rig("", options=brief(f"127.0.0.1:{cut.port}")).start()
        node = announcer.wait(A.JOINED)
        cut.off()
        announcer.wait_for_state("lost")
        wait_until(lambda: members(stranger) == [])
        cut.on()
        again = announcer.wait(A.JOINED, 2)
        assert again != node
        assert members(stranger) == [again.rpartition("/")[2]]
        assert announcer.events() == [A.JOINED, A.LOST, A.JOINED]
        announcer.stop()
        assert announcer.wait(A.LEFT) == ""
        announcer.close()


def test_absent_at_the_start_and_there_in_time(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    zookeeper.kill()
    announcer = rig(zookeeper.address, waits=Waits(connect_s=60.0)).start()
    assert announcer.state()["state"] == "connecting"
    wait_until(lambda: "refused" in (announcer.state()["problem"] or ""))
    zookeeper.start()
    announcer.wait(A.JOINED)
    assert len(members(stranger)) == 1


def test_absent_for_too_long_fails(rig: MakeRig) -> None:
    """Spec §6.2 item 120: connect timeout."""
    with held_port() as port:
        announcer = rig(f"127.0.0.1:{port}", waits=Waits(connect_s=0.5)).start()
        assert announcer.wait(A.FAILED) == TIMED_OUT == "Creating Announcer Serverset timed out."
        announcer.stop()
        announcer.wait(A.LEFT)
        assert announcer.events() == [A.FAILED, A.LEFT]


def test_a_name_that_nobody_knows_fails_in_time(rig: MakeRig) -> None:
    announcer = rig("nobody.invalid:2181", waits=Waits(connect_s=0.5)).start()
    assert announcer.wait(A.FAILED) == TIMED_OUT


@pytest.mark.parametrize("ensemble", ["host:port", ":", "host:99999999"])
def test_an_ensemble_that_is_none_is_one_failure(rig: MakeRig, ensemble: str) -> None:
    announcer = rig(ensemble).start()
    text = announcer.wait(A.FAILED)
    assert text.startswith(f"cannot announce at {PATH}: ZooKeeper at {ensemble} can't be used: ")
    assert announcer.events() == [A.FAILED]


def test_stop_while_disconnected(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    announcer = rig("", options=brief(zookeeper.address), waits=Waits(leave_s=1.0)).start()
    node = announcer.wait(A.JOINED)
    zookeeper.kill()
    announcer.wait_for_state("lost")
    began = time.monotonic()
    announcer.stop()
    assert node in announcer.wait(A.LEFT)
    assert 0.9 < time.monotonic() - began < 15.0
    zookeeper.start()
    wait_until(lambda: members(stranger) == [])
    assert announcer.events() == [A.JOINED, A.LEFT]


def test_stop_before_it_ever_connected_is_answered_at_once(rig: MakeRig) -> None:
    with held_port() as port:
        announcer = rig(f"127.0.0.1:{port}", waits=Waits(leave_s=300.0)).start().stop()
        assert announcer.wait(A.LEFT) == ""
        assert announcer.events() == [A.LEFT]


def test_stop_right_after_the_start_leaves_nothing(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    for state in ["idle", "connecting", "connecting", "joining", "joining", "checking", "joined"]:
        announcer = rig(zookeeper.address).start()
        while state != "idle" and announcer.state()["state"] not in (state, "joined"):
            pass  # not every state is seen each time
        announcer.stop()
        assert announcer.wait(A.LEFT) == ""
        assert members(stranger) == []
        announcer.close()


def test_two_instances(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    one = rig(zookeeper.address, an_announcement(shard=0)).start()
    two = rig(zookeeper.address, an_announcement(shard=1)).start()
    nodes = [one.wait(A.JOINED), two.wait(A.JOINED)]
    assert [json.loads(stranger.get(node)[0])["shard"] for node in nodes] == [0, 1]
    one.stop()
    one.wait(A.LEFT)
    assert [f"{PATH}/{name}" for name in members(stranger)] == [nodes[1]]


def test_paused_and_resumed(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    """Health-gated announcing."""
    announcer = rig(zookeeper.address, paused=True).start()
    announcer.wait_for_state("paused")
    assert members(stranger) == []
    announcer.post(announcer.announcer.resume).wait(A.JOINED)
    assert len(members(stranger)) == 1
    announcer.post(announcer.announcer.pause).wait(A.PAUSED)
    assert members(stranger) == []
    announcer.post(announcer.announcer.resume).wait(A.JOINED, 2)
    assert len(members(stranger)) == 1
    assert announcer.events() == [A.JOINED, A.PAUSED, A.JOINED]


# --- who may do what ----------------------------------------------------------------------------------------------

ME = {"scheme": "digest", "credential": "me:secret"}
ALL = {"read": True, "write": True, "create": True, "delete": True, "admin": True}
CONFIG = {
    "auth": [ME],
    "acl": [{**ME, "permissions": ALL}, {"scheme": "world", "credential": "anyone", "permissions": {"read": True}}],
}


def test_acls_are_set_on_the_node_and_on_its_parents(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    """Spec §6.2 item 119: ACLs and digest authentication."""
    announcer = rig(zookeeper.address, options=options(zookeeper, CONFIG)).start()
    node = announcer.wait(A.JOINED)
    stranger.add_auth("digest", "me:secret")  # who may not change an ACL is not shown its hashes
    expected = [make_digest_acl("me", "secret", all=True), make_acl("world", "anyone", read=True)]
    for path in (node, PATH, "/aurora"):
        assert stranger.get_acls(path)[0] == expected
    announcer.stop()
    assert announcer.wait(A.LEFT) == ""
    assert members(stranger) == []


def test_noauth_is_a_failure_with_words_defect_15(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    """The original took it for a membership."""
    stranger.ensure_path("/aurora/role/env")
    stranger.create(PATH, acl=[make_digest_acl("other", "pw", all=True)])
    for settings in (None, options(zookeeper, CONFIG)):
        announcer = rig(zookeeper.address, options=settings).start()
        text = announcer.wait(A.FAILED)
        assert text.startswith(f"cannot announce at {PATH}: ZooKeeper's ACLs do not allow it (NoAuth)")
        assert "\n" not in text
        announcer.stop()
        announcer.wait(A.LEFT)
        assert announcer.events() == [A.FAILED, A.LEFT]
    stranger.add_auth("digest", "other:pw")
    assert members(stranger) == []


def test_noauth_of_the_parents_is_a_failure_with_words_defect_15(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    stranger.create("/aurora", acl=[make_acl("world", "anyone", read=True)])
    announcer = rig(zookeeper.address).start()
    assert "(NoAuth)" in announcer.wait(A.FAILED)


def test_noauth_after_it_was_joined_is_told_and_tried_again_defect_15(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    announcer = rig(zookeeper.address).start()
    node = announcer.wait(A.JOINED)
    stranger.add_auth("digest", "other:pw")
    stranger.set_acls(PATH, [make_digest_acl("other", "pw", all=True)])
    stranger.delete(node)
    state = announcer.wait_for_state("retrying")
    assert "(NoAuth)" in state["problem"]
    assert announcer.events() == [A.JOINED, A.LOST], "told, but a running task does not die of it"
    stranger.set_acls(PATH, OPEN_ACL_UNSAFE)
    announcer.wait(A.JOINED, 2)


def test_an_acl_that_zookeeper_does_not_take_is_a_failure(zookeeper: ZooKeeperServer, rig: MakeRig) -> None:
    config = {"acl": [{"scheme": "ip", "credential": "nonsense", "permissions": ALL}]}
    announcer = rig(zookeeper.address, options=options(zookeeper, config)).start()
    assert "(InvalidACL)" in announcer.wait(A.FAILED)


def test_credentials_of_an_unknown_scheme_are_a_failure(zookeeper: ZooKeeperServer, rig: MakeRig) -> None:
    config = {"auth": [{"scheme": "unheardof", "credential": "x"}]}
    announcer = rig(zookeeper.address, options=options(zookeeper, config)).start()
    text = announcer.wait(A.FAILED)
    assert "(AuthFailed)" in text


def test_who_may_create_but_not_delete_leaves_with_its_session(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    stranger.ensure_path("/aurora/role/env")
    stranger.create(PATH, acl=[make_acl("world", "anyone", create=True, read=True)])
    announcer = rig(zookeeper.address).start()
    announcer.wait(A.JOINED)
    announcer.post(announcer.announcer.pause).wait(A.PAUSED)
    assert members(stranger) == []
    announcer.post(announcer.announcer.resume).wait(A.JOINED, 2)
    announcer.stop().wait(A.LEFT)
    assert members(stranger) == []


# --- where --------------------------------------------------------------------------------------------------------


def test_a_path_of_its_own(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    announcer = rig(zookeeper.address, an_announcement("/uns/v1/prod")).start()
    assert announcer.wait(A.JOINED) == "/uns/v1/prod/member_0000000000"


def test_a_path_below_an_ephemeral_node_is_a_failure_defect_15(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    stranger.create("/short", ephemeral=True)
    for path in ("/short", "/short/lived"):
        announcer = rig(zookeeper.address, an_announcement(path)).start()
        text = announcer.wait(A.FAILED)
        assert text.startswith(f"cannot announce at {path}: a part of the path is an ephemeral node")


def test_below_a_part_of_the_tree_that_is_not_there_yet(
    zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig
) -> None:
    """host:port/below: all paths are below that."""
    announcer = rig(f"{zookeeper.address}/below/it").start()
    assert announcer.wait(A.JOINED) == f"/below/it{PATH}/member_0000000000"
    assert members(stranger, f"/below/it{PATH}") == ["member_0000000000"]
    stranger.delete(f"/below/it{PATH}/member_0000000000")
    announcer.wait(A.JOINED, 2)


def test_a_member_in_doubt_is_found_again(zookeeper: ZooKeeperServer, stranger: KazooClient, rig: MakeRig) -> None:
    """The answer of the create is lost with the connection: the member is adopted, none is added. Among many others."""
    stranger.ensure_path(PATH)
    others = [stranger.create_async(f"{PATH}/member_", b"other", sequence=True) for _ in range(250)]
    names = {node.get() for node in others}
    with Cut(zookeeper.port) as cut:
        cut.swallow_answers_after = b"member_"
        announcer = rig(f"127.0.0.1:{cut.port}").start()
        wait_until(lambda: cut.swallowed)
        ours = wait_until(lambda: {f"{PATH}/{name}" for name in members(stranger)} - names)
        for _ in range(20):  # and 20 newer ones
            names.add(stranger.create(f"{PATH}/member_", b"other", sequence=True))
        cut.off()
        cut.swallow_answers_after = None
        cut.on()
        assert announcer.wait(A.JOINED) == ours.pop()
        assert len(members(stranger)) == 271
        assert announcer.events() == [A.JOINED]
        announcer.close()
