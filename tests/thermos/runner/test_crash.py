"""The heart: a runner that is killed at any act, with or without its coordinators, costs nothing but time.

A forked runner SIGKILLs itself at its n-th act (a write, a spawn, a rename …), for every n there is: before the act,
after it, or in the middle of a write. Then another runner takes over. The oracle is the same task undisturbed:

- the task ends in the same state, and each process has succeeded and failed as often;
- no run number is executed twice; what was executed is on record; every exit that a coordinator recorded is believed;
- if only the runner died, no run is LOST: coordinators don't need it. If coordinators died too, their runs may be
  LOST and are repeated, which changes neither count.
"""

from __future__ import annotations

import signal

import pytest

from tests.thermos.runner.conftest import MakeRig
from tests.thermos.runner.rig import MortalKernel, Rig, process, wait_ended
from thermos.core.states import TaskState
from thermos.errors import NotOwner

#: Acts n = part, part + PARTS, … each are one test, so that they run side by side.
PARTS = 5

PROCESSES = (
    process("first", "true"),
    process("bad", "exit 7", max_failures=2),
    process("hit", "[ -e hit ] || { touch hit; kill -9 $$; }"),
    process("last", "exit 0"),
    process("final", "exit 3", final=True),
)
TASK = {"order": (("first", "hit", "last"), ("first", "bad")), "max_failures": 0}
#: (successes, failures) of each process in the end.
EXPECTED = {"first": (1, 0), "bad": (0, 2), "hit": (1, 0), "last": (1, 0), "final": (0, 1)}


def counts(rig: Rig) -> dict[str, tuple[int, int]]:
    return {name: (known.successes, known.failures) for name, known in rig.on_disk().processes.items()}


def run_until_it_dies(rig: Rig, at: int, how: str) -> bool:
    """False when the task was over before the n-th act."""

    def act() -> None:
        rig.finish(rig.own(rig.mark(MortalKernel(at, how))))

    ended = wait_ended(rig.in_a_child(act))
    assert ended in (0, -signal.SIGKILL), rig.complaint()
    return ended != 0


def take_over(rig: Rig) -> None:
    try:
        runner = rig.own()
    except NotOwner:  # it died after the last act
        assert rig.paths.finished.exists() and not rig.paths.active.exists()
        return
    rig.finish(runner)


def check_outcome(rig: Rig, *, losses_allowed: bool) -> None:
    task = rig.on_disk()
    assert task.state is TaskState.SUCCESS, rig.story()
    assert counts(rig) == EXPECTED, rig.story()
    rig.check()
    assert rig.paths.finished.exists() and not rig.paths.active.exists()
    if not losses_allowed:
        assert not any(known.losses for known in task.processes.values()), rig.story()
        assert sum(rig.marks().values()) == sum(known.total for known in task.processes.values())


def test_undisturbed(make_rig: MakeRig) -> None:
    rig = make_rig(*PROCESSES, **TASK)
    rig.finish(rig.own())
    check_outcome(rig, losses_allowed=False)
    assert sum(rig.marks().values()) == 7


@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("how", ["before", "after", "torn"])
def test_a_runner_killed_at_any_act_is_replaced_by_the_next(make_rig: MakeRig, how: str, part: int) -> None:
    died = 0
    for at in range(part, 1000, PARTS):
        rig = make_rig(*PROCESSES, **TASK)
        if not run_until_it_dies(rig, at, how):
            break
        died += 1
        take_over(rig)
        check_outcome(rig, losses_allowed=False)
    assert died >= 5, "the fault never fired"


@pytest.mark.parametrize("part", range(1, PARTS + 1))
@pytest.mark.parametrize("how", ["before", "after"])
def test_a_runner_and_its_coordinators_killed_at_any_act(make_rig: MakeRig, how: str, part: int) -> None:
    died = 0
    for at in range(part, 1000, PARTS):
        rig = make_rig(*PROCESSES, **TASK)
        if not run_until_it_dies(rig, at, how):
            break
        died += 1
        rig.kill_coordinators()
        take_over(rig)
        check_outcome(rig, losses_allowed=True)
    assert died >= 5, "the fault never fired"


@pytest.mark.parametrize("part", range(3))
def test_owners_that_die_one_after_the_other_get_there_in_the_end(make_rig: MakeRig, part: int) -> None:
    """Each owner may do four acts only, of which the FIFO and its own record are two."""
    rig = make_rig(*PROCESSES, **TASK)
    how = ("before", "after", "torn")[part]
    deaths = 0
    while not rig.paths.finished.exists():
        deaths += run_until_it_dies(rig, 5, how)
        assert deaths < 200, rig.story()
    assert deaths > 5
    check_outcome(rig, losses_allowed=False)
