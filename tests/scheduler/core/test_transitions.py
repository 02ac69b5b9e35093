"""The whole square of the task table against a list of its own: spec/scheduler.md §2.1, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import TaskState
from scheduler.core.states import (
    ACTIVE,
    AGENT_ASSIGNED,
    LIVE,
    OF_MESOS,
    TERMINAL,
    TRANSIENT,
    WIRE_NUMBERS,
    ScheduleStatus,
)
from scheduler.core.transitions import Effect, Facts, Result, Transition, transition

S, E, R = ScheduleStatus, Effect, Result

#: As the specification writes it: from | to [effects]. `save` stands for itself; `service`, `fails`, `unkilled` are
#: the conditions under which the task is replaced. (+) marks what we mended.
ROWS = """
INIT         PENDING save
INIT         THROTTLED save
THROTTLED    PENDING save
THROTTLED    KILLING DELETE
PENDING      ASSIGNED save
PENDING      KILLING DELETE
ASSIGNED     STARTING save
ASSIGNED     RUNNING save
ASSIGNED     FINISHED save service
ASSIGNED     FAILED fails
ASSIGNED     RESTARTING save KILL
ASSIGNED     DRAINING save KILL
ASSIGNED     PREEMPTING save KILL
ASSIGNED     KILLING save KILL
ASSIGNED     KILLED save RESCHEDULE
ASSIGNED     LOST save RESCHEDULE KILL
ASSIGNED     PARTITIONED save
STARTING     RUNNING save
STARTING     FINISHED save service
STARTING     FAILED fails
STARTING     RESTARTING save KILL
STARTING     DRAINING save KILL
STARTING     PREEMPTING save KILL
STARTING     KILLING save KILL
STARTING     KILLED save RESCHEDULE
STARTING     LOST save RESCHEDULE
STARTING     PARTITIONED save
RUNNING      FINISHED save service
RUNNING      FAILED fails
RUNNING      RESTARTING save KILL
RUNNING      DRAINING save KILL
RUNNING      PREEMPTING save KILL
RUNNING      KILLING save KILL
RUNNING      KILLED save RESCHEDULE
RUNNING      LOST save RESCHEDULE
RUNNING      PARTITIONED save
PARTITIONED  LOST save unkilled KILL
PARTITIONED  FAILED fails
PARTITIONED  FINISHED save service
PARTITIONED  KILLED save unkilled
PARTITIONED  RUNNING save
PARTITIONED  ASSIGNED save
PARTITIONED  STARTING save
PARTITIONED  RESTARTING save TRANSITION_TO_LOST
PARTITIONED  DRAINING save TRANSITION_TO_LOST
PARTITIONED  PREEMPTING save TRANSITION_TO_LOST
PARTITIONED  KILLING save TRANSITION_TO_LOST
PREEMPTING   FINISHED save RESCHEDULE
PREEMPTING   FAILED save RESCHEDULE
PREEMPTING   KILLED save RESCHEDULE
PREEMPTING   LOST save RESCHEDULE KILL
PREEMPTING   KILLING save
PREEMPTING   PARTITIONED save TRANSITION_TO_LOST
RESTARTING   FINISHED save RESCHEDULE
RESTARTING   FAILED save RESCHEDULE
RESTARTING   KILLED save RESCHEDULE
RESTARTING   LOST save RESCHEDULE KILL
RESTARTING   KILLING save
RESTARTING   PARTITIONED save TRANSITION_TO_LOST
DRAINING     FINISHED save RESCHEDULE
DRAINING     FAILED save RESCHEDULE
DRAINING     KILLED save RESCHEDULE
DRAINING     LOST save RESCHEDULE KILL
DRAINING     KILLING save
DRAINING     PARTITIONED save TRANSITION_TO_LOST
KILLING      FINISHED save
KILLING      FAILED save
KILLING      KILLED save
KILLING      LOST save
KILLING      PARTITIONED save TRANSITION_TO_LOST
KILLING      DELETED DELETE
FINISHED     DELETED DELETE
FAILED       DELETED DELETE
KILLED       DELETED DELETE
LOST         DELETED DELETE
"""

#: Reports of these states, about tasks in those, make the agent kill (again).
ZOMBIES = {
    (S[before], S[after])
    for before in ["PREEMPTING", "RESTARTING", "DRAINING", "KILLING", "FINISHED", "FAILED", "KILLED", "LOST", "DELETED"]
    for after in ["ASSIGNED", "STARTING", "RUNNING"]
}

FACTS = [
    Facts(is_service=service, max_failures=most, failures=failures, was_killing=killing)
    for service in (False, True)
    for most in (-1, 1, 2, 3)
    for failures in (0, 1, 2)
    for killing in (False, True)
]


def expected_effects(words: list[str], facts: Facts) -> tuple[Effect, ...]:
    found = []
    for word in words:
        if word == "save":
            found.append(E.SAVE_STATE)
        elif word == "service":
            found += [E.RESCHEDULE] if facts.is_service else []
        elif word == "unkilled":
            found += [] if facts.was_killing else [E.RESCHEDULE]
        elif word == "fails":
            found += [E.INCREMENT_FAILURES, E.SAVE_STATE]
            if facts.is_service or facts.max_failures == -1 or facts.failures + 1 < facts.max_failures:
                found.append(E.RESCHEDULE)
        else:
            found.append(E[word])
    return tuple(found)


EXPECTED = {(S[b], S[a]): words for b, a, *words in (line.split() for line in ROWS.strip().splitlines())}


@pytest.mark.parametrize("before", ScheduleStatus)
@pytest.mark.parametrize("after", ScheduleStatus)
def test_the_whole_square(before: ScheduleStatus, after: ScheduleStatus) -> None:
    for facts in FACTS:
        found = transition(before, after, facts)
        if before is after:
            assert found == Transition(R.NOOP)
        elif (before, after) in EXPECTED:
            assert found == Transition(R.SUCCESS, expected_effects(EXPECTED[before, after], facts))
        elif (before, after) in ZOMBIES:
            assert found == Transition(R.ILLEGAL_WITH_SIDE_EFFECTS, (E.KILL,))
        else:
            assert found == Transition(R.ILLEGAL)


@given(st.sampled_from(ScheduleStatus), st.sampled_from(ScheduleStatus), st.sampled_from(FACTS))
def test_effects_come_in_their_order_and_once(before: ScheduleStatus, after: ScheduleStatus, facts: Facts) -> None:
    numbers = [effect.value for effect in transition(before, after, facts).effects]
    assert numbers == sorted(set(numbers))


def test_a_caller_may_insist_on_a_state() -> None:
    found = transition(S.RUNNING, S.KILLING, Facts(), expected=S.PENDING)
    assert found == Transition(R.INVALID_CAS_STATE)
    assert transition(S.RUNNING, S.KILLING, Facts(), expected=S.RUNNING).result is R.SUCCESS


def test_a_service_is_always_replaced_unless_it_is_killed() -> None:
    """Every way of a service out of the active states that nobody asked for."""
    service = Facts(is_service=True)
    for before in AGENT_ASSIGNED - {S.KILLING}:
        for after in TERMINAL:
            assert E.RESCHEDULE in transition(before, after, service).effects, (before, after)
    for after in TERMINAL:
        assert E.RESCHEDULE not in transition(S.KILLING, after, service).effects


def test_the_sets_are_those_of_the_specification() -> None:
    assert {s.value for s in ACTIVE} == {
        "THROTTLED",
        "PENDING",
        "ASSIGNED",
        "STARTING",
        "RUNNING",
        "KILLING",
        "RESTARTING",
        "PREEMPTING",
        "DRAINING",
        "PARTITIONED",
    }
    assert ACTIVE - {S.PENDING, S.THROTTLED} == AGENT_ASSIGNED
    assert {s.value for s in LIVE} == {"RUNNING", "KILLING", "PREEMPTING", "RESTARTING", "DRAINING", "PARTITIONED"}
    assert {s.value for s in TERMINAL} == {"FINISHED", "FAILED", "KILLED", "LOST"}
    assert {s.value for s in TRANSIENT} == {"ASSIGNED", "PREEMPTING", "RESTARTING", "KILLING", "DRAINING"}
    assert len(set(WIRE_NUMBERS.values())) == len(WIRE_NUMBERS) == len(ScheduleStatus) - 1


def test_every_state_of_mesos_means_something() -> None:
    assert set(OF_MESOS) == set(TaskState)
    assert set(OF_MESOS.values()) == {S.ASSIGNED, S.STARTING, S.RUNNING, S.PARTITIONED, *TERMINAL}
