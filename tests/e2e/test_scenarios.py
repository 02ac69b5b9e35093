"""Whole stories on one host, as users tell them: a config file, `thermos run`, and what is there afterwards."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.harness import Host, Task
from tests.e2e.processes import cpu_seconds, is_alive, wait_gone

both_coordinators = pytest.mark.parametrize("host", ["c", "python"], indirect=True)


def test_quotes_of_a_command_line_arrive_as_written(host: Host) -> None:
    task = host.run(
        r'''
lines = Process(name = 'lines', cmdline = """
  echo "double 'single' inside"
  echo 'single "double" inside'
  echo 'back\\slash' '$HOME' "\\$HOME" `echo ticks` $(echo "nested $(echo deep)")
  printf '%s|' "two words" '' three; echo
  echo ${HOME:+braces} {a,b} {{&not.ours}} \
    continued   # a comment
  cat <<'END'
  here "document" $HOME
END
""")
export(Task(name = 'quotes', processes = [lines]))
'''
    )
    task.wait_end("SUCCESS")
    assert task.log("lines").splitlines() == [
        "double 'single' inside",
        'single "double" inside',
        "back\\slash $HOME $HOME ticks nested deep",
        "two words||three|",
        "braces a b {{not.ours}} continued",
        '  here "document" $HOME',
    ]
    assert task.log("lines", name="stderr") == ""


def test_a_profile_is_seen_by_later_processes_only(host: Host) -> None:
    task = host.run(
        r"""
before = Process(name = 'before', cmdline = 'echo "[$GREETING]"')
write = Process(name = 'write', cmdline = 'echo export GREETING=hello > .thermos_profile; echo "[$GREETING]"')
read = Process(name = 'read', cmdline = 'echo "[$GREETING]"')
nested = Process(name = 'nested', cmdline = '''
  bash -c "echo [\\$GREETING]"
  python3 -c "import os; print(os.environ['GREETING'])" ''')
export(SequentialTask(name = 'profile', processes = [before, write, read, nested]))
"""
    )
    task.wait_end("SUCCESS")
    assert [task.log(name) for name in ("before", "write", "read")] == ["[]\n", "[]\n", "[hello]\n"]
    assert task.log("nested") == "[hello]\nhello\n", "they inherit it from bash"


EPHEMERAL_DAEMON = r"""
daemon = Process(name = 'daemon', cmdline = 'echo up > daemon.up; exec sleep 3600', ephemeral = True, daemon = True)
main = Process(name = 'main', cmdline = 'echo $$ > main.up; until [ -e stop ]; do sleep 0.05; done')
final = Process(name = 'final', cmdline = 'rm stop; ls > listing', final = True)
export(Task(name = 'ephemeral_daemon_with_final', processes = [daemon, main, final]))
"""


@both_coordinators
def test_an_ephemeral_daemon_ends_with_the_main_and_the_final_tidies_up(host: Host) -> None:
    task = host.run(EPHEMERAL_DAEMON)
    task.wait_file("daemon.up")
    task.wait_file("main.up")
    task.file("stop").touch()
    view = task.wait_end("SUCCESS")
    assert not task.file("stop").exists()
    assert "daemon.up" in task.lines("listing")
    assert task.states("daemon") == ["KILLED"] and task.states("main") == ["SUCCESS"]
    assert task.sequence().index(("daemon", "Exited")) < task.sequence().index(("final", "Starting"))
    assert [status.state.name for status in view.history] == ["ACTIVE", "CLEANING", "FINALIZING", "SUCCESS"]


DAEMONIZING = r"""
daemonize = Process(name = 'daemonize', cmdline = '''
cat > daemon.py <<END
import os, signal, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
def leave(*_):
    os.unlink("daemon.alive")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
with open("daemon.alive", "w") as file: print(os.getpid(), file=file)
while True: signal.pause()
END
python3 daemon.py
%s
''')
export(Task(name = 'daemonizing', processes = [daemonize], finalization_wait = 20))
"""


@both_coordinators
@pytest.mark.parametrize("rest", ["sleep 3600", "exec sleep 3600"])
def test_a_process_that_daemonizes_gets_sigterm_on_kill(host: Host, rest: str) -> None:
    task = host.run(DAEMONIZING % rest)
    daemon = int(task.wait_file("daemon.alive"))
    task.wait_running("daemonize")
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")
    assert not task.file("daemon.alive").exists(), "it had no time to tidy up"
    wait_gone(daemon)
    receipt = task.runs("daemonize")[0].receipt
    assert receipt is not None
    assert daemon in [pid for pid, _ in receipt.daemons]
    assert receipt.killed_count == 0


def test_a_daemon_outlives_its_process_but_not_the_task(host: Host) -> None:
    """What it daemonised goes on serving the next process; the end of the task ends it, politely."""
    text = DAEMONIZING % "until [ -s daemon.alive ]; do sleep 0.02; done"
    config = text.replace(
        "processes = [daemonize]", "processes = [daemonize, after], constraints = order(daemonize, after)"
    )
    config = config.replace("export(", "after = Process(name = 'after', cmdline = 'read x < go')\nexport(")
    task = host.run(config, before=Task.gate)
    daemon = int(task.wait_file("daemon.alive"))
    task.wait_running("after")
    assert task.states("daemonize") == ["SUCCESS"]
    assert is_alive(daemon)
    task.let_go()
    task.wait_end("SUCCESS")
    assert not task.file("daemon.alive").exists()


CONCURRENT = r"""
def worker(n):
  return Process(name = 'w%%d' %% n, cmdline = '''
    exec 9>> marks; flock 9; echo + $$ >&9; flock -u 9
    %s
    flock 9; echo - $$ >&9''')
