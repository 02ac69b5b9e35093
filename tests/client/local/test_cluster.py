"""A whole cluster on this machine, for real: it comes up, runs a job through all that is done to it, leaves nothing.

The long story is told by a user without any rights (where root runs the tests, by `nobody`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.local.home import PATIENCE_S, Home, until
from tests.client.room import alive

WEBSERVER = Path(__file__).parents[3] / "examples" / "webserver.aurora"


@pytest.fixture
def make_home() -> Iterator[Callable[..., Home]]:
    made: list[Home] = []

    def make(user: str | None = None) -> Home:
        path = Path(tempfile.mkdtemp(prefix="aurora-local-", dir="/tmp"))  # where anybody may go
        path.chmod(0o755)
        made.append(Home(path, f"t{os.getpid()}-{len(made)}", user))
        return made[-1]

    yield make
    for home in made:
        home.tidy()


def webserver(home: Home, instances: int) -> str:
    """The example, in this cluster, for a machine that is busy with tests."""
    text = WEBSERVER.read_text().replace("'rz1'", repr(home.cluster)).replace("instances=4", f"instances={instances}")
    assert home.cluster in text
    file = home.path / "webserver.aurora"
    file.write_text(text)
    file.chmod(0o644)
    return str(file)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def tasks(home: Home) -> list[dict[str, Any]]:
    """The active ones."""
    told = get(f"http://127.0.0.1:{home.ports()['scheduler']}/api/v1/tasks?active=true&configs=false")
    found: list[dict[str, Any]] = json.loads(told)["tasks"]
    return found


def part(status: Any, name: str) -> Any:
    return next(each for each in status["parts"] if each["name"] == name)


def test_a_user_without_rights_has_a_cluster_and_plays_with_it(make_home: Callable[..., Home]) -> None:
    home = make_home("nobody" if os.geteuid() == 0 else None)
    key = f"{home.cluster}/www/test/webserver"

    done = home.up("--agents", "2", "-o", "json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert (told["cluster"], told["started"]) == (home.cluster, True)
    status = home.status()
    assert status["up"] is True
    assert [(agent["host"], agent["state"]) for agent in status["agents"]] == [
        ("127.0.0.11", "up"),
        ("127.0.0.12", "up"),
    ]
    again = home.up("--agents", "2")
    assert (again.code, again.out.splitlines()[0]) == (0, f"cluster {home.cluster} is up already")

    created = home.aurora("job", "create", key, webserver(home, 2), "--wait-until", "RUNNING")
    assert created.code == 0, created.err
    before = {task["assignedTask"]["taskId"]: task["assignedTask"] for task in tasks(home)}
    assert {task["slaveHost"] for task in before.values()} == {"127.0.0.11", "127.0.0.12"}  # limit:1
    for task_id, task in before.items():
        address = f"http://{task['slaveHost']}:{task['assignedPorts']['http']}/"
        until(lambda address=address: answers(address), f"answer at {address}")
        assert task_id in get(f"http://{task['slaveHost']}:{home.ports()['observer']}/task/{task_id}")

    servers = [pid for pid in home.pids() if b"http.server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(servers) == 2
    old = part(status, "scheduler")["pid"]
    done = home.local("chaos kill-scheduler")
    assert (done.code, done.out.splitlines()[0]) == (0, f"killed the scheduler (pid {old})")
    status = until(lambda: (now := home.status())["up"] and now, "scheduler")
    assert part(status, "scheduler")["pid"] != old
    assert part(status, "scheduler")["restarts"] == 1
    assert {task["assignedTask"]["taskId"]: task["status"] for task in tasks(home)} == dict.fromkeys(before, "RUNNING")
    assert all(alive(pid) for pid in servers)

    assert home.local("chaos kill-agent", "0").code == 0
    assert home.local("status").code == 4
    assert home.local("chaos kill-agent", "0").code == 4
    assert home.local("chaos start-agent", "127.0.0.11").code == 0
    assert home.local("chaos kill-executor", f"{key}/0").code == 0
    assert home.local("chaos kill-task", f"{key}/1").code == 0
    until(lambda: not any(map(alive, servers)), "end of both servers")
    seen = home.local("chaos monkey", "--for", "1s", "--every", "300ms", "--seed", "5")
    assert seen.code == 0, seen.err
    assert seen.out.startswith("seed 5: ")
    until(lambda: home.status()["up"], "cluster after the monkey")

    done = home.local("down")
    assert (done.code, done.out) == (0, f"cluster {home.cluster} is down\n")
    home.check_nothing_left()
    assert not any(map(alive, servers))


def answers(address: str) -> bool:
    try:
        return "Directory listing" in get(address)
    except OSError:
        return False


def test_what_kill_9_has_left_comes_back_with_its_jobs_or_goes(make_home: Callable[..., Home]) -> None:
    home = make_home()
    home.work_dir = home.path / "/".join(["a long way"] * 12)  # no socket's name may be so long
    where = ("--agents", "1", "--work-dir", str(home.work_dir))
    assert home.up(*where).code == 0
    key = f"{home.cluster}/www/test/webserver"
    assert home.aurora("job", "create", key, webserver(home, 1), "--wait-until", "RUNNING").code == 0
    (task,) = tasks(home)
    kill_everything(home)
    status = home.status()
    assert (status["up"], status["minded"]) == (False, False)
    assert [each["pid"] for each in status["parts"]] == [None, None, None]
    left = home.pids()
    assert left != []

    done = home.up("--agents", "1")  # where it was
    assert done.code == 0, done.err
    assert "with the jobs that it had before" in done.err
    assert not any(map(alive, left))
    (other,) = until(
        lambda: [t for t in tasks(home) if t["status"] == "RUNNING" and is_new(t, task)], "task of a new life"
    )
    assert other["assignedTask"]["instanceId"] == 0

    kill_everything(home)
    assert home.local("down").code == 0
    home.check_nothing_left()
    assert home.local("down").out == f"cluster {home.cluster} is not up\n"


def is_new(task: Any, before: Any) -> bool:
    return bool(task["assignedTask"]["taskId"] != before["assignedTask"]["taskId"])


def kill_everything(home: Home) -> None:
    """Keeper, runner, coordinators, and what they mind: as when the kernel runs out of memory. Not the tasks."""
    ours = [part["pid"] for part in home.status()["parts"]]
    ours += [pid for pid in all_pids() if f"aurora-local-{home.cluster}".encode() in command_line(pid)]
    for signum in (signal.SIGSTOP, signal.SIGKILL):  # at a stroke: who sees another one die would start it anew
        for pid in ours:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                pass  # it died with its coordinator
    until(lambda: not any(map(alive, ours)), "end of all")


def all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) != os.getpid()]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_interrupted_while_it_starts_it_takes_all_of_it_back(make_home: Callable[..., Home]) -> None:
    home = make_home()
    with home.start(*home.up_words, "--agents", "1") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"aurora: starting cluster {home.cluster}: 1 agent, in ")
        process.send_signal(signal.SIGSTOP)  # it is not up before we have looked
        busy = home.local("down")
        assert (busy.code, busy.err) == (
            4, "aurora: another `aurora local up` or `down` is at work; wait for its end\n",
        )  # fmt: skip
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr.read().endswith("aurora: interrupted\n")
    home.check_nothing_left()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_ended_when_only_its_keeper_has_begun_nothing_is_left(
    make_home: Callable[..., Home], signum: signal.Signals
) -> None:
    home = make_home()
    with home.start(*home.up_words, "--agents", "1") as process:
        until(lambda: [path for path in home.root.glob("checkpoints/*/keeper") if path.stat().st_size], "keeper")
        process.send_signal(signum)
        process.communicate(timeout=PATIENCE_S)
    if signum is signal.SIGKILL:
        assert home.local("down").code == 0
    home.check_nothing_left()


def test_a_part_that_does_not_come_up_is_told_with_its_own_words(make_home: Callable[..., Home]) -> None:
    home = make_home()
    home.work_dir.mkdir(parents=True)
    (home.work_dir / "scheduler").write_text("no store")
    done = home.up("--agents", "1")
    assert done.code == 4
    assert f"cannot start cluster {home.cluster}: the scheduler ends again and again" in done.err
    assert "aurora_scheduler: cannot " in done.err
    assert f"(more in {home.work_dir}/.logs/scheduler)" in done.err
    assert list((home.work_dir / ".logs" / "scheduler").iterdir()) != []
    assert home.pids() == []
    assert not home.plan_file.exists()


def test_a_port_that_is_taken_is_said_before_anything_is_started(make_home: Callable[..., Home]) -> None:
    home = make_home()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = home.up("--scheduler-port", str(port))
    assert done.code == 4
    assert done.err.startswith(f"aurora: cannot start the scheduler at 127.0.0.1:{port}: ")
    assert f"(pid {os.getpid()}, " in done.err
    assert done.err.count("\n") == 1
    home.check_nothing_left()
