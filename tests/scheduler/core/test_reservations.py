"""Agents kept for groups and instances: who may use them, and until when."""

from __future__ import annotations

from scheduler.core.model import InstanceKey
from scheduler.core.reservations import Reservations
from tests.scheduler.core.making import JOB

ONE, TWO = (InstanceKey(job_key=JOB, instance_id=n) for n in (1, 2))


def test_an_agent_is_kept_for_one_until_its_time() -> None:
    held = Reservations()
    held.reserve("a", b"g", 10.0)
    held.reserve("b", ONE, 20.0)
    assert (held.is_open_to("a", b"g"), held.is_open_to("a", b"h"), held.is_open_to("c", b"h")) == (True, False, True)
    assert held.agent_of(ONE) == "b" and not held.is_open_to("b", b"g")
    assert held.next_wake() == 10.0
    held.expire(10.0)
    assert held.is_open_to("a", b"h") and held.next_wake() == 20.0
    held.expire(20.0)
    assert held.agent_of(ONE) is None and held.next_wake() is None and len(held) == 0


def test_a_later_reservation_takes_the_place_of_an_earlier_one() -> None:
    held = Reservations()
    held.reserve("a", ONE, 10.0)
    held.reserve("a", TWO, 10.0)
    assert (held.agent_of(ONE), held.agent_of(TWO)) == (None, "a")
    held.reserve("b", TWO, 10.0)
    assert held.agent_of(TWO) == "b" and held.is_open_to("a", b"g") and len(held) == 1


def test_what_is_used_is_released() -> None:
    held = Reservations()
    held.reserve("a", b"g", 10.0)
    held.reserve("b", b"g", 10.0)
    held.reserve("c", ONE, 10.0)
    held.release_group(b"g")
    held.release_instance(ONE)
    held.release_instance(TWO)
    held.release("unknown")
    assert len(held) == 0


def test_an_instance_with_an_agent_may_use_no_other() -> None:
    held = Reservations()
    held.reserve("a", ONE, 10.0)
    assert [held.may_use(agent, b"g", ONE) for agent in "ab"] == [True, False]
    assert [held.may_use(agent, b"g", TWO) for agent in "ab"] == [False, True]
