"""What runs when: order, failures, retries, daemons, ephemeral and final processes, limits (spec §6.2, 51-67)."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.harness import LIBRARY, Host, Task
from tests.e2e.processes import kill_verified
from thermos.core.fold import Run

#: Every command notes that it ran.
NOTE = "echo {{name}} >> ran"


def began(task: Task) -> list[str]:
    return task.lines("ran")


def test_an_empty_task_is_complete_at_once(host: Host) -> None:
    view = host.run("export(Task(name = 'empty', processes = []))").wait_end("SUCCESS")
    assert view.reason == "all processes finished"


def test_unordered_processes_all_run_at_once(host: Host) -> None:
    """Each waits until all three have begun."""
    task = host.run(
        r"""
def member(n):
  return Process(name = 'm%d' % n, cmdline = 'echo {{name}} >> ran; until [ $(wc -l < ran) = 3 ]; do sleep 0.02; done')
export(Task(name = 'all', processes = [member(n) for n in range(3)]))
"""
    )
    task.wait_end("SUCCESS")
    assert sorted(began(task)) == ["m0", "m1", "m2"]


def test_ordered_processes_run_one_after_another(host: Host) -> None:
    task = host.run(
        r"""
steps = [Process(name = 's%d' % n, cmdline = 'echo + >> ran; echo - >> ran') for n in range(8)]
export(SequentialTask(name = 'steps', processes = steps))
"""
    )
    task.wait_end("SUCCESS")
    assert began(task) == ["+", "-"] * 8
    assert task.sequence() == [(f"s{n}", kind) for n in range(8) for kind in ("Starting", "Exited")]


def test_a_diamond_waits_for_both_sides(host: Host) -> None:
    task = host.run(
        r"""
def step(name): return Process(name = name, cmdline = 'echo {{name}} >> ran')
a, b, c, d = map(step, 'abcd')
export(Task(name = 'diamond', processes = [d, c, b, a], constraints = order(a, b, d) + order(a, c, d)))
"""
    )
    task.wait_end("SUCCESS")
    assert began(task)[0] == "a" and sorted(began(task)[1:3]) == ["b", "c"] and began(task)[3:] == ["d"]


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        ("order(a, b) + order(b, a)", "Cycles detected in the task schedule!"),
        ("order(a, a)", "Cycles detected in the task schedule!"),
        ("order(daemon, b)", "Process b may not depend upon daemon process daemon"),
        ("order(eph, b)", "Non-ephemeral process b may not depend upon ephemeral process eph"),
        ("order(a, final)", "Invalid process dependencies!"),
        ("order('a', 'nobody')", "Invalid process dependencies!"),
    ],
)
def test_a_graph_that_can_not_run_is_refused(host: Host, constraints: str, said: str) -> None:
    task = host.run(
        rf"""
a = Process(name = 'a', cmdline = 'touch ran')
b = Process(name = 'b', cmdline = 'touch ran')
daemon = Process(name = 'daemon', cmdline = 'touch ran', daemon = True)
eph = Process(name = 'eph', cmdline = 'touch ran', ephemeral = True)
final = Process(name = 'final', cmdline = 'touch ran', final = True)
export(Task(name = 'bad', processes = [a, b, daemon, eph, final], constraints = {constraints}))
"""
    )
    assert task.wait_exit() == 3
    assert said in host.said() and "Traceback" not in host.said()
    assert not task.file("ran").exists()


def test_only_ephemeral_processes_are_a_complete_task(host: Host) -> None:
    task = host.run(
        "export(Task(name = 'e', processes = [Process(name = 'e', cmdline = 'sleep 3600', ephemeral = True)]))"
    )
    view = task.wait_end("SUCCESS")
    assert view.processes == {}, "it was complete before anything had to start"


def test_an_ephemeral_that_fails_for_good_counts_as_finished(host: Host) -> None:
    task = host.run(
        r"""
eph = Process(name = 'eph', cmdline = 'exit 1', ephemeral = True, max_failures = 2, min_duration = 0)
after = Process(name = 'after', cmdline = 'echo > go; sleep 3600', ephemeral = True)
main = Process(name = 'main', cmdline = 'read x < go')
export(Task(name = 'eph', processes = [eph, after, main], constraints = order(eph, after)))
""",
        before=Task.gate,
    )
    view = task.wait_end("SUCCESS")
    assert task.states("eph") == ["FAILED", "FAILED"]
    assert view.processes["after"].kills == 1


def test_a_daemon_is_restarted_when_it_succeeds_and_given_up_when_it_fails(host: Host) -> None:
    task = host.run(
        r"""
