"""The virtual clock and the alarm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesos.local.timeline import Alarm, VirtualTimeline
from thermos.clock import Now


def timeline() -> VirtualTimeline:
    return VirtualTimeline(Now(1_000_000.0, 50.0))


def test_what_is_due_runs_in_order_and_at_its_own_moment() -> None:
    line = timeline()
    seen: list[tuple[str, Now]] = []
    line.call_at(53.0, lambda: seen.append(("c", line.now())))
    line.call_at(51.0, lambda: seen.append(("a", line.now())))
    line.call_at(51.0, lambda: seen.append(("b", line.now())))
    line.call_at(60.0, lambda: seen.append(("late", line.now())))
    line.advance(5)
    assert seen == [
        ("a", Now(1_000_001.0, 51.0)),
        ("b", Now(1_000_001.0, 51.0)),
        ("c", Now(1_000_003.0, 53.0)),
    ]
    assert line.now() == Now(1_000_005.0, 55.0)
    assert line.next_due() == 60.0


def test_nothing_runs_inside_the_call_that_asked_for_it() -> None:
    line = timeline()
    seen: list[int] = []

    def first() -> None:
        line.call_soon(lambda: seen.append(2))
        seen.append(1)

    line.call_soon(first)
    assert seen == []
    line.settle()
    assert seen == [1, 2]


@given(st.lists(st.floats(0, 20), max_size=30), st.lists(st.floats(0, 5), max_size=10))
def test_cutting_an_advance_into_pieces_changes_nothing(dues: list[float], pieces: list[float]) -> None:
    def run(steps: list[float]) -> list[int]:
        line = timeline()
        seen: list[int] = []
        for number, due in enumerate(dues):
            line.call_at(50 + due, lambda number=number: seen.append(number))  # type: ignore[misc]
        for step in steps:
            line.advance(step)
        line.advance(100)
        return seen

    assert run(pieces) == run([])


def test_an_alarm_rings_once_at_the_wanted_moment_however_often_it_was_moved() -> None:
    line = timeline()
    rings: list[float] = []
    alarm = Alarm(line, lambda: rings.append(line.now().mono))
    alarm.set(52.0)
    for later in range(53, 58):
        alarm.set(float(later))
    line.advance(10)
    assert rings == [57.0]
    alarm.set(65.0)
    alarm.set(62.0)
    line.advance(10)
    assert rings == [57.0, 62.0]


def test_an_alarm_that_moves_to_later_costs_no_entry_each_time() -> None:
    line = timeline()
    alarm = Alarm(line, lambda: None)
    for step in range(1000):
        alarm.set(60.0 + step)
    line.advance(2000)
    assert line.steps < 5


def test_a_stopped_alarm_is_silent() -> None:
    line = timeline()
    rings: list[float] = []
    alarm = Alarm(line, lambda: rings.append(line.now().mono))
    alarm.set(51.0)
    alarm.stop()
    line.advance(10)
    assert rings == []
    alarm.set(None)
    line.advance(10)
    assert rings == []
