"""A gap in the tests of plans: item 67 of the checklist (spec/thermos.md §6.2)."""

from __future__ import annotations

from tests.e2e.harness import Host
from tests.e2e.processes import kill_verified


def test_67_kills_and_losses_use_up_none_of_the_failures(host: Host) -> None:
    """Killed, failed, killed, lost, failed again: with max_failures = 2 only the second failure is the last."""
    task = host.run(
        r"""
p = Process(name = 'p', max_failures = 2, min_duration = 0, cmdline = '''
  echo >> ran
  case $(wc -l < ran) in
    1|3) kill -9 $$;;
    4) read x < never;;
    *) exit 5;;
  esac''')
export(Task(name = 'mixed', processes = [p]))
""",
        before=lambda task: task.gate("never"),
    )
    run = task.wait_running("p", 3)
    kill_verified(run.coordinator, run.coordinator_start)
    view = task.wait_end("FAILED")
    assert task.states("p") == ["KILLED", "FAILED", "KILLED", "LOST", "FAILED"]
    record = view.processes["p"]
    assert (record.kills, record.failures, record.losses, record.total) == (2, 2, 1, 5)
