"""A job is worked through, some instances at a time."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.aurora.core.rolling import Rolling

#: However busy the machine is.
PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_batches() -> None:
    rolling = Rolling(range(5), 2)
    batches = []
    while batch := rolling.next_batch():
        batches.append(batch)
        rolling.judged(batch, {})
    assert batches == [(0, 1), (2, 3), (4,)]
    assert (rolling.done, rolling.failed, rolling.left) == ([0, 1, 2, 3, 4], {}, [])


def test_one_failure_too_many_ends_it() -> None:
    rolling = Rolling(range(5), 1)
    rolling.judged(rolling.next_batch(), {})
    rolling.judged(rolling.next_batch(), {1: "FAILED"})
    assert rolling.next_batch() == ()
    assert (rolling.gave_up, rolling.done, rolling.failed, rolling.left) == (True, [0], {1: "FAILED"}, [2, 3, 4])


def test_some_may_fail() -> None:
    rolling = Rolling(range(3), 1, max_total=1)
    rolling.judged(rolling.next_batch(), {0: "FAILED"})
    rolling.judged(rolling.next_batch(), {})
    rolling.judged(rolling.next_batch(), {2: "LOST"})
    assert (rolling.gave_up, rolling.failed) == (True, {0: "FAILED", 2: "LOST"})


def test_one_that_may_fail_is_tried_again_after_the_others() -> None:
    rolling = Rolling(range(2), 1, max_per_instance=1)
    rolling.judged(rolling.next_batch(), {0: "FAILED"})
    assert rolling.left == [1, 0]
    rolling.judged(rolling.next_batch(), {})
    rolling.judged(rolling.next_batch(), {0: "FAILED again"})
    assert (rolling.done, rolling.failed, rolling.left) == ([1], {0: "FAILED again"}, [])


@PATIENT
@given(st.integers(1, 12), st.integers(1, 5), st.integers(-1, 2), st.integers(0, 3), st.data())
def test_every_instance_is_done_failed_or_left(
    count: int, size: int, each: int, total: int, data: st.DataObject
) -> None:
    rolling = Rolling(range(count), size, max_per_instance=each, max_total=total)
    for _ in range(200):
        batch = rolling.next_batch()
        if not batch:
            break
        assert len(batch) <= size
        bad = data.draw(st.sets(st.sampled_from(batch)) if each >= 0 else st.just(set()))
        rolling.judged(batch, dict.fromkeys(bad, "x"))
    assert rolling.next_batch() == ()
    assert sorted([*rolling.done, *rolling.failed, *rolling.left]) == list(range(count))
    assert rolling.gave_up is (len(rolling.failed) > total)
    assert rolling.gave_up or not rolling.left
    assert len(rolling.failed) <= total + size
