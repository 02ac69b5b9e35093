"""Commands that are run for their exit code: as whom, how long, how much they may say, and that nothing is left."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.thermos.coordinator.conftest import HAS_COMPILER, root_only, strays
from tests.thermos.coordinator.harness import PATIENCE, become_subreaper, read_line, stat_fields, wait_gone
from thermos.clock import Now, now
from thermos.host import program
from thermos.host.errand import KEPT, Errand, Outcome, Runner
from thermos.host.kernel import Kernel
from thermos.host.users import Identity

SOMEBODY = Identity("somebody", 54321, 54322, (54322, 54323), "/nowhere")
LONG = 60.0


@pytest.fixture(params=["c", "python"] if HAS_COMPILER else ["python"], autouse=True)
def coordinator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setenv(program.PREFER_PYTHON, "1")
    else:
        monkeypatch.delenv(program.PREFER_PYTHON, raising=False)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a tree needs longer to die."""
    monkeypatch.setattr("thermos.host.errand.KILL_PATIENCE_S", PATIENCE)


@pytest.fixture
def place() -> Iterator[Path]:
    """A sandbox that everybody may enter, with the FIFO `out`; afterwards no child is left."""
    become_subreaper()
    before = strays()
    sandbox = Path(tempfile.mkdtemp(prefix="errand-"))
    sandbox.chmod(0o755)
    os.mkfifo(sandbox / "out")
    (sandbox / "out").chmod(0o666)
    yield sandbox
    shutil.rmtree(sandbox)
    assert strays() <= before


@pytest.fixture
def out(place: Path) -> Iterator[int]:
    fd = os.open(place / "out", os.O_RDWR | os.O_NONBLOCK)
    yield fd
    os.close(fd)


def open_descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def run(place: Path, command: str, timeout_s: float = LONG, kernel: Kernel | None = None, **more: object) -> Outcome:
    errand = replace(Errand(command, place, {"PATH": "/usr/bin:/bin"}), **more)  # type: ignore[arg-type]
    runner = Runner(errand, kernel)
    try:
        return runner.run(timeout_s)
    finally:
        runner.close()


def run_overdue(place: Path, command: str, out: int, lines: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Its time has passed when it has written so many lines into `out`, however long that takes; these lines."""
    times = [now()]
    monkeypatch.setattr("thermos.host.errand.look_at_clock", lambda: times[-1])
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(place, command, 0.5)))
    thread.start()
    said = [read_line(out) for _ in range(lines)]
    times.append(Now(times[0].wall, times[0].mono + 0.5))
    thread.join(PATIENCE)
    assert [(outcome.overdue, outcome.left) for outcome in outcomes] == [(True, False)]
    return [*said, outcomes[0].output.decode()]


def test_code_and_both_outputs_in_order(place: Path) -> None:
    assert run(place, "echo one; echo two >&2; echo three; exit 7") == Outcome(code=7, output=b"one\ntwo\nthree\n")
    assert run(place, "kill -KILL $$") == Outcome(signal=9)


def test_where_and_with_what_it_runs(place: Path) -> None:
    said = run(place, "pwd; umask; cat /dev/stdin; env | cut -d= -f1 | sort; ps -o args= -p $PPID", label="t/health")
    names = ["PATH", "PWD", "SHLVL", "THERMOS_RUN", "_"]
    assert said.output.decode().splitlines()[:-1] == [str(place), "0022", *names]
    assert said.output.endswith(b" t/health\n") or said.output.endswith(b"thermos-coordinator t/health\n")


def test_our_own_marker_is_not_theirs(place: Path) -> None:
    """A runner of a task in which we are ourselves must not take what we start for its own."""
    said = run(place, "echo $THERMOS_RUN", env={"THERMOS_RUN": "ours"}).output.strip()
    assert len(said) == 16 and said != b"ours"


@root_only
def test_the_user_has_its_own_groups_only(place: Path) -> None:
    """Of root's supplementary groups nothing is left (spec 7.4, 19)."""
    before = os.getgroups()
    os.setgroups([0, 4242])
    try:
        said = run(place, "id -u; id -g; id -G; grep ^Groups /proc/self/status", identity=SOMEBODY)
    finally:
        os.setgroups(before)
    assert said.output.decode().split() == ["54321", "54322", "54322", "54323", "Groups:", "54322", "54323"]


@root_only
def test_inside_a_root(place: Path) -> None:
    """Without a program in it there is nothing to run; the step is named."""
    assert run(place, "true", root=place, cwd=Path("/")).failed == ("exec", errno.ENOENT)
    assert run(place, "pwd; ls -d /etc", root=Path("/"), cwd=place).output == f"{place}\n/etc\n".encode()


def test_a_step_that_fails_is_named(place: Path) -> None:
    assert run(place, "true", cwd=place / "missing").failed == ("cwd", errno.ENOENT)


def test_at_the_deadline_the_whole_tree_dies(place: Path, out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = "trap '' TERM; (trap '' TERM; echo $BASHPID > out; while :; do sleep 1000; done) & "
    tree += "setsid bash -c 'echo $$ > out; exec sleep 1000' & echo $$ > out; wait; wait"
    *pids, output = run_overdue(place, tree, out, 3, monkeypatch)
    assert output == ""
    wait_gone(map(int, pids))


def test_a_fork_bomb_of_daemons_dies(place: Path) -> None:
    tree = "f() { setsid bash -c 'sleep 1000 & sleep 1000' & }; for i in 1 2 3 4 5 6 7 8; do f; done; sleep 1000"
    began = time.monotonic()
    assert run(place, tree, 0.5) == Outcome(overdue=True)
    assert time.monotonic() - began >= 0.5


def test_what_it_leaves_in_the_background_dies_with_it(place: Path, out: int) -> None:
    said = run(place, "setsid bash -c 'echo $$ > out; exec sleep 1000' & sleep 1000 & read x < out; echo $x; exit 0")
    assert said.code == 0
    wait_gone([int(said.output)])


def test_a_flood_is_cut_and_ends_in_time(place: Path, out: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(place, "echo begin; head -c 3000000 /dev/zero | tr '\\0' x; echo end; exit 1")
    assert (said.code, len(said.output), said.cut) == (1, 2 * KEPT, 3000010 - 2 * KEPT)
    assert said.output.startswith(b"begin\nxxx") and said.output.endswith(b"xxxend\n")
    *_, output = run_overdue(place, "yes | { head -c 100000; echo > out; cat; }", out, 1, monkeypatch)
    assert len(output) == 2 * KEPT


def test_closed_outputs_are_no_end(place: Path) -> None:
    assert run(place, "exec >&- 2>&-; sleep 0.2; exit 5").code == 5


def test_cancelled_from_another_thread(place: Path, out: int) -> None:
    runner = Runner(Errand("echo up > out; sleep 1000", place, {"PATH": "/usr/bin:/bin"}))
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(runner.run(LONG)))
    thread.start()
    assert read_line(out) == "up"
    runner.cancel()
    thread.join(PATIENCE)
    assert outcomes == [Outcome(cancelled=True)]
    assert runner.run(LONG) == Outcome(cancelled=True)
    runner.close()
    runner.cancel()  # late, and harmless


def test_when_its_coordinator_is_killed_nothing_lives_on(place: Path, out: int) -> None:
    """Neither the main nor a daemon, which nobody but its marker connects with us."""
    command = "setsid bash -c 'echo $$ > out; exec sleep 1000' & echo $$ > out; echo $PPID > out; wait"
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(place, command)))
    thread.start()
    pids = [int(read_line(out)) for _ in range(3)]
    minder = next(pid for pid in pids if int(stat_fields(pid)[1]) == os.getpid())
    os.kill(minder, signal.SIGKILL)
    thread.join(PATIENCE)
    assert outcomes == [Outcome(failed=("coordinator", 0))]
    wait_gone(pids)


