"""Shell health checks with real commands: what they say, as whom they run, and that nothing of them lives on."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.core.health_policy import HealthLimits, Verdict
from executor.health import HealthChecker
from executor.probes import OUTPUT_SHOWN, TIMED_OUT, ProbeContext, ShellProbe, check_environment
from executor.workers import Workers
from tests.thermos.coordinator.conftest import root_only, strays
from tests.thermos.coordinator.harness import become_subreaper, is_alive, read_line, wait_gone
from thermos.clock import Now
from thermos.clock import now as look_at_clock
from thermos.host.loop import PlainLoop
from thermos.host.users import Identity, resolve_user

USERS = ("nobody", "daemon")
PATH = "/usr/local/bin:/usr/bin:/bin"


@pytest.fixture
def sandbox() -> Iterator[Path]:
    """Everybody may write there. Afterwards nothing that was started is left."""
    become_subreaper()
    before = strays()
    path = Path(tempfile.mkdtemp(prefix="sandbox-"))
    path.chmod(0o777)
    os.mkfifo(path / "out")
    (path / "out").chmod(0o666)
    yield path
    shutil.rmtree(path)
    assert strays() <= before


@pytest.fixture
def out(sandbox: Path) -> Iterator[int]:
    fd = os.open(sandbox / "out", os.O_RDWR | os.O_NONBLOCK)
    yield fd
    os.close(fd)


def check(sandbox: Path, command: str, timeout_s: float = 30.0, identity: Identity | None = None) -> str | None:
    env = check_environment({"PATH": PATH}, identity, sandbox)
    probe = ShellProbe(command, timeout_s, ProbeContext(sandbox, env, identity))
    try:
        return probe()
    finally:
        probe.close()


# --- what is said (item 115)


def test_a_success_says_nothing(sandbox: Path) -> None:
    assert check(sandbox, "echo all is well; exit 0") is None


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("exit 3", "Command 'exit 3' returned non-zero exit status 3 with output ''"),
        ("echo no; false", "Command 'echo no; false' returned non-zero exit status 1 with output 'no'"),
        (
            "echo out; echo err >&2; exit 2",
            "Command 'echo out; echo err >&2; exit 2' returned non-zero exit status 2 with output 'out\\nerr'",
        ),
        ("kill -9 $$", "Command 'kill -9 $$' returned non-zero exit status -9 (SIGKILL) with output ''"),
        ("exec true\nfalse", None),
        ("no\0command", "Invalid commmand."),
    ],
)  # fmt: skip
def test_reasons(sandbox: Path, command: str, reason: str | None) -> None:
    assert check(sandbox, command) == reason


def test_what_would_spoil_a_line_is_written_out(sandbox: Path) -> None:
    said = check(sandbox, "printf 'a\\033[1mb\\0\\377'; false")
    assert said is not None and said.endswith("status 1 with output 'a\\x1b[1mb\\x00\N{REPLACEMENT CHARACTER}'")


def test_a_missing_program_in_the_command(sandbox: Path) -> None:
    said = check(sandbox, "no-such-probe --now")
    assert (
        said is not None and "returned non-zero exit status 127" in said and "no-such-probe: command not found" in said
    )


@root_only
def test_without_bash(sandbox: Path) -> None:
    """An image may lack it."""
    probe = ShellProbe("true", 5.0, ProbeContext(Path("/"), {}, root=sandbox))
    assert probe() == "OSError: No such file or directory"
    probe.close()


def test_a_sandbox_that_has_gone(sandbox: Path) -> None:
    assert check(sandbox / "gone", "true") == "OSError: No such file or directory (cwd)"


def test_long_outputs_and_commands_are_told_in_part(sandbox: Path) -> None:
    command = f"echo begin; yes | head -c 100000; echo end; exit 1 # {'x' * 5000}"
    said = check(sandbox, command)
    assert said is not None
    assert len(said) < OUTPUT_SHOWN * 2 + 500  # a line break is shown as two characters
    assert said.startswith("Command 'echo begin;") and "output 'begin\\ny\\n" in said and said.endswith("\\nend'")


# --- what it runs in (item 116)


@root_only
@pytest.mark.parametrize("name", USERS)
def test_as_the_tasks_user_in_its_sandbox(sandbox: Path, name: str) -> None:
    user = resolve_user(name)
    script = "set -e; [ $(id -un) = {0} ]; [ $USER = {0} ]; [ $LOGNAME = {0} ]; [ $HOME = $PWD ]; touch mine; exit 9"
    said = check(sandbox, script.format(name), identity=user)
    assert said is not None and "exit status 9" in said
    assert (sandbox / "mine").stat().st_uid == user.uid


@root_only
def test_defect_19_no_supplementary_group_of_root_is_left(sandbox: Path) -> None:
    """Only the user's own groups count (spec 7.4)."""
    before = os.getgroups()
    os.setgroups([0, 4, 4242])
    try:
        plain = resolve_user("daemon")
        said = check(sandbox, "id -G; exit 1", identity=plain)
        more = Identity("daemon", plain.uid, plain.gid, (plain.gid, 4343), plain.home)
        said_more = check(sandbox, "id -G; exit 1", identity=more)
    finally:
        os.setgroups(before)
    assert said is not None and said.endswith(f"output '{plain.gid}'")
    assert said_more is not None and said_more.endswith(f"output '{plain.gid} 4343'")


