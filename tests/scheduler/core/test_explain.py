"""Why a task waits: every host with its reasons, and changes that really help."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import Offer, scalar
from scheduler.core.allocate import Wanted
from scheduler.core.edits import EditKind, what_if
from scheduler.core.executors import THERMOS_OVERHEAD
from scheduler.core.explain import NO_EXECUTOR, NO_OFFERS, RESERVED, Asked, Explanation, explain
from scheduler.core.filters import Counts, MaintenanceMode, filter_host
from scheduler.core.model import DEDICATED, Constraint, JobKey, TaskConfig
from scheduler.core.offers import OfferBook, OfferRules
from tests.scheduler.core.making import SETTINGS, chances, config, limit, offer, value

NOBODY: Counts = lambda job, attribute, value: 0  # noqa: E731


def book_of(*offers: Offer) -> OfferBook:
    book = OfferBook(OfferRules(order=()))
    for each in offers:
        book.add(each, 10.0, chances())
    return book


def why(wanted: TaskConfig, *offers: Offer, counts: Counts = NOBODY) -> Explanation:
    return explain(Asked(wanted, SETTINGS.wanted_of(wanted)), book_of(*offers), counts, 25.0, 0.0)


@pytest.mark.parametrize(
    ("wanted", "there", "reasons", "change"),
    [
        (config(), offer(), [], ""),
        (config(ram=4096), offer(), ["Insufficient: RAM"], "with RAM at most 3968 MB (128 MB less)"),
        (config(cpus=4.5), offer(), ["Insufficient: CPU"], "with CPU at most 3.75 (0.75 less)"),
        (config(), offer(cpus=0.2), ["Insufficient: CPU"], "once 1.05 more of CPU is free"),
        (config(ports=("a", "b")), offer(ports=((1, 1),)), ["Insufficient: ports"], "with ports at most 1 (1 less)"),
        (config(ports=("a",)), offer(ports=()), ["Insufficient: ports"], "with ports at most 0 (1 less)"),
        (config(gpus=1), offer(), ["Insufficient: GPU"], "with GPU at most 0 (1 less)"),
        (config(value("os", "a")), offer(os="c,b"), ["Constraint not satisfied: os"], "with os=a,b"),
        (config(value("os", "a")), offer(), ["Constraint not satisfied: os"], "without the constraint os"),
        (config(value("os", "a", "b", negated=True)), offer(os="a"), ["Constraint not satisfied: os"], "with os=!b"),
        (config(value("os", "a", negated=True)), offer(os="a"), ["Constraint not satisfied: os"],
         "without the constraint os"),
        (config(limit("rack", 1)), offer(), ["Constraint not satisfied: rack"], "without the constraint rack"),
        (config(), offer(dedicated="www/x"), ["Host is dedicated"], "with the constraint dedicated=www/x"),
        (config(), offer(dedicated="*/x"), ["Host is dedicated"], "with the constraint dedicated=*/x"),
        (config(), offer(dedicated="db/x"), ["Host is dedicated"], "if the host were not dedicated to db/x"),
        (config(value(DEDICATED, "www/y")), offer(dedicated="db/x,www/x"), ["Constraint not satisfied: dedicated"],
         "with dedicated=www/x"),
        (config(value(DEDICATED, "www/y")), offer(), ["Constraint not satisfied: dedicated"],
         "without the constraint dedicated"),
        (config(), offer(away_s=1.0), ["Host draining for maintenance"], "once the maintenance of the host is over"),
        (config(value("os", "a"), cpus=8.0), offer(os="b", dedicated="www/x"), ["Host is dedicated"],
         "with the constraint dedicated=www/x and with os=a,b and with CPU at most 3.75 (4.25 less)"),
    ],
)  # fmt: skip
def test_reasons_and_the_change_that_helps(wanted: TaskConfig, there: Offer, reasons: list[str], change: str) -> None:
    (answer,) = why(wanted, there).hosts
    assert (list(answer.reasons), answer.change_text, answer.age_s) == (reasons, change, 15.0)
    assert answer.fits is (not reasons)


def test_a_full_limit_says_how_far_it_would_have_to_go() -> None:
    counts: Counts = lambda job, attribute, value: 3 if value == "r1" else 1  # noqa: E731
    (answer,) = why(config(limit("rack", 1)), offer(rack="r1,r2"), counts=counts).hosts
    assert (list(answer.reasons), answer.change_text) == (["Limit not satisfied: rack"], "with rack=limit:4")


def test_the_whole_cluster_at_a_glance() -> None:
    answer = why(
        config(value("os", "a"), ram=4000),
        offer(0, os="a", mem=4000.0), offer(1, os="a", mem=4100.0, cpus=0.1), offer(2, os="b"), offer(3, os="b"),
    )  # fmt: skip
    assert answer.by_reason == {"Insufficient: RAM": 2, "Constraint not satisfied: os": 2, "Insufficient: CPU": 1}
    assert answer.fitting == []
    assert answer.smallest is not None and answer.smallest.host == "a00000.example"
    assert answer.smallest_of_task is answer.smallest
    assert answer.pending_reason == "Insufficient: RAM"
    assert [veto.text for veto in answer.nearest_fit] == ["Insufficient: RAM"]


def test_what_the_owner_of_the_job_can_do_is_told_apart() -> None:
    answer = why(config(), offer(0, cpus=0.1), offer(1, dedicated="www/x"))
    assert answer.smallest is not None and answer.smallest.host == "a00000.example"
    assert answer.smallest_of_task is not None and answer.smallest_of_task.host == "a00001.example"


def test_without_offers_there_is_a_reason_too() -> None:
    answer = why(config())
    assert answer.pending_reason == NO_OFFERS and answer.smallest is None and answer.nearest_fit == ()


def test_a_host_that_takes_it_leaves_no_reason() -> None:
    answer = why(config(), offer(0), offer(1, cpus=0.1))
    assert answer.pending_reason == "" and answer.fitting == ["a00000.example"]


def test_agents_kept_for_others_say_so() -> None:
    asked = Asked(config(), SETTINGS.wanted_of(config()), lambda agent: agent != "a00000")
    answer = explain(asked, book_of(offer(0), offer(1, cpus=0.1)), NOBODY, 25.0, 0.0)
    assert [list(each.reasons) for each in answer.hosts] == [[RESERVED], ["Insufficient: CPU"]]
    assert [edit.kind for edit in answer.hosts[0].change] == [EditKind.RELEASE]
    alone = explain(asked, book_of(offer(0)), NOBODY, 25.0, 0.0)
    assert alone.pending_reason == RESERVED


def test_an_executor_that_is_gone_is_the_reason_everywhere() -> None:
    answer = why(config(executor="gone"), offer(0), offer(1))
    assert answer.by_reason == {NO_EXECUTOR: 2} and answer.pending_reason == NO_EXECUTOR
    assert answer.smallest is not None and "configured" in answer.smallest.change_text


# --- for any host and task ---------------------------------------------------------------------------------------

_CONSTRAINTS = st.lists(
    st.one_of(
        st.builds(
            lambda name, values, negated: value(name, *values, negated=negated),
            st.sampled_from(["rack", "os", "host"]),
            st.lists(st.sampled_from(["r1", "r2", "a", "b"]), min_size=1, max_size=3, unique=True),
            st.booleans(),
        ),
        st.builds(limit, st.sampled_from(["rack", "os", "host"]), st.integers(1, 4)),
    ),
    max_size=4,
    unique=True,
)
_DEDICATED = st.sampled_from([None, "www/x", "www/y", "*/z"])
_ATTRIBUTES = st.fixed_dictionaries({}, optional={
    "rack": st.sampled_from(["r1", "r2", "r1,r2"]), "os": st.sampled_from(["a", "b", "c,a"]),
    DEDICATED: st.sampled_from(["www/x", "db/y", "*/z", "db/y,www/y"]),
})  # fmt: skip


@given(
    _CONSTRAINTS, _DEDICATED, _ATTRIBUTES,
    st.tuples(st.sampled_from([0.01, 1.0, 9.0]), st.sampled_from([1, 200, 9000]), st.sampled_from([1, 99_999]),
              st.sampled_from([(), ("a", "b", "c")]), st.sampled_from([None, 2])),
    st.tuples(st.sampled_from([0.1, 1.25, 4.0]), st.sampled_from([100.0, 129.0, 4096.0]), st.sampled_from([0.0, 64.0]),
              st.sampled_from([0, 1, 2])),
    st.sampled_from(list(MaintenanceMode)), st.sampled_from([None, 100.0, 1e6]),
    st.dictionaries(st.sampled_from(["r1", "r2", "a", "c"]), st.integers(0, 5)),
)  # fmt: skip
def test_the_change_really_makes_it_fit_and_no_part_of_it_is_idle(
    constraints: list[Constraint],
    dedicated: str | None,
    attributes: dict[str, str],
    wish: tuple[float, int, int, tuple[str, ...], int | None],
    there: tuple[float, float, float, int],
    mode: MaintenanceMode,
    away: float | None,
    running: dict[str, int],
) -> None:
    if dedicated is not None:
        constraints = [*constraints, value(DEDICATED, dedicated)]
    cpus, ram, disk, ports, gpus = wish
    wanted = config(*constraints, cpus=cpus, ram=ram, disk=disk, ports=ports, gpus=gpus)
    book = OfferBook(OfferRules(order=()))
    book.set_mode("h", mode)
    spans = ((1, there[3]),) if there[3] else ()
    made = offer(0, host="h", cpus=there[0], mem=there[1], disk=there[2], ports=spans, away_s=away, **attributes)  # type: ignore[arg-type]
    book.add(made, 0.0, chances())
    counts: Counts = lambda job, attribute, each: running.get(each, 0)  # noqa: E731
    needs = SETTINGS.wanted_of(wanted)
    assert needs is not None
    (answer,) = explain(Asked(wanted, needs), book, counts, 0.0, 0.0).hosts
    view = next(iter(book)).view(False)
    assert list(answer.reasons) == [veto.text for veto in filter_host(wanted, needs.total, view, counts, 0.0)]
    assert bool(answer.change) is bool(answer.reasons)
    changed, total, host = what_if(answer.change, wanted, needs.total, view)
    assert filter_host(changed, total, host, counts, 0.0) == []
    for idle in answer.change:
        rest = [edit for edit in answer.change if edit is not idle]
        changed, total, host = what_if(rest, wanted, needs.total, view)
        assert filter_host(changed, total, host, counts, 0.0) != [], idle
        if idle.amount:
            less = [*rest, replace(idle, amount=idle.amount - 1)]
            changed, total, host = what_if(less, wanted, needs.total, view)
            assert filter_host(changed, total, host, counts, 0.0) != [], idle


@given(
    _CONSTRAINTS,
    st.lists(
        st.tuples(
            _ATTRIBUTES, st.sampled_from([0.1, 4.0]), st.sampled_from(list(MaintenanceMode)),
            st.sampled_from([None, 100.0, 1e6]), st.booleans(),
        ),
        max_size=12,
    ),
    st.dictionaries(st.sampled_from(["r1", "r2", "a", "c"]), st.integers(0, 5)),
)  # fmt: skip
def test_a_host_is_judged_among_others_as_it_is_alone(
    constraints: list[Constraint],
    hosts: list[tuple[dict[str, str], float, MaintenanceMode, float | None, bool]],
    running: dict[str, int],
) -> None:
    book, kept = OfferBook(OfferRules(order=())), set()
    for number, (attributes, cpus, mode, away, is_kept) in enumerate(hosts):
        made = offer(number, cpus=cpus, away_s=away, **attributes)  # type: ignore[arg-type]
        book.set_mode(made.hostname, mode)
        book.add(made, 0.0, chances())
        kept |= {made.agent_id.value} if is_kept else set()
    counts: Counts = lambda job, attribute, each: running.get(each, 0)  # noqa: E731
    wanted = config(*constraints)
    asked = Asked(wanted, SETTINGS.wanted_of(wanted), lambda agent: agent not in kept)
    together = explain(asked, book, counts, 1.0, 50.0).hosts
    assert list(together) == [each for one in book for each in explain(asked, [one], counts, 1.0, 50.0).hosts]


def test_other_roles_cannot_ask_for_dedicated_hosts() -> None:
    job = JobKey(role="db", environment="prod", name="x")
    (answer,) = why(config(job=job), offer(dedicated="www/x")).hosts
    assert [edit.kind for edit in answer.change] == [EditKind.END_DEDICATION]
    assert not answer.change[0].kind.is_of_task


def test_revocable_tasks_are_explained_by_what_is_revocable() -> None:
    (answer,) = why(config(tier="revocable"), offer(extra=(scalar("cpus", 1.0),))).hosts
    assert list(answer.reasons) == ["Insufficient: CPU"]
    assert SETTINGS.wanted_of(config(tier="revocable")) == Wanted(
        SETTINGS.wanted_of(config()).task, THERMOS_OVERHEAD, (), True  # type: ignore[union-attr]
    )  # fmt: skip
