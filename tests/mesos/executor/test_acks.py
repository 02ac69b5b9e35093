"""The ledger: what is kept, in which order it is said, when it is said again."""

from __future__ import annotations

from mesos.core import acks
from mesos.core.acks import (
    ACK_CAP_S,
    ACK_S,
    PAUSE_CAP_S,
    PAUSE_S,
    Fold,
    Ledger,
    Record,
    acknowledged,
    launched,
    pause_s,
    updated,
)
from mesos.core.executor_api import Acknowledged
from mesos.core.messages import TaskID, TaskStatus
from tests.mesos.executor.puppets import task


def said(task_id: str, number: int) -> TaskStatus:
    uuid = f"{task_id}{number}".encode().ljust(16, b".")
    return TaskStatus(task_id=TaskID(value=task_id), state="TASK_RUNNING", message=str(number), uuid=uuid)


def ledger_of(*statuses: TaskStatus) -> Ledger:
    ledger = Ledger()
    for each in statuses:
        assert ledger.fold(updated(each)) is Fold.KEPT
    return ledger


def settle(ledger: Ledger, each: TaskStatus) -> Fold:
    return ledger.fold(acknowledged(Acknowledged(task_id=each.task_id, uuid=each.uuid)))


A1, A2, A3, B1, B2 = said("a", 1), said("a", 2), said("a", 3), said("b", 1), said("b", 2)


def test_the_next_update_of_a_task_waits_for_the_acknowledgement_of_the_one_before() -> None:
    ledger = ledger_of(A1, A2, B1)
    assert ledger.take(0) == A1
    assert ledger.take(0) == B1  # tasks don't wait for each other
    assert ledger.take(0) is None
    ledger.sent(A1.uuid, 0)
    assert ledger.take(0) is None
    assert settle(ledger, A1) is Fold.SETTLED
    assert ledger.take(0) == A2


def test_a_failed_call_is_tried_again_after_the_others() -> None:
    ledger = ledger_of(A1, A2, B1)
    assert ledger.take(0) == A1
    ledger.failed(A1.uuid, 0)
    assert [ledger.take(0), ledger.take(0), ledger.take(0)] == [B1, A1, None]


def test_pauses_grow_up_to_the_cap() -> None:
    pauses = [pause_s(failures, 0.999999) for failures in range(1, 100)]
    assert pauses == sorted(pauses)
    assert abs(pauses[0] - PAUSE_S) < 0.001 and abs(pauses[-1] - PAUSE_CAP_S) < 0.001
    assert pause_s(1, 0.0) == PAUSE_S / 2


def test_without_an_acknowledgement_it_is_said_again() -> None:
    ledger, now, pauses = ledger_of(A1), 0.0, []
    for _ in range(8):
        assert ledger.take(now) == A1
        ledger.sent(A1.uuid, now)
        assert ledger.take(now + ACK_S - 1) is None
        wake = ledger.next_wake
        assert wake is not None
        pauses.append(wake - now)
        now = wake
    assert pauses[0] == ACK_S and pauses[-1] == ACK_CAP_S


def test_a_refused_update_does_not_hold_up_the_later_ones_and_stays_for_the_next_subscription() -> None:
    ledger = ledger_of(A1, A2)
    assert ledger.take(0) == A1
    ledger.refused(A1.uuid, 0)
    assert ledger.take(0) == A2
    ledger.sent(A2.uuid, 0)
    settle(ledger, A2)
    assert ledger.take(1e9) is None
    assert ledger.updates == (A1,)
    ledger.subscribed((A1.uuid,), 0)
    assert ledger.take(ACK_S) == A1  # that subscription's agent did not take it, either: it is said
    assert settle(ledger, A1) is Fold.SETTLED


def test_a_refused_update_counts_as_any_other_after_the_next_subscription() -> None:
    ledger = ledger_of(A1, A2)
    ledger.take(0)
    ledger.refused(A1.uuid, 0)
    ledger.subscribed((), 100)
    assert ledger.take(100) == A1
    assert ledger.take(100) is None  # its order holds again


