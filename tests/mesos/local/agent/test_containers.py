"""Containers with real child processes: sandboxes, ends, kills, leftovers, users."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mesos.core.messages import (
    CommandInfo,
    CommandURI,
    ContainerID,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
)
from mesos.local import process_tree
from mesos.local.containers import Containers, Record, account_of, boot_id
from mesos.local.core.protocol import StartContainer
from tests.mesos.local.agent.silent import SilentServer
from thermos.errors import UserError
from thermos.monitor.detect import mesos_roots

PATH = "/usr/local/bin:/usr/bin:/bin"


class Told:
    """A report that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, object]] = []
        self.changed = asyncio.Event()

    def container_started(self, container_id: ContainerID, pid: int) -> None:
        self._add("started", container_id, pid)

    def container_failed(self, container_id: ContainerID, text: str) -> None:
        self._add("failed", container_id, text)

    def container_exited(self, container_id: ContainerID, wait_status: int) -> None:
        self._add("exited", container_id, wait_status)

    def _add(self, what: str, container_id: ContainerID, value: object) -> None:
        self.events.append((what, container_id.value, value))
        self.changed.set()

    async def wait(self, what: str, name: str = "c1", seconds: float = 20) -> Any:
        async with asyncio.timeout(seconds):
            while True:
                for event in self.events:
                    if event[:2] == (what, name):
                        return event[2]
                self.changed.clear()
                await self.changed.wait()


def order(
    work: Path, command: str, name: str = "c1", uris: tuple[CommandURI, ...] = (), user: str = "", **more: Any
) -> StartContainer:
    framework = FrameworkInfo(user="x", name="x", id=FrameworkID(value="f"))
    executor = ExecutorInfo(executor_id=ExecutorID(value="e"), command=CommandInfo(value=command, uris=uris, **more))
    return StartContainer(
        container_id=ContainerID(value=name),
        executor=executor,
        framework=framework,
        directory=str(work / "slaves/s/frameworks/f/executors/e/runs" / name),
        environment={"PATH": PATH, "FOO": "bar"},
        user=user,
    )


Scenario = Callable[[Containers, Told], Coroutine[Any, Any, None]]


def play(work: Path, scenario: Scenario) -> Told:
    async def main() -> Told:
        told = Told()
        containers = Containers(work, told)
        try:
            async with asyncio.timeout(60):
                await scenario(containers, told)
        finally:
            await containers.close()
        assert containers.alive == ()
        return told

    return asyncio.run(main())


def wait_for(test: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)


async def appears(path: Path, seconds: float = 20) -> str:
    async with asyncio.timeout(seconds):
        while not path.exists() or not path.read_text():
            await asyncio.sleep(0.02)
    return path.read_text()


def is_alive(pid: int) -> bool:
    process = process_tree.look_at(pid)
    return process is not None and process.state not in "ZX"


def test_sandbox_output_and_exit_status(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        start = order(tmp_path, 'echo "$FOO $PWD"; echo oops >&2; exit 3')
        containers.start(start)
        assert await told.wait("exited") == 3 * 256
        sandbox = Path(start.directory)
        assert (sandbox / "stdout").read_text() == f"bar {sandbox}\n"
        assert (sandbox / "stderr").read_text() == "oops\n"
        assert sandbox.stat().st_mode & 0o777 == 0o750
        assert (sandbox.parent / "latest").resolve() == sandbox

    told = play(tmp_path, scenario)
    assert [event[0] for event in told.events] == ["started", "exited"]
    assert list((tmp_path / "meta" / "containers").iterdir()) == []


def test_the_observer_finds_the_sandbox(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "mkdir checkpoints"))
        await told.wait("exited")

    play(tmp_path, scenario)
    assert mesos_roots(tmp_path) == [tmp_path / "slaves/s/frameworks/f/executors/e/runs/c1/checkpoints"]


def test_statuses_are_wait_statuses(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "kill -TERM $$", "c1"))
        containers.start(order(tmp_path, "exit 0", "c2"))
        containers.start(order(tmp_path, "/does/not/exist", "c3", shell=False))
        assert os.WTERMSIG(await told.wait("exited", "c1")) == signal.SIGTERM
        assert await told.wait("exited", "c2") == 0
        assert await told.wait("exited", "c3") == 256

    play(tmp_path, scenario)
    stderr = tmp_path / "slaves/s/frameworks/f/executors/e/runs/c3/stderr"
    assert stderr.read_text() == "Failed to execute '/does/not/exist': No such file or directory\n"


