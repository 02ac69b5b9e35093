"""Groups that wait: since when, for what, and that what is remembered is bounded."""

from __future__ import annotations

import pytest

from scheduler.core.explain import Asked, Explanation, explain
from scheduler.core.offers import OfferBook
from scheduler.core.refusals import RefusalBook, RefusalRules
from tests.scheduler.core.making import SETTINGS, chances, config, offer


def explained(cpus: float) -> Explanation:
    book = OfferBook()
    book.add(offer(0), 0.0, chances())
    book.add(offer(1, mem=1.0), 0.0, chances())
    wanted = config(cpus=cpus)
    return explain(Asked(wanted, SETTINGS.wanted_of(wanted)), book, lambda *_: 0, 0.0, 0.0)


def test_a_group_is_known_from_its_first_failure_until_it_is_forgotten() -> None:
    book = RefusalBook()
    book.failed(b"g", 3, 10.0)
    book.failed(b"g", 2, 20.0)
    standing = book.of(b"g")
    assert standing is not None
    assert (standing.since, standing.last, standing.attempts, standing.tasks) == (10.0, 20.0, 2, 2)
    assert book.tasks_by_reason() == {"": 2}
    book.counted(b"g", explained(9.0), 10_000, 21.0)
    assert standing.hosts_by_reason == {"Insufficient: CPU": 2, "Insufficient: RAM": 1}
    assert book.tasks_by_reason() == {"Insufficient: CPU": 2}
    book.forget(b"g")
    book.forget(b"g")
    book.counted(b"g", explained(9.0), 10_000, 21.0)
    assert len(book) == 0 and book.of(b"g") is None


def test_reasons_are_counted_in_quiet_moments_and_not_too_often() -> None:
    book = RefusalBook(RefusalRules(fresh_s=60))
    for group in (b"a", b"b", b"c"):
        book.failed(group, 1, 0.0)
    assert book.due(0.0, 2) == [b"a", b"b"]
    book.counted(b"a", explained(9.0), 10_000, 1.0)
    assert book.due(1.0, 9) == [b"c"]  # `b` was taken, too
    assert book.next_wake() is None
    book.failed(b"a", 1, 30.0)
    book.failed(b"a", 1, 40.0)
    assert book.due(30.0, 9) == []
    assert book.next_wake() == 61.0
    assert book.due(61.0, 9) == [b"a"]
    book.failed(b"a", 1, 61.5)  # meanwhile
    book.counted(b"a", explained(9.0), 10_000, 62.0)
    assert book.due(121.9, 9) == []
    assert book.due(122.0, 9) == [b"a"]
    book.counted(b"a", explained(9.0), 10_000, 122.0)
    assert book.due(500.0, 9) == []  # not tried again since
    book.failed(b"a", 1, 600.0)
    book.forget(b"a")
    assert book.next_wake() is None


@pytest.mark.parametrize(("hosts", "seconds"), [(0, 1.0), (100, 1.0), (1000, 6.0), (10_000, 60.0), (10**6, 60.0)])
def test_where_few_hosts_are_asked_reasons_are_soon_counted_anew(hosts: int, seconds: float) -> None:
    """A page must not say for a minute that there are no offers because there were none for a moment."""
    book = RefusalBook()
    book.failed(b"g", 1, 0.0)
    assert book.due(0.0, 9) == [b"g"]
    book.counted(b"g", explained(9.0), hosts, 10.0)
    book.failed(b"g", 1, 10.1)
    assert book.next_wake() == 10.0 + seconds


def test_memory_is_bounded() -> None:
    book = RefusalBook(RefusalRules(most_groups=2, most_reasons=1))
    for group in (b"a", b"b", b"a", b"c"):
        book.failed(group, 1, 0.0)
    assert (book.of(b"b"), len(book)) == (None, 2)
    book.counted(b"a", explained(9.0), 10_000, 1.0)
    standing = book.of(b"a")
    assert standing is not None and standing.hosts_by_reason == {"Insufficient: CPU": 2}
