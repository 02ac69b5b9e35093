"""`python -m mesos.local`: comes up, ends clean, and says in one line what it can't do."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesos.local.__main__ import main, read_credentials
from mesos.local.core.master import Master
from tests.mesos.conformance.target import ROOT
from tests.mesos.local.rim.live import Framework, basic, pid_in
from tests.mesos.local.rim.wire import ask, until
from tests.mesos.ports import own_port
from thermos.errors import UserError

PORT = own_port()


@contextmanager
def running(*words: str, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Started, and up; killed if the test did not end it."""
    command = [sys.executable, "-m", "mesos.local", "--port", str(PORT), *words]
    with open(out, "wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        wait(lambda: out.read_text().count("http://") >= 2, process, out)
        yield process
    finally:
        process.kill()
        process.wait()


def wait(condition: object, process: subprocess.Popen[bytes], out: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, out.read_text()
        assert time.monotonic() < deadline, out.read_text()
        time.sleep(0.02)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_comes_up_and_ends_clean_with_its_executors(tmp_path: Path, signum: signal.Signals) -> None:
    with running("--agents", "1", "--work-dir", str(tmp_path / "work"), out=tmp_path / "out") as process:

        async def launch() -> int:
            framework = Framework(PORT)
            await framework.subscribe()
            await framework.launch("t")
            pid = pid_in(await framework.status("t", "TASK_RUNNING"))
            framework.close()
            return pid

        executor = asyncio.run(launch())
        process.send_signal(signum)
        assert process.wait(60) == 0
        assert not Path(f"/proc/{executor}").exists()
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines == [f"master http://127.0.0.1:{PORT}", f"agent0 http://127.0.0.1:{PORT + 1}"]


def test_it_can_be_told_to_survive_its_terminal_but_not_to_ignore_an_interrupt(tmp_path: Path) -> None:
    """As nohup does, and as shells do to what they start in the background."""
    ignored = "import os, signal, sys; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGHUP, signal.SIGINT)]; "
    start = f"os.execv(sys.executable, [sys.executable, '-m', 'mesos.local', '--agents', '1', '--port', '{PORT}'])"
    with open(tmp_path / "out", "wb") as file:
        process = subprocess.Popen([sys.executable, "-c", ignored + start], cwd=ROOT, stdout=file, stderr=file)
    try:
        wait(lambda: (tmp_path / "out").read_text().count("http://") == 2, process, tmp_path / "out")
        process.send_signal(signal.SIGHUP)
        assert asyncio.run(ask(PORT, "GET", "/health")).status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


def test_without_a_folder_it_uses_one_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with running("--agents", "1", out=tmp_path / "out") as process:
        (folder,) = tmp_path.glob("mesos-local-*")
        assert folder.stat().st_mode & 0o777 == 0o711  # tasks of other users go through it
        process.terminate()
        assert process.wait(60) == 0
    assert list(tmp_path.glob("mesos-local-*")) == []


def test_options_and_credentials(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("# who may\nme  pw\n")
    words = ["--agents", "1", "--credentials", str(tmp_path / "credentials"), "--attributes", "zone:z{i}"]
    words += ["--master-option", "heartbeat_interval_s=3", "--agent-option", "recovery_timeout_s=60"]
    with running(*words, out=tmp_path / "out"):

        async def look() -> tuple[int, int, object]:
            body = {"type": "GET_HEALTH"}
            refused = await ask(PORT, "POST", "/api/v1", body)
            taken = await ask(PORT, "POST", "/api/v1", body, basic("me", "pw"))
            slaves = (await ask(PORT, "GET", "/slaves")).json["slaves"]
            return refused.status, taken.status, slaves[0]["attributes"]

        assert asyncio.run(look()) == (401, 200, {"zone": "z0"})


def test_texts_for_each_agent_and_a_door_for_faults(tmp_path: Path) -> None:
    words = ["--agents", "2", "--hostname", "127.0.0.11", "--hostname", "127.0.0.12", "--attributes", "rack:r{i}"]
    with running(*words, "--control", str(tmp_path / "control"), out=tmp_path / "out") as process:

        async def look() -> list[tuple[str, object]]:
            slaves = (await ask(PORT, "GET", "/slaves")).json["slaves"]
            return sorted((slave["hostname"], slave["attributes"]["rack"]) for slave in slaves)

        assert asyncio.run(look()) == [("127.0.0.11", "r0"), ("127.0.0.12", "r1")]
        assert (tmp_path / "control").is_socket()
        process.terminate()
        assert process.wait(60) == 0
        assert not (tmp_path / "control").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--agents", "many"], "argument --agents: invalid int value: 'many'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--hostname", "a", "--hostname", "b", "--agents", "3"], "no text for agent 2: there are 2\n"),
        (["--agents", "99"], "cannot run 99 agents: expected 0 to 48; simulations take more"),
        (["--masters", "3"], "cannot run several masters without a ZooKeeper: say where it is, zk://host:port/path"),
        (["--resources", "cpus"], "cannot read the resource 'cpus': write it as name:value or name(role):value"),
        (["--agent-option", "nope=1"], "no agent option 'nope=1': expected NAME=VALUE, NAME one of "),
        (
            ["--agent-option", "recovery_timeout_s=-5"],
            "cannot read recovery_timeout_s=-5: expected a number, and none ",
        ),
        (["--master-option", "heartbeat_interval_s=0"], "cannot use heartbeat_interval_s=0.0: expected more than 0 "),
        (["--master-option", "ip=127.0.0.2"], "no master option 'ip' here: the cluster has one of that name for all"),
        (["--master-option", "port=99999"], "no master option 'port' here: the cluster has one of that name for all"),
        (["--work-dir", ""], "argument --work-dir: an empty text is no folder"),
        (["--credentials", "/nowhere/at/all"], "cannot read the credentials in /nowhere/at/all: No such file or dir"),
        (["--credentials", "/"], "cannot read the credentials in /: Is a directory\n"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_2(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--work-dir", str(tmp_path), *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"mesos.local: {text}")
    assert told.err.count("\n") == 1


def test_a_taken_port_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", PORT)):
        assert main(["--work-dir", str(tmp_path), "--port", str(PORT)]) == 1
    text = f"mesos.local: cannot listen on 127.0.0.1:{PORT}: something else listens there\n"
    assert capsys.readouterr().err == text


def test_a_folder_that_can_not_be_made_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--work-dir", str(tmp_path / "file"), "--port", str(PORT)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("mesos.local: cannot make ")
    assert told.count("\n") == 1


def test_a_flood_of_connections_does_not_end_it(tmp_path: Path) -> None:
    """More than it may have descriptors: it says so, and goes on when they are gone."""
    command = f"ulimit -n 64; exec {sys.executable} -m mesos.local --port {PORT} --agents 0"
    with open(tmp_path / "out", "wb") as file:
        process = subprocess.Popen(["bash", "-c", command], cwd=ROOT, stdout=file, stderr=file)
    try:
        wait(lambda: "http://" in (tmp_path / "out").read_text(), process, tmp_path / "out")
        flood = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(100)]
        wait(lambda: "out of system resource" in (tmp_path / "out").read_text(), process, tmp_path / "out")
        for client in flood:
            client.close()

        async def is_well() -> bool:
            try:
                return (await asyncio.wait_for(ask(PORT, "GET", "/health"), 2)).status == 200
            except (OSError, TimeoutError):
                return False

        assert asyncio.run(until(is_well)) is True
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (tmp_path / "out").read_text()


def test_an_internal_error_ends_it_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Master, *_: object) -> None:
        raise ValueError("two and two are five")

    monkeypatch.setattr(Master, "from_agent", broken)
    assert main(["--work-dir", str(tmp_path), "--port", str(PORT), "--agents", "1"]) == 70
    told = capsys.readouterr().err
    assert told == "mesos.local: an internal error, please report it: ValueError: two and two are five\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [("one\n", "line 1: expected a principal and a secret"), ("# nobody\n", "there are none")],
)
def test_bad_credentials_are_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(UserError, match=problem):
        read_credentials(tmp_path / "file")


def test_what_a_killed_one_left_is_ended_at_the_next_start(tmp_path: Path) -> None:
    async def launch() -> int:
        framework = Framework(PORT)
        await framework.subscribe()
        await framework.launch("t")
        pid = pid_in(await framework.status("t", "TASK_RUNNING"))
        framework.close()
        return pid

    words = ["--agents", "1", "--work-dir", str(tmp_path / "work")]
    with running(*words, out=tmp_path / "out") as process:
        executor = asyncio.run(launch())
        process.kill()
        process.wait()
    assert Path(f"/proc/{executor}").exists()
    with running(*words, out=tmp_path / "out2") as process:
        state = Path(f"/proc/{executor}/stat")
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
        process.terminate()
        assert process.wait(60) == 0
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["agent0"]


def test_what_a_killed_one_left_can_be_swept_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def launch() -> int:
        framework = Framework(PORT)
        await framework.subscribe()
        await framework.launch("t")
        pid = pid_in(await framework.status("t", "TASK_RUNNING"))
        framework.close()
        return pid

    words = ["--agents", "1", "--work-dir", str(tmp_path / "work")]
    with running(*words, out=tmp_path / "out") as process:
        executor = asyncio.run(launch())
        assert main([*words, "--sweep"]) == 1
        assert "another embedded Mesos works in it" in capsys.readouterr().err
        process.kill()
        process.wait()
    assert main([*words, "--sweep"]) == 0
    assert capsys.readouterr().out == "ended 1 executors\n"
    state = Path(f"/proc/{executor}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
    assert main([*words, "--sweep"]) == 0
    assert capsys.readouterr().out == "ended 0 executors\n"
    assert main(["--sweep"]) == 2


def test_one_that_runs_keeps_its_folder_for_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second one, with the same folder, must not end its tasks for leftovers."""

    async def launch() -> int:
        framework = Framework(PORT)
        await framework.subscribe()
        await framework.launch("t")
        pid = pid_in(await framework.status("t", "TASK_RUNNING"))
        framework.close()
        return pid

    work = tmp_path / "work"
    with running("--agents", "1", "--work-dir", str(work), out=tmp_path / "out") as process:
        executor = asyncio.run(launch())
        for port in (PORT, PORT + 20):
            assert main(["--work-dir", str(work), "--port", str(port), "--agents", "1"]) == 1
            told = capsys.readouterr().err
            assert told == f"mesos.local: cannot use {work}: another embedded Mesos works in it\n"
        state = Path(f"/proc/{executor}/stat").read_text().rpartition(")")[2].split()[0]
        assert state not in "ZX"
        process.terminate()
        assert process.wait(60) == 0


def test_no_zookeeper_is_one_line(tmp_path: Path) -> None:
    program = (
        "import sys, mesos.local.election as e; e._START_S = 1.0; from mesos.local.__main__ import main; "
        f"sys.exit(main(['--agents', '0', '--port', '{PORT}', '--zk', 'zk://127.0.0.1:1/mesos', "
        f"'--work-dir', '{tmp_path}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "mesos.local: cannot reach ZooKeeper at 127.0.0.1:1: Connection time-out\n"


def test_a_full_stdout_is_one_line_on_stderr(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mesos.local", "--agents", "0", "--port", str(PORT), "--work-dir", str(tmp_path)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "mesos.local: cannot write to stdout: No space left on device\n")