def test_when_we_are_killed_nothing_lives_on(place: Path, out: int) -> None:
    before = strays()
    script = (
        "from pathlib import Path; from thermos.host.errand import *; "
        f"Runner(Errand('setsid sleep 1000 & echo $! > out; echo $$ > out; wait', Path({str(place)!r}), "
        "{'PATH': '/usr/bin:/bin'})).run(1000)"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        pids = [int(read_line(out)) for _ in range(2)]
        process.kill()
    wait_gone(pids)
    for pid in strays() - before:  # its coordinator is ours now
        wait_gone([pid])
        os.waitpid(pid, 0)


class Deaf(Kernel):
    """What shall be killed isn't, as if it slept uninterruptibly, until `hears`."""

    hears = False
    kept: tuple[int, int] | None = None

    def pidfd_signal(self, pidfd: int, signum: int) -> None:
        if self.hears:
            super().pidfd_signal(pidfd, signum)
        else:
            self.kept = pidfd, signum


def test_beside_one_that_does_not_die_no_other_is_started(
    place: Path, out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermos.host.errand.KILL_PATIENCE_S", 0.2)
    kernel = Deaf()
    command = "[ -e once ] && exit 0; touch once; echo $$ > out; exec sleep 1000"
    runner = Runner(Errand(command, place, os.environ), kernel)
    assert runner.run(0.5) == Outcome(overdue=True, left=True)
    began = time.monotonic()
    assert runner.run(LONG) == Outcome(overdue=True, left=True)
    assert time.monotonic() - began < LONG / 2  # at once: nothing was started
    first = int(read_line(out))
    assert stat_fields(first)[0] != "Z"
    assert kernel.kept is not None
    kernel.hears = True
    kernel.pidfd_signal(*kernel.kept)
    wait_gone([first, kernel_pid(kernel.kept[0])])
    assert runner.run(LONG) == Outcome(code=0)
    runner.close()


def kernel_pid(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise AssertionError("no pidfd")


@pytest.mark.parametrize("call", ["pipe", "pidfd_open", "spawn_into_pipes"])
def test_without_descriptors_it_says_so_and_leaves_nothing(
    place: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel()
    fired = []
    real: Callable[..., object] = getattr(kernel, call)

    def fail(*args: object) -> object:
        fired.append(args)
        if call == "pipe" and len(fired) == 1:
            return real(*args)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(kernel, call, fail)
    before, others = open_descriptors(), strays()  # other tests' servers are children of ours, too
    with pytest.raises(OSError, match="Too many open files"):
        run(place, "sleep 1000", kernel=kernel)
    assert fired
    assert open_descriptors() == before
    for pid in strays() - others:  # a coordinator that could not be watched was told to end
        wait_gone([pid])
        os.waitpid(pid, 0)


def test_descriptors_and_children_do_not_pile_up(place: Path) -> None:
    runner = Runner(Errand("exit 3", place, {}))
    assert runner.run(LONG).code == 3
    before = open_descriptors()
    assert {runner.run(LONG).code for _ in range(10)} == {3}
    assert open_descriptors() == before
    runner.close()
