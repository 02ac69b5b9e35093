"""How runs and tasks end: stop, deadline, finalizers, lost coordinators, lost runners (spec §6.2, 64-72)."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.harness import Host, Task
from tests.e2e.processes import cpu_seconds, is_alive, kill_verified, wait_gone
from thermos.core.records import Forked

both_coordinators = pytest.mark.parametrize("host", ["c", "python"], indirect=True)

IGNORES = 'trap "" TERM; echo $$ > {{name}}.up; while :; do sleep 0.1; done'


@both_coordinators
def test_whoever_ignores_sigterm_is_killed_at_the_deadline(host: Host) -> None:
    task = host.run(
        rf"""
p = Process(name = 'p', cmdline = '{IGNORES}')
export(Task(name = 'stubborn', processes = [p], finalization_wait = 1))
"""
    )
    main = int(task.wait_file("p.up"))
    task.signal(signal.SIGTERM)
    view = task.wait_end("KILLED")
    run = task.runs("p")[0]
    assert run.signal == 9 and run.receipt is not None
    assert main in [pid for pid, _ in run.receipt.killed] and run.receipt.killed_count >= 1
    took = view.history[-1].mono - view.history[1].mono
    assert 0.95 <= took < 20, f"{took} s for a budget of 1 s"


def test_a_second_request_does_not_move_the_deadline(host: Host) -> None:
    task = host.run(
        rf"""
p = Process(name = 'p', cmdline = '{IGNORES}')
export(Task(name = 'again', processes = [p], finalization_wait = 1))
"""
    )
    task.wait_file("p.up")
    for _ in range(3):
        task.signal(signal.SIGUSR1)
    view = task.wait_end("KILLED")
    assert view.history[-1].mono - view.history[1].mono < 20
    assert [status.state.name for status in view.history] == ["ACTIVE", "CLEANING", "KILLED"]


def test_interrupting_twice_ends_it_now(host: Host) -> None:
    task = host.run(
        rf"""
p = Process(name = 'p', cmdline = '{IGNORES}')
final = Process(name = 'final', cmdline = 'touch final.ran', final = True)
export(Task(name = 'now', processes = [p, final], finalization_wait = 60))
"""
    )
    task.wait_file("p.up")
    task.signal(signal.SIGINT)
    task.wait(lambda: task.view().request, "request to end")
    task.signal(signal.SIGINT)
    task.wait_end("KILLED")
    assert task.process.returncode == 130
    assert not task.file("final.ran").exists()


def test_losing_a_task_kills_and_skips_finals(host: Host) -> None:
    task = host.run(
        rf"""
p = Process(name = 'p', cmdline = '{IGNORES}')
final = Process(name = 'final', cmdline = 'touch final.ran', final = True)
export(Task(name = 'lose', processes = [p, final], finalization_wait = 60))
"""
    )
    task.wait_file("p.up")
    task.signal(signal.SIGUSR2)
    task.wait_end("LOST")
    assert task.process.returncode == 5
    assert not task.file("final.ran").exists()


def test_finals_run_after_a_kill_too(host: Host) -> None:
    task = host.run(
        rf"""
p = Process(name = 'p', cmdline = '{IGNORES}')
final = Process(name = 'final', cmdline = 'echo done > final.ran', final = True)
export(Task(name = 'kill', processes = [p, final], finalization_wait = 8))
"""
    )
    task.wait_file("p.up")
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")
    assert task.lines("final.ran") == ["done"]
    assert task.states("final") == ["SUCCESS"]


def test_a_final_that_overruns_is_killed_and_the_result_stays(host: Host) -> None:
    task = host.run(
        rf"""
main = Process(name = 'main', cmdline = 'true')
final = Process(name = 'final', cmdline = '{IGNORES}', final = True)
export(Task(name = 'overrun', processes = [main, final], finalization_wait = 2))
"""
    )
    view = task.wait_end("SUCCESS")
    assert task.states("final") == ["KILLED"]
    assert 1.95 <= view.history[-1].mono - view.history[1].mono < 20


def test_what_runs_when_the_task_fails_is_stopped_politely(host: Host) -> None:
    task = host.run(
        r"""
bad = Process(name = 'bad', cmdline = 'read x < go; exit 1')
good = Process(name = 'good', cmdline = '''
  trap "echo saved > state; exit 0" TERM; echo > up; while :; do sleep 0.1; done''')
export(Task(name = 'siblings', processes = [bad, good]))
""",
        before=Task.gate,
    )
    task.wait_file("up")
    task.let_go()
    task.wait_end("FAILED")
    assert task.lines("state") == ["saved"]


BACKGROUND = r"""
p = Process(name = 'p', cmdline = '''
  sleep 3600 & echo $! >> background
  (trap "" TERM HUP; while :; do sleep 0.1; done) & echo $! >> background
  nohup bash -c "sleep 3600; :" >/dev/null 2>&1 & echo $! >> background
  read x < go''')
after = Process(name = 'after', cmdline = '''
  for pid in $(cat background); do [ ! -e /proc/$pid ] || grep -q "State:.Z" /proc/$pid/status || echo alive $pid; done
  ''')
export(SequentialTask(name = 'background', processes = [p, after]))
"""


@both_coordinators
def test_background_children_die_with_their_process(host: Host) -> None:
    """They are gone before the next process starts: it looks."""
    task = host.run(BACKGROUND, before=Task.gate)
    pids = [int(pid) for pid in task.wait_lines("background", 3)]
    assert all(map(is_alive, pids))
    task.let_go()
    task.wait_end("SUCCESS")
    assert task.log("after") == ""
    assert not any(map(is_alive, pids))


@both_coordinators
def test_a_coordinator_that_is_killed_makes_its_run_lost_and_repeated(host: Host) -> None:
    task = host.run(
        r"""