@root_only
def test_it_cannot_read_what_is_roots(sandbox: Path) -> None:
    secret = sandbox / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    said = check(sandbox, "cat secret", identity=resolve_user("nobody"))
    assert said is not None and "Permission denied" in said


def test_without_demotion_it_runs_as_we_do(sandbox: Path) -> None:
    """--nosetuid-health-checks."""
    assert check(sandbox, f"[ $(id -u) = {os.geteuid()} ]") is None


def test_its_environment_is_the_executors_without_secrets() -> None:
    environ = {
        "MESOS_SANDBOX": "/s",
        "PATH": "/p",
        "HOME": "/root",
        "USER": "root",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "secret",
        "BASH_ENV": "/evil",
    }
    nobody = Identity("nobody", 65534, 65534, (), "/nonexistent")
    assert check_environment(environ, nobody, Path("/s/sandbox")) == {
        "MESOS_SANDBOX": "/s",
        "PATH": "/p",
        "HOME": "/s/sandbox",
        "USER": "nobody",
        "LOGNAME": "nobody",
    }
    assert check_environment({"HOME": "/x"}, None, Path("/s"))["HOME"] == "/x"
    assert check_environment({}, None, Path("/s"))["PATH"]


# --- commands that don't end, don't stop, don't leave


HANGING = (
    "trap '' TERM INT HUP; echo $$ > out; (trap '' TERM; echo $BASHPID > out; sleep 1000) & "
    "setsid bash -c 'echo $$ > out; exec sleep 1000' & wait; wait"
)


@pytest.mark.parametrize("name", [None, *(pytest.param(name, marks=root_only) for name in USERS)])
def test_at_the_time_out_the_whole_tree_is_killed(sandbox: Path, out: int, name: str | None) -> None:
    """The original killed bash alone."""
    identity = resolve_user(name) if name is not None else None
    for timeout_s in PATIENCES:
        began = time.monotonic()
        assert check(sandbox, HANGING, timeout_s, identity) == TIMED_OUT
        assert timeout_s <= time.monotonic() - began < timeout_s + 10
        pids = said_by_now(out)
        wait_gone(pids)
        if len(pids) == 3:
            return
    raise AssertionError("it never got as far as it should")


#: Times for a command that hangs after it has done something. On a busy machine some are over before it has.
PATIENCES = (0.5, 2.0, 8.0, 30.0)


def said_by_now(out: int) -> list[int]:
    """Pids that commands wrote, all of which have ended."""
    try:
        return [int(line) for line in os.read(out, 4096).split()]
    except BlockingIOError:
        return []