@pytest.mark.parametrize(
    ("command", "environment", "why"),
    [
        ("echo a\0b", {}, "embedded null byte"),
        ("true", {"A": "x\0y"}, "embedded null byte"),
        ("true", {"A=B": "x"}, "illegal environment variable name"),
        ("x" * 3_000_000, {}, "Argument list too long"),
    ],
    ids=["command", "variable", "name", "long"],
)
def test_what_the_system_can_not_start_has_ended_and_says_why(
    tmp_path: Path, command: str, environment: dict[str, str], why: str
) -> None:
    start = msgspec.structs.replace(order(tmp_path, command), environment={"PATH": PATH, **environment})

    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(start)
        assert await told.wait("exited") == 256

    play(tmp_path, scenario)
    assert (Path(start.directory) / "stderr").read_text() == f"Failed to execute 'sh': {why}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tasks as somebody else")
def test_a_name_that_no_user_can_have_is_no_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such user"):
        account_of("a\0b")


def test_arguments_without_a_shell(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "echo", shell=False, arguments=("echo", "a b", "$FOO")))
        await told.wait("exited")

    play(tmp_path, scenario)
    assert (tmp_path / "slaves/s/frameworks/f/executors/e/runs/c1/stdout").read_text() == "a b $FOO\n"


def test_a_kill_takes_all_that_belongs_to_it(tmp_path: Path) -> None:
    """Also what has a session of its own, as long as its parents live; what ignores SIGTERM, what was stopped."""
    pids: list[int] = []

    async def scenario(containers: Containers, told: Told) -> None:
        command = (
            "trap '' TERM; setsid sh -c 'echo $$ >a; sleep 1000' & "
            "sh -c 'echo $$ >b; kill -STOP $$' & sh -c 'echo $$ >c; sleep 1000' & wait; sleep 1000"
        )
        containers.start(order(tmp_path, command))
        pids.append(await told.wait("started"))
        sandbox = tmp_path / "slaves/s/frameworks/f/executors/e/runs/c1"
        for name in "abc":
            pids.append(int(await appears(sandbox / name)))
        assert all(is_alive(pid) for pid in pids)
        containers.kill(ContainerID(value="c1"))
        assert await told.wait("exited") == signal.SIGKILL
        assert not any(is_alive(pid) for pid in pids)

    play(tmp_path, scenario)
    assert len(pids) == 4


def test_what_the_first_process_leaves_in_its_session_ends_with_it(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "sleep 1000 & echo $! >pid; exit 0"))
        assert await told.wait("exited") == 0
        pid = int((tmp_path / "slaves/s/frameworks/f/executors/e/runs/c1/pid").read_text())
        assert not is_alive(pid)

    play(tmp_path, scenario)


def test_killed_before_it_began(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "sleep 1000"))
        containers.kill(ContainerID(value="c1"))
        assert await told.wait("exited") == signal.SIGKILL
        containers.kill(ContainerID(value="nobody"))
        assert await told.wait("exited", "nobody") == signal.SIGKILL

    told = play(tmp_path, scenario)
    assert [event[0] for event in told.events] == ["exited", "exited"]