daemon = Process(name = 'd', cmdline = 'echo >> ran; [ $(wc -l < ran) -le 5 ]', daemon = True, min_duration = 0,
                 max_failures = 2)
export(Task(name = 'daemon', processes = [daemon]))
"""
    )
    view = task.wait_end("FAILED")
    assert task.states("d") == ["SUCCESS"] * 5 + ["FAILED"] * 2
    assert view.reason == "1 failed process: d"


def test_max_failures_of_zero_tries_for_ever(host: Host) -> None:
    task = host.run(
        r"""
p = Process(name = 'p', cmdline = 'echo >> ran; [ $(wc -l < ran) -ge 30 ]', max_failures = 0, min_duration = 0)
export(Task(name = 'forever', processes = [p]))
"""
    )
    task.wait_end("SUCCESS")
    assert task.states("p") == ["FAILED"] * 29 + ["SUCCESS"]
    assert all(run.code == 1 and run.ended_at for run in task.runs("p")[:29]), "failures keep their exit code and time"


@pytest.mark.parametrize("failures", [1, 2, 4])
def test_max_failures_are_all_the_failures_there_may_be(host: Host, failures: int) -> None:
    task = host.run(
        f"""
p = Process(name = 'p', cmdline = 'exit 7', max_failures = {failures}, min_duration = 0)
export(Task(name = 'fails', processes = [p]))
"""
    )
    task.wait_end("FAILED")
    assert [run.code for run in task.runs("p")] == [7] * failures


def test_whoever_waits_for_a_failed_process_never_starts_and_the_task_fails(host: Host) -> None:
    """Also when the task may have more failures than that: the rest can't go on."""
    task = host.run(
        r"""
bad = Process(name = 'bad', cmdline = 'echo bad >> ran; exit 1')
after = Process(name = 'after', cmdline = 'echo after >> ran')
other = Process(name = 'other', cmdline = 'echo other >> ran')
export(Task(name = 'deadlock', processes = [bad, after, other], constraints = order(bad, after), max_failures = 5))
"""
    )
    view = task.wait_end("FAILED")
    assert sorted(began(task)) == ["bad", "other"]
    assert view.reason == "the remaining processes wait for a failed one: bad"


def test_a_task_counts_failed_processes_not_failed_runs(host: Host) -> None:
    task = host.run(
        r"""
def bad(n): return Process(name = 'b%d' % n, cmdline = 'exit 1', max_failures = 3, min_duration = 0)
good = Process(name = 'good', cmdline = 'read x < go')
export(Task(name = 'count', processes = [bad(0), bad(1), good], max_failures = 3))
""",
        before=Task.gate,
    )
    for name in ("b0", "b1"):
        task.wait_run(name, 2, "FAILED")
    task.let_go()
    task.wait_end("SUCCESS")
    assert task.states("b0") == task.states("b1") == ["FAILED"] * 3


def test_with_max_failures_zero_a_task_never_fails_by_failures(host: Host) -> None:
    task = host.run(
        r"""
ps = [Process(name = 'p%d' % n, cmdline = 'exit %d' % n) for n in range(6)]
export(Task(name = 'never', processes = ps, max_failures = 0))
"""
    )
    view = task.wait_end("SUCCESS")
    assert [view.processes[f"p{n}"].runs[0].code for n in range(6)] == list(range(6))


def test_the_failure_limit_ends_the_rest_and_starts_no_more(host: Host) -> None:
    task = host.run(
        r"""
first = Process(name = 'first', cmdline = '''
  echo first >> ran; trap "echo bye >> ran; exit 0" TERM; echo > up; read x < never''')
bad = Process(name = 'bad', cmdline = 'read x < up; exit 1')
second = Process(name = 'second', cmdline = 'echo second >> ran')
export(Task(name = 'limit', processes = [first, bad, second], constraints = order(first, second)))
""",
        before=lambda task: (task.gate("up"), task.gate("never")),
    )
    task.wait_end("FAILED")
    assert began(task) == ["first", "bye"]