def test_a_command_that_forks_and_forks(sandbox: Path) -> None:
    """Three that live for a few milliseconds each and leave a daemon in their place: no list of them is ever true."""
    hop = "hop() { touch hopped; (setsid bash -c hop &) ; }; export -f hop; hop; hop; hop; sleep 1000"
    for timeout_s in PATIENCES:
        assert check(sandbox, hop, timeout_s) == TIMED_OUT
        if (sandbox / "hopped").exists():
            return
    raise AssertionError("it never hopped")


def test_a_flood_neither_fills_memory_nor_blocks(sandbox: Path) -> None:
    assert check(sandbox, "yes", 0.3) == TIMED_OUT
    assert check(sandbox, "yes | head -c 20000000; exit 0", 30.0) is None


def test_a_background_child_that_holds_the_output(sandbox: Path, out: int) -> None:
    """The check is over when its command is, and takes what it left along."""
    began = time.monotonic()
    assert check(sandbox, "setsid bash -c 'echo $$ > out; exec sleep 1000' & read x < out; echo $x > out") is None
    assert time.monotonic() - began < 10
    wait_gone([int(read_line(out))])


def test_called_off(sandbox: Path, out: int) -> None:
    probe = ShellProbe("echo $$ > out; sleep 1000", 60.0, ProbeContext(sandbox, {"PATH": PATH}))
    reasons: list[str | None] = []
    thread = threading.Thread(target=lambda: reasons.append(probe()))
    thread.start()
    pid = int(read_line(out))
    probe.cancel()
    thread.join(30)
    assert reasons == ["Health check was called off."]
    wait_gone([pid])
    probe.close()


# --- with the driver, on a real loop


def test_a_hanging_command_leads_to_unhealthy_and_leaves_nothing(sandbox: Path, out: int) -> None:
    loop = PlainLoop(look_at_clock)
    said: list[tuple[Verdict, str]] = []

    def report(verdict: Verdict, text: str, now: Now) -> None:
        said.append((verdict, text))
        if verdict is Verdict.RUNNING:
            probe.timeout_s = 0.5  # from now on it hangs
        else:
            loop.stop()

    command = "echo $$ > out; [ -e first ] && sleep 1000; touch first"
    probe = ShellProbe(command, 30.0, ProbeContext(sandbox, {"PATH": PATH}))
    limits = HealthLimits(initial_interval_s=0, interval_s=0.1, max_failures=1)
    snooze = sandbox / ".healthchecksnooze"
    checker = HealthChecker(limits, probe, loop, Workers(loop), report, snooze=snooze)
    checker.start(look_at_clock())
    loop.run()
    assert said == [
        (Verdict.RUNNING, "Task is healthy."),
        (Verdict.UNHEALTHY, f"Failed health check! {TIMED_OUT}"),
    ]
    state = checker.state()
    assert (state["totals"]["checks"], state["totals"]["failed"], state["totals"]["timed_out"]) == (3, 2, 2)
    assert state["totals"]["latency_s"] >= 2 * 0.5
    pids = said_by_now(out)
    assert 1 <= len(pids) <= 3  # those that hang may have been killed before they said it
    wait_gone(pids)
    probe.close()
    loop.close()


def test_stop_ends_the_command_at_once(sandbox: Path, out: int) -> None:
    loop = PlainLoop(look_at_clock)
    workers = Workers(loop, size=1)
    probe = ShellProbe("echo $$ > out; sleep 1000", 600.0, ProbeContext(sandbox, {"PATH": PATH}))
    checker = HealthChecker(HealthLimits(), probe, loop, workers, lambda *said: None, snooze=sandbox / "none")
    checker.start(look_at_clock())
    pid = int(read_line(out))
    assert is_alive(pid)
    checker.stop(look_at_clock())
    wait_gone([pid])
    workers.submit(lambda: None, lambda outcome, now: loop.stop())  # after the check: there is one thread
    loop.run()
    loop.close()