def test_killed_while_it_fetches(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        async with SilentServer() as server:
            uri = CommandURI(value=f"http://127.0.0.1:{server.port}/x")
            containers.start(order(tmp_path, "sleep 1000", uris=(uri,)))
            await server.asked.wait()
            containers.kill(ContainerID(value="c1"))
            assert await told.wait("exited") == signal.SIGKILL
            await containers.close()

    told = play(tmp_path, scenario)
    assert [event[0] for event in told.events] == ["exited"]


def test_leftovers_of_an_earlier_life_are_killed(tmp_path: Path) -> None:
    """The first life is a process that is itself killed."""
    child = os.fork()
    if child == 0:
        try:

            async def first() -> None:
                told = Told()
                containers = Containers(tmp_path, told)
                containers.start(order(tmp_path, "sleep 1000 & echo $! >pid; wait"))
                await told.wait("started")
                await asyncio.sleep(1000)

            asyncio.run(first())
        finally:
            os._exit(1)
    pid_file = tmp_path / "slaves/s/frameworks/f/executors/e/runs/c1/pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
    wait_for(lambda: list((tmp_path / "meta" / "containers").glob("c1")))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pid = int(pid_file.read_text())
    assert is_alive(pid)
    (tmp_path / "meta" / "containers" / "damaged").write_bytes(b"{")
    counts: list[int] = []

    async def scenario(containers: Containers, told: Told) -> None:
        counts.append(await containers.kill_leftovers())
        counts.append(await containers.kill_leftovers())

    play(tmp_path, scenario)
    assert counts == [1, 0]
    wait_for(lambda: not is_alive(pid))


@pytest.fixture
def stranger() -> Iterator[process_tree.Process]:
    """A process that has the id of a container's first process by now."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        found = process_tree.look_at(process.pid)
        assert found is not None
        yield found
        process.kill()


@pytest.mark.parametrize("what", ["start", "boot"])
def test_a_process_that_only_has_the_id_of_a_leftover_lives_on(
    tmp_path: Path, stranger: process_tree.Process, what: str
) -> None:
    ticks = stranger.start_ticks - 1 if what == "start" else stranger.start_ticks
    record = Record(stranger.pid, ticks, "another" if what == "boot" else boot_id())
    records = tmp_path / "meta" / "containers"
    records.mkdir(parents=True)
    (records / "c1").write_bytes(msgspec.json.encode(record))
    counts: list[int] = []

    async def scenario(containers: Containers, told: Told) -> None:
        counts.append(await containers.kill_leftovers())

    play(tmp_path, scenario)
    assert counts == [0]
    assert is_alive(stranger.pid)
    assert list(records.iterdir()) == []


def test_a_process_that_has_the_id_of_one_that_was_seen_is_not_killed(
    stranger: process_tree.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda fd, signum: sent.append(signum))
    process_tree.kill(stranger._replace(start_ticks=stranger.start_ticks - 1))
    assert sent == []
    process_tree.kill(stranger)
    assert sent == [signal.SIGKILL]


def test_a_session_whose_first_process_is_gone_is_a_leftover_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = f"sleep 1000 & echo $! >{pid_file}"
    leader = subprocess.Popen(["sh", "-c", command], start_new_session=True)
    leader.wait()
    pid = int(pid_file.read_text())
    assert is_alive(pid)
    records = tmp_path / "meta" / "containers"
    records.mkdir(parents=True)
    (records / "c1").write_bytes(msgspec.json.encode(Record(leader.pid, 1, boot_id())))
    counts: list[int] = []

    async def scenario(containers: Containers, told: Told) -> None:
        counts.append(await containers.kill_leftovers())

    play(tmp_path, scenario)
    assert counts == [1]
    wait_for(lambda: not is_alive(pid))


def test_a_sandbox_outside_of_the_work_directory_is_refused(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        start = order(tmp_path / "elsewhere", "true")
        containers.start(start)
        assert "not below" in await told.wait("failed")

    work = tmp_path / "work"
    play(work, scenario)


def test_usage_is_counted(tmp_path: Path) -> None:
    async def scenario(containers: Containers, told: Told) -> None:
        assert await containers.usage() == {}
        containers.start(order(tmp_path, "sleep 1000 & wait"))
        pid = await told.wait("started")
        assert containers.pid_of("c1") == pid
        while (await containers.usage())["c1"].rss_bytes < 100_000:  # it has just begun
            await asyncio.sleep(0.02)

    play(tmp_path, scenario)


def test_an_unknown_user_is_told(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        assert account_of("nobody-like-this").uid is None
        return

    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "true", user="nobody-like-this"))
        assert "nobody-like-this" in await told.wait("failed")

    play(tmp_path, scenario)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_root_starts_as_the_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o011)
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)

    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "id -u; id -G; cat ../../../../../../../../secret", user="nobody"))
        assert os.WEXITSTATUS(await told.wait("exited")) == 1
        uris = (CommandURI(value=str(secret)),)  # the fetcher reads with the user's eyes
        containers.start(order(tmp_path, "true", "c2", uris=uris, user="nobody"))
        assert "Failed to fetch" in await told.wait("failed", "c2")

    play(tmp_path, scenario)
    uid = pwd.getpwnam("nobody").pw_uid
    sandbox = tmp_path / "slaves/s/frameworks/f/executors/e/runs/c1"
    assert (sandbox / "stdout").read_text().splitlines()[0] == str(uid)
    assert sandbox.stat().st_uid == (sandbox / "stdout").stat().st_uid == uid
    assert "Permission denied" in (sandbox / "stderr").read_text()


def test_an_end_that_somebody_else_has_waited_for(tmp_path: Path) -> None:
    """A library in the same process that reaps orphans may be quicker: the container has ended all the same."""

    async def scenario(containers: Containers, told: Told) -> None:
        containers.start(order(tmp_path, "exit 3"))
        pid = await told.wait("started")
        os.waitid(os.P_PID, pid, os.WEXITED)
        assert await told.wait("exited") == signal.SIGKILL  # how it ended is lost

    play(tmp_path, scenario)
