"""The monkey: what it may break, that chance decides, and that it gives everything back."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.aurora.local_chaos import command
from client.aurora.local_faults import OUTCOMES
from client.aurora.local_monkey import WEIGHTS, Fault, Situation, choose, possible, repairs
from mesos.local.control import VERBS

STATES = st.lists(st.sampled_from(["up", "down", "cut off"]), min_size=1, max_size=8)
SITUATIONS = st.builds(Situation, STATES, st.lists(st.text("ab", min_size=1), max_size=3), st.booleans())


def test_every_fault_is_a_verb_with_an_outcome() -> None:
    assert set(command.commands) - {"monkey"} == set(OUTCOMES)
    assert set(WEIGHTS) <= set(OUTCOMES)
    assert set(VERBS) - {"end-agents"} <= set(OUTCOMES)


@given(SITUATIONS, st.integers(0, 2**32))
def test_it_chooses_what_is_possible_and_never_stops_the_last_half(now: Situation, seed: int) -> None:
    fault = choose(now, Random(seed).random)
    assert fault in possible(now)[fault.verb]
    assert fault == choose(now, Random(seed).random)
    if fault.verb in ("kill-agent", "partition-agent"):
        assert fault.agent is not None
        assert now.agents[fault.agent] == "up"
        assert list(now.agents).count("up") - 1 >= len(now.agents) // 2
    if fault.verb in ("kill-task", "kill-executor"):
        assert fault.task in now.tasks


@given(SITUATIONS)
def test_repairs_leave_nothing_broken(now: Situation) -> None:
    agents = list(now.agents)
    for fault in repairs(now):
        if fault.agent is not None:
            assert fault.verb == ("start-agent" if agents[fault.agent] == "down" else "heal")
            agents[fault.agent] = "up"
    assert set(agents) == {"up"}
    assert (Fault("start-master") in repairs(now)) is not now.master_up


@pytest.mark.parametrize("edge", [0.0, 0.999999999])
def test_both_edges_of_chance(edge: float) -> None:
    now = Situation(["up", "up", "down"], ["t"])
    assert choose(now, lambda: edge).verb in WEIGHTS


def test_in_the_long_run_it_does_everything() -> None:
    random = Random(1)
    now = Situation(["up", "up", "up", "up", "down", "cut off"], ["t1", "t2"])
    seen = {choose(now, random.random).verb for _ in range(500)}
    assert seen == set(WEIGHTS)


def test_words() -> None:
    assert Fault("kill-agent", 0).words == "kill-agent 0"
    assert Fault("kill-task", task="t").words == "kill-task t"
    assert Fault("restart-master").words == "restart-master"