p = Process(name = 'p', cmdline = 'echo $$ $BASHPID >> ran; sleep 3600 & sleep 3600', min_duration = 0)
export(Task(name = 'lost', processes = [p]))
"""
    )
    first = task.wait_running("p", 0)
    kill_verified(first.coordinator, first.coordinator_start)
    second = task.wait_running("p", 1)
    assert task.states("p") == ["LOST", "RUNNING"]
    wait_gone(first.pid, first.pid_start)
    lost = task.runs("p")[0].lost
    assert lost is not None and lost.reason == "its coordinator died"
    assert first.pid in [pid for pid, _ in lost.killed]
    forked = [r for r in task.records() if isinstance(r, Forked)]
    assert second.starting_at - first.started_at < 20 and len(forked) == 2
    task.signal(signal.SIGTERM)
    view = task.wait_end("KILLED")
    assert view.processes["p"].failures == 0


@both_coordinators
def test_a_killed_runner_is_replaced_without_a_duplicate_run(host: Host) -> None:
    """The process lives on, its exit code is kept, and what comes next runs once."""
    task = host.run(
        r"""
one = Process(name = 'one', cmdline = 'echo one >> ran; read x < go; exit 0')
done = Process(name = 'done', cmdline = 'echo done >> ran; read x < early; echo > done.up')
two = Process(name = 'two', cmdline = 'echo two >> ran')
export(Task(name = 'adopted', processes = [one, done, two], constraints = order(one, two) + order(done, two)))
""",
        before=lambda task: (task.gate("go"), task.gate("early")),
    )
    one = task.wait_running("one")
    task.wait_running("done")
    task.signal(signal.SIGKILL)
    assert task.wait_exit() == -9
    assert is_alive(one.pid)
    task.let_go(name="early")  # ends while nobody owns the task
    task.host.watch.until(lambda: task.file("done.up").exists() or None, "end of done", [task.sandbox])
    task.start()
    task.wait_run("done", 0, "SUCCESS")
    assert task.wait_running("one").pid == one.pid
    task.let_go()
    view = task.wait_end("SUCCESS")
    assert sorted(task.lines("ran")) == ["done", "one", "two"]
    assert all(record.total == 1 for record in view.processes.values())
    assert all(not run.damaged for record in view.processes.values() for run in record.runs.values())


def test_a_task_whose_runner_and_coordinators_died_is_repeated(host: Host) -> None:
    """Nothing of the first run survives beside the second one."""
    task = host.run(
        r"""
p = Process(name = 'p', cmdline = 'echo $$ >> ran; setsid sleep 3600 & sleep 3600', min_duration = 0)
export(Task(name = 'both', processes = [p], finalization_wait = 5))
"""
    )
    first = task.wait_running("p")
    task.wait_lines("ran", 1)
    task.signal(signal.SIGKILL)
    task.wait_exit()
    kill_verified(first.coordinator, first.coordinator_start)
    task.start()
    task.wait_running("p", 1)
    assert not is_alive(first.pid)
    assert task.states("p") == ["LOST", "RUNNING"]
    markers = [status for status in task.find_left() if status.session == first.pid]
    assert markers == []
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")


def test_a_second_runner_is_refused_and_says_who_has_it(host: Host) -> None:
    config = "export(Task(processes = [Process(name = 'p', cmdline = 'exec sleep 3600')]))"
    task = host.run(config)
    task.wait_running("p")
    second = host.run(config)
    assert second.wait_exit() == 6
    assert str(task.process.pid) in host.said()
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")
    third = host.run(config)
    assert third.wait_exit() == 6
    assert "task t is finished; choose another id" in host.said()


def test_a_changed_task_of_the_same_id_is_refused(host: Host) -> None:
    config = "export(Task(name = 'x', processes = [Process(name = 'p', cmdline = 'exec sleep %d')]))"
    task = host.run(config % 3600)
    task.wait_running("p")
    task.signal(signal.SIGKILL)
    task.wait_exit()
    other = host.run(config % 3601)
    assert other.wait_exit() == 3
    assert "Task differs from on disk copy: process p.cmdline" in host.said()
    (host.place / "t.thermos").write_text(config % 3600)
    task.start()
    task.wait(lambda: task.view().owner if task.view().owner.pid == task.process.pid else None, "new owner")
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")


def test_an_idle_runner_uses_no_cpu(host: Host) -> None:
    task = host.run(
        "export(Task(processes = [Process(name = 'p%d' % n, cmdline = 'exec sleep 3600') for n in range(10)]))"
    )
    for number in range(10):
        task.wait_running(f"p{number}")
    pids = [task.process.pid, *(run.coordinator for n in range(10) for run in task.runs(f"p{n}"))]
    before = task.wait_rest(pids)
    task.wait_quiet(1.5)
    assert sum(map(cpu_seconds, pids)) - before <= 0.02
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")


def test_a_runner_whose_console_has_gone_goes_on(host: Host) -> None:
    """Nobody reads what it prints any more (`thermos run | head -1`)."""
    reader, writer = os.pipe()
    os.close(reader)
    task = host.task(
        "export(SequentialTask(processes = [Process(name = 'p%d' % n, cmdline = 'true') for n in range(3)]))"
    )
    task.output = writer
    task.start()
    os.close(writer)
    task.wait_end("SUCCESS")
