"""What is wrong with pymesos on an executor's side, one test each: ours doesn't have it.

The numbers are those of the list that our requirements were learned from.
"""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mesos.core.executor_session import FLOOR
from mesos.core.messages import TaskState
from mesos.core.recordio import frame
from mesos.core.wire import encode
from mesos.executor_driver import ExecutorOptions
from mesos.executor_environment import ExecutorEnvironment
from tests.mesos.executor.agents import (
    ACCEPTED,
    HELLO,
    LEAST_PAUSE_S,
    OK,
    Script,
    Talk,
    chunk,
    good,
    reply,
    running,
    serving,
)
from tests.mesos.executor.puppets import Stage, environment, kill, status
from tests.mesos.executor.test_environment import REAL
from tests.mesos.ports import held_port
from thermos.clock import now


def answering(data: bytes) -> Script:
    def script(talk: Talk) -> None:
        if talk.request() is not None:
            talk.send(data)

    return script


@pytest.mark.parametrize(
    "data",
    [
        reply("503 Service Unavailable", "recovering"),
        OK + HELLO + b"0\r\n\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: //127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["503", "closes after SUBSCRIBED", "307"],
)
def test_defect_2_no_back_off(data: bytes) -> None:
    """pymesos: thousands of attempts in five seconds."""
    with serving(answering(data)) as agent, running(agent.port) as executor:
        assert executor.time_for(6, lambda: len(agent.talks)) > 4 * LEAST_PAUSE_S


def test_defect_3_a_half_open_connection_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """pymesos waits for ever. An executor's agent sends no heartbeats to speak of: TCP asks."""
    options: dict[int, int] = {}
    setsockopt = socket.socket.setsockopt

    def spy(self: socket.socket, level: int, name: int, value: int) -> None:
        if level in (socket.IPPROTO_TCP, socket.SOL_SOCKET):
            options[name] = value
        setsockopt(self, level, name, value)

    monkeypatch.setattr(socket.socket, "setsockopt", spy)
    with serving(good) as agent, running(agent.port) as executor:
        executor.until_told("subscribed")
    assert options[socket.SO_KEEPALIVE] == 1
    seconds = options[socket.TCP_KEEPIDLE] + options[socket.TCP_KEEPINTVL] * options[socket.TCP_KEEPCNT]
    assert seconds <= 60


def test_defect_4_one_hung_call_freezes_everything() -> None:
    """pymesos: for a day, and `stop` with it. Ours: seconds, and meanwhile everything else goes on."""
    assert ExecutorOptions().call_timeout_s <= 10
    hung = threading.Event()

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            if request[1]["type"] == "SUBSCRIBE":
                talk.send(OK + HELLO)
                hung.wait(20)
                talk.send(chunk(frame(encode(kill("t")))))
                talk.until_closed()
            else:
                hung.set()
                talk.until_closed()

    with serving(script) as agent, running(agent.port) as executor:
        executor.until_told("subscribed")
        executor.driver.update(status("t"), now())
        executor.until(hung.is_set)
        assert executor.until_told("kill") == ["t"]
        before = time.monotonic()
        assert len(executor.driver.pending) == 1 and executor.driver.state()["phase"] == "subscribed"
        executor.driver.update(status("u"), now())
        assert time.monotonic() - before < 5
        # and `running` sees to it that stop takes no time


def test_defect_5_descriptors_beyond_1023() -> None:
    """pymesos uses select: ValueError, and the driver is gone."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limits[0] < 2048:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, limits[1]))
    hoard = [open("/dev/null") for _ in range(1100)]  # noqa: SIM115
    try:
        with serving(good) as agent, running(agent.port) as executor:
            executor.until_told("subscribed")
            executor.driver.update(status("t"), now())
            executor.until(lambda: not executor.driver._calls.is_busy)
            assert executor.listener.of("problem") == []
    finally:
        for file in hoard:
            file.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_defect_6_a_drivers_credentials_are_its_own() -> None:
    """pymesos: a second driver in the process sent the first one's."""
    seen: list[str | None] = []

    def script(talk: Talk) -> None:
        request = talk.request()
        if request is not None:
            seen.append(request[0].get("authorization"))
            talk.send(OK + HELLO)
            talk.until_closed()

    with serving(script) as agent:
        with running(agent.port, token="secret") as first:
            first.until_told("subscribed")
        with running(agent.port) as second:
            second.until_told("subscribed")
    assert seen == ["Bearer secret", None]


def test_defect_8_it_can_be_imported_in_a_thread_and_touches_no_signals() -> None:
    code = """if True:
        import signal, threading
        before = [signal.getsignal(n) for n in signal.valid_signals()]
        def load():
            import mesos.executor_driver
        thread = threading.Thread(target=load); thread.start(); thread.join()
        import sys
        assert "mesos.executor_driver" in sys.modules
        assert [signal.getsignal(n) for n in signal.valid_signals()] == before
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_defect_9_unacknowledged_updates_are_always_empty(tmp_path: Path) -> None:
    """pymesos: what is said while the agent restarts is lost, and the SUBSCRIBE never holds anything."""
    got: list[str] = []
    subscribes: list[list[str]] = []

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            call = request[1]
            if call["type"] == "SUBSCRIBE":
                updates = call["subscribe"]["unacknowledged_updates"]
                subscribes.append([u["status"]["state"] for u in updates])
                talk.send(OK + HELLO)
                talk.until_closed()
                return
            got.append(call["update"]["status"]["state"])
            talk.send(ACCEPTED)

    with held_port() as port, running(port, journal=tmp_path / "j") as executor:
        with serving(script, port=port):
            executor.until_told("subscribed")
            executor.driver.update(status("t"), now())
            executor.until(lambda: got == [TaskState.RUNNING])  # and no acknowledgement
        executor.until_told("disconnected")
        executor.driver.update(status("t", TaskState.FINISHED), now())  # nobody is there: no exception, no loss
        with serving(script, port=port):
            executor.until_told("subscribed", 2)
        assert subscribes == [[], [TaskState.RUNNING, TaskState.FINISHED]]
        assert [s.state for s in executor.driver.pending] == [TaskState.RUNNING, TaskState.FINISHED]


def test_defect_10_checkpoint_0_is_no_checkpoint() -> None:
    """pymesos: bool('0')."""
    for word, wanted in (("1", True), ("0", False), ("", False), ("true", False)):
        assert ExecutorEnvironment.read(REAL | {"MESOS_CHECKPOINT": word}).checkpoint is wanted
    with held_port() as port, running(port, ExecutorOptions(first_s=0.5), checkpoint=False) as executor:
        assert "the agent is away for 0.5 s" in executor.until_told("shutdown")[0]


def test_defect_10_the_recovery_timeout_is_kept() -> None:
    """pymesos: orphaned executors for 24 h."""
    with held_port() as port, running(port, recovery_timeout_s=0.5) as executor:
        assert executor.until_told("shutdown")[0].startswith("the agent is away for 0.5 s (cannot connect")


def test_defect_10_the_subscription_back_off_is_kept() -> None:
    stage = Stage(env=environment(subscription_backoff_max_s=0.1)).start().subscribe()
    for _ in range(100):
        before = len(stage.link.subscribes)
        stage.lose()
        stage.loop.advance(0.1 * FLOOR - 0.001)
        assert len(stage.link.subscribes) == before
        stage.loop.advance(0.1 - 0.1 * FLOOR + 0.002)
        assert len(stage.link.subscribes) == before + 1


def test_defect_10_the_token_is_sent_and_erased() -> None:
    environ = dict(REAL)
    token = ExecutorEnvironment.read(environ).token
    assert token == REAL["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"]
    assert token not in environ.values()
    heads: list[str | None] = []

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            heads.append(request[0].get("authorization"))
            talk.send(OK + HELLO if request[1]["type"] == "SUBSCRIBE" else ACCEPTED)

    with serving(script) as agent, running(agent.port, token=token) as executor:
        executor.until_told("subscribed")
        executor.driver.message(b"hi")
        executor.until(lambda: len(heads) == 2)
    assert heads == [f"Bearer {token}"] * 2


def test_defect_10_the_domain_socket_is_used(tmp_path: Path) -> None:
    assert environment(domain_socket="/s").endpoint.socket_path == "/s"
    with serving(good, path=tmp_path / "s"), running(1, domain_socket=str(tmp_path / "s")) as executor:
        executor.until_told("subscribed")