@pytest.mark.parametrize("how", ["exit 0", "exit 3", "kill -9 $$"])
def test_min_duration_counts_from_the_end_of_a_run(host: Host, how: str) -> None:
    """After success (daemon), failure and death by a signal alike; the first run does not wait."""
    task = host.run(
        rf"""
p = Process(name = 'p', cmdline = 'echo >> ran; [ $(wc -l < ran) = 3 ] && sleep 3600; sleep 0.3; {how}',
            daemon = True, max_failures = 0, min_duration = 1)
export(Task(name = 'pace', processes = [p]))
"""
    )
    task.wait_running("p", 2)
    mono = {(type(r).__name__, r.run): r.mono for r in task.records() if getattr(r, "process", "") == "p"}
    for run in (0, 1):
        gap = mono["Starting", run + 1] - mono["Exited", run]
        assert 1.0 <= gap < 10, gap
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")


def test_a_process_killed_by_a_signal_is_repeated_and_has_not_failed(host: Host) -> None:
    task = host.run(
        r"""
p = Process(name = 'p', cmdline = 'echo >> ran; [ $(wc -l < ran) -gt 4 ] || kill -9 $$', min_duration = 0)
export(Task(name = 'signals', processes = [p]))
"""
    )
    view = task.wait_end("SUCCESS")
    assert [(str(r.state), r.signal) for r in task.runs("p")] == [("KILLED", 9)] * 4 + [("SUCCESS", None)]
    assert view.processes["p"].failures == 0 and view.processes["p"].kills == 4


@pytest.mark.parametrize("limit", [7, 100])
def test_the_run_limit_counts_successes_failures_and_kills(host: Host, limit: int) -> None:
    """An executor sets it (100): a daemon that comes and goes for ever fails in the end. The command has no limit."""
    task = host.task(
        r"""
p = Process(name = 'p', cmdline = '''
              echo >> ran; n=$(wc -l < ran)
              [ $((n % 3)) = 0 ] && kill -9 $$
              exit $((n % 3 - 1))''',
            daemon = True, max_failures = 0, min_duration = 0)
export(Task(name = 'capped', processes = [p]))
""",
        "--run-limit",
        str(limit),
        command=LIBRARY,
    )
    task.start()
    view = task.wait_end("FAILED")
    record = view.processes["p"]
    assert record.total == limit == len(task.lines("ran"))
    assert record.successes and record.failures and record.kills
    assert record.successes + record.failures + record.kills == limit


def test_a_process_killed_from_outside_is_repeated(host: Host) -> None:
    task = host.run("export(Task(processes = [Process(name = 'p', cmdline = 'exec sleep 3600', min_duration = 0)]))")
    for number in range(3):
        kill_run(task.wait_running("p", number))
    task.wait_running("p", 3)
    task.signal(signal.SIGTERM)
    task.wait_end("KILLED")
    assert task.states("p") == ["KILLED"] * 4


def kill_run(run: Run) -> None:
    """As the OOM killer does."""
    kill_verified(run.pid, run.pid_start)


@pytest.mark.parametrize(("main", "state"), [("true", "SUCCESS"), ("exit 1", "FAILED")])
def test_finals_run_in_their_order_after_success_and_failure(host: Host, main: str, state: str) -> None:
    """Their own failures are ignored, and retried as often as they may be."""
    task = host.run(
        rf"""
main = Process(name = 'main', cmdline = 'echo main >> ran; {main}')
one = Process(name = 'one', cmdline = 'echo one >> ran', final = True)
two = Process(name = 'two', cmdline = 'echo two >> ran; exit 1', final = True, max_failures = 3, min_duration = 0)
three = Process(name = 'three', cmdline = 'echo three >> ran', final = True)
export(Task(name = 'finals', processes = [three, two, one, main], constraints = order(one, two, three)))
"""
    )
    task.wait_end(state)
    assert began(task) == ["main", "one", "two", "two", "two"], "three waits for two, which has failed for good"


def test_a_failing_final_leaves_success_a_success(host: Host) -> None:
    task = host.run(
        r"""
main = Process(name = 'main', cmdline = 'true')
final = Process(name = 'final', cmdline = 'exit 9', final = True)
export(Task(name = 'final', processes = [main, final]))
"""
    )
    view = task.wait_end("SUCCESS")
    assert view.processes["final"].runs[0].code == 9