export(Task(name = 'workers', processes = [worker(n) for n in range(%d)], max_concurrency = %d))
"""


def highest(marks: list[str]) -> int:
    """How many ran at the same time, by the marks that they made."""
    level = peak = 0
    for mark in marks:
        level += 1 if mark[0] == "+" else -1
        peak = max(peak, level)
    return peak


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_than_max_concurrency_run_at_once(host: Host, limit: int) -> None:
    task = host.run(CONCURRENT % ("sleep 0.05", 9, limit))
    task.wait_end("SUCCESS")
    marks = task.lines("marks")
    assert len(marks) == 18
    assert highest(marks) <= limit


def test_two_really_run_at_once(host: Host) -> None:
    """Each of the two waits for the other."""
    task = host.run(
        r"""
one = Process(name = 'one', cmdline = 'echo > a; read x < b')
two = Process(name = 'two', cmdline = 'read x < a; echo > b')
three = Process(name = 'three', cmdline = 'true')
export(Task(name = 'pair', processes = [one, two, three], max_concurrency = 2))
""",
        before=lambda task: (task.gate("a"), task.gate("b")),
    )
    task.wait_end("SUCCESS")


def test_a_limit_of_one_separates_the_runs(host: Host) -> None:
    task = host.run(CONCURRENT % ("true", 6, 1))
    task.wait_end("SUCCESS")
    assert task.sequence() == [(f"w{n}", kind) for n in range(6) for kind in ("Starting", "Exited")]


def test_waiting_for_a_free_place_costs_nothing(host: Host) -> None:
    """Runnable processes that are held back by max_concurrency must not make the runner spin."""
    task = host.run(
        r"""
def worker(n):
  return Process(name = 'w%d' % n, cmdline = 'read x < go')
export(Task(name = 'held', processes = [worker(n) for n in range(20)], max_concurrency = 1))
""",
        before=Task.gate,
    )
    task.wait_running("w0")
    before = task.wait_rest([task.process.pid])
    task.wait_quiet(1.0)
    used = cpu_seconds(task.process.pid) - before
    assert used <= 0.02, f"{used} s of CPU in a second of waiting"
    task.let_go(20)
    task.wait_end("SUCCESS")