def test_an_acknowledgement_counts_once() -> None:
    ledger = ledger_of(A1)
    assert settle(ledger, A1) is Fold.SETTLED
    assert settle(ledger, A1) is Fold.UNKNOWN
    assert settle(ledger, B1) is Fold.UNKNOWN
    assert len(ledger) == 0


def test_a_task_is_kept_until_its_first_acknowledgement() -> None:
    ledger = Ledger()
    assert ledger.fold(launched(task("a"))) is Fold.KEPT
    assert ledger.fold(launched(task("a"))) is Fold.AGAIN
    ledger.fold(updated(A1))
    ledger.fold(updated(A2))
    assert ledger.knows("a") and ledger.tasks == (task("a"),)
    settle(ledger, A1)
    assert not ledger.knows("a") and ledger.tasks == () and ledger.updates == (A2,)


def test_what_a_subscribe_held_is_on_its_way_and_the_rest_is_said_now() -> None:
    ledger = ledger_of(A1, A2, B1)
    assert ledger.take(0) == A1  # under way when the connection broke
    offered = tuple(each.uuid for each in ledger.updates)
    ledger.fold(updated(A3))
    ledger.fold(updated(B2))
    ledger.subscribed(offered, 100)
    assert ledger.take(100) is None  # A3 waits for A1 and A2
    for each in (A1, A2):
        settle(ledger, each)
    assert ledger.take(100) == A3
    assert ledger.take(100 + ACK_S) == B1  # nobody acknowledged it


def test_an_acknowledgement_that_overtakes_the_answer_of_its_call() -> None:
    ledger = ledger_of(A1, A2)
    assert ledger.take(0) == A1
    settle(ledger, A1)
    assert ledger.take(0) == A2
    ledger.sent(A1.uuid, 0)
    ledger.failed(A1.uuid, 0)
    ledger.refused(A1.uuid, 0)
    assert ledger.updates == (A2,)


def test_a_ledger_read_from_its_own_records_is_the_same() -> None:
    ledger = ledger_of(A1, B1, A2)
    ledger.fold(launched(task("a")))
    ledger.fold(launched(task("c")))
    settle(ledger, B1)
    again = Ledger()
    for record in ledger.records():
        assert again.fold(record) is Fold.KEPT
    assert (again.tasks, again.updates) == (ledger.tasks, ledger.updates)


def test_records_that_make_no_sense_are_no_harm() -> None:
    ledger = Ledger()
    for record in (Record(type="LAUNCHED"), Record(type="UPDATED"), Record(type="ACKNOWLEDGED"), Record(type="NEW")):
        assert ledger.fold(record) is Fold.UNKNOWN
    assert ledger.fold(updated(A1)) is Fold.KEPT
    assert ledger.fold(updated(A1)) is Fold.AGAIN


def test_its_own_bookkeeping_stays_small() -> None:
    """Ten thousand rounds of one update leave nothing behind."""
    ledger = ledger_of(B1)
    assert ledger.take(0) == B1
    for number in range(10_000):
        each = said("a", number)
        ledger.fold(updated(each))
        assert ledger.take(0) == each
        ledger.sent(each.uuid, 0)
        settle(ledger, each)
    assert len(ledger._due) < 200 and len(ledger._queues) == 1


def test_a_thousand_tasks_are_served_in_their_order() -> None:
    everyone = [said(f"t{n}-", k) for k in range(3) for n in range(1000)]
    ledger = ledger_of(*everyone)
    heard = []
    while (each := ledger.take(0)) is not None:
        heard.append(each)
        settle(ledger, each)
    assert len(heard) == 3000
    for n in range(1000):
        assert [s.message for s in heard if s.task_id.value == f"t{n}-"] == ["0", "1", "2"]
    assert acks.MAX_PENDING > 3000
