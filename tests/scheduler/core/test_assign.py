"""A round of placement: first fit in order, one task per offer, limits counted within it, reservations; and what holds
for any cluster."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import Offer, scalar
from scheduler.core.assign import Placement, Round, assign
from scheduler.core.explain import Asked, explain
from scheduler.core.filters import Counts, MaintenanceMode, filter_host
from scheduler.core.groups import Attempt, group_key
from scheduler.core.model import DEDICATED, AssignedTask, Constraint, InstanceKey, JobKey
from scheduler.core.offers import OfferBook, OfferRules
from scheduler.core.reservations import Reservations
from tests.scheduler.core.making import JOB, SETTINGS, attempt, chances, config, limit, offer, reserved, value

NOBODY: Counts = lambda job, attribute, value: 0  # noqa: E731


def book_of(*offers: Offer, order: tuple[()] = ()) -> OfferBook:
    book = OfferBook(OfferRules(order=order))
    for each in offers:
        book.add(each, 0.0, chances())
    return book


def placed(
    book: OfferBook,
    *attempts: Attempt,
    counts: Counts = NOBODY,
    reservations: Reservations | None = None,
    chance: Callable[[], float] | None = None,
) -> Round:
    held = reservations if reservations is not None else Reservations()
    return assign(attempts, Placement(book, counts, held, SETTINGS.wanted_of, 0.0, chance or chances()))


def pairs(outcome: Round) -> list[tuple[str, str]]:
    return [(each.task.task_id, each.offer.agent) for each in outcome.assignments]


def left(outcome: Round) -> list[str]:
    return [task.task_id for refused in outcome.refused for task in refused.tasks]


def test_the_first_that_fits_is_taken_and_every_task_has_an_offer_of_its_own() -> None:
    book = book_of(offer(0, cpus=0.5), offer(1), offer(2, cpus=64.0), offer(3))
    outcome = placed(book, attempt(config(ports=("http",)), 2))
    assert pairs(outcome) == [("web-0", "a00001"), ("web-1", "a00002")] and not outcome.refused
    assert [o.agent for o in book] == ["a00000", "a00003"]
    assert outcome.assignments[0].allocation.ports == {"http": 31000}


def test_a_second_group_of_the_round_gets_what_the_first_left() -> None:
    one, other = attempt(config(), 2), attempt(config(cpus=2.0), 2, first=10)
    outcome = placed(book_of(*(offer(n) for n in range(3))), one, other)
    assert pairs(outcome) == [("web-0", "a00000"), ("web-1", "a00001"), ("web-10", "a00002")]
    assert left(outcome) == ["web-11"]
    assert outcome.assigned_of(one) == ["web-0", "web-1"] and outcome.assigned_of(other) == ["web-10"]


def test_the_share_of_the_executor_must_fit_too() -> None:
    book = book_of(offer(0, cpus=1.2), offer(1, mem=255.0), offer(2, cpus=1.25, mem=256.0))
    assert pairs(placed(book, attempt(config(ram=128)))) == [("web-0", "a00002")]


def test_a_task_record_is_filled_with_its_place() -> None:
    (assignment,) = placed(book_of(offer(7)), attempt(config(ports=("http",)))).assignments
    filled = assignment.fill(AssignedTask(task_id="web-0", task=config(), instance_id=0))
    assert (filled.slave_id, filled.slave_host, filled.assigned_ports) == ("a00007", "a00007.example", {"http": 31000})


def test_limits_are_counted_within_the_round_also_between_groups_of_a_job() -> None:
    book = book_of(*(offer(n, rack=f"r{n // 3}") for n in range(6)))
    one, other = attempt(config(limit("rack", 2)), 3), attempt(config(limit("rack", 2), cpus=0.5), 2, first=10)
    outcome = placed(book, one, other)
    assert pairs(outcome) == [
        ("web-0", "a00000"), ("web-1", "a00001"), ("web-2", "a00003"), ("web-10", "a00004"),
    ]  # fmt: skip
    assert left(outcome) == ["web-11"]


def test_what_runs_already_counts() -> None:
    running = lambda job, attribute, value: 1 if value == "r0" else 0  # noqa: E731
    book = book_of(offer(0, rack="r0"), offer(1, rack="r1"))
    assert pairs(placed(book, attempt(config(limit("rack", 1))), counts=running)) == [("web-0", "a00001")]


def test_another_job_does_not_count() -> None:
    other = JobKey(role="www", environment="prod", name="api")
    book = book_of(offer(0, rack="r"), offer(1, rack="r"))
    outcome = placed(book, attempt(config(limit("rack", 1))), attempt(config(limit("rack", 1), job=other)))
    assert len(outcome.assignments) == 2


def test_static_refusals_are_banned_and_others_are_not() -> None:
    wanted = config(value("os", "a"), value("rack", "r"), limit("host", 1))
    full = lambda job, attribute, value: attribute == "host"  # noqa: E731
    book = book_of(offer(0, os="b", rack="r"), offer(1, os="a", rack="s"), offer(2, os="a", rack="r"))
    placed(book, attempt(wanted), counts=full)
    assert [book.is_banned(o.id, group_key(wanted)) for o in book].count(True) <= 2
    assert not book.is_banned("o00002", group_key(wanted))
    assert pairs(placed(book, attempt(wanted))) == [("web-0", "a00002")]


def test_a_host_back_from_maintenance_is_used_at_once() -> None:
    """The original kept the ban for as long as the offer."""
    book = book_of(offer(0, host="h"))
    book.set_mode("h", MaintenanceMode.DRAINED)
    assert left(placed(book, attempt(config()))) == ["web-0"]
    book.set_mode("h", MaintenanceMode.NONE)
    assert pairs(placed(book, attempt(config()))) == [("web-0", "a00000")]


def test_an_agent_kept_for_a_group_is_for_it_alone() -> None:
    one, other = attempt(config()), attempt(config(cpus=2.0), first=10)
    held = Reservations()
    held.reserve("a00000", one.group, 100.0)
    assert pairs(placed(book_of(offer(0), offer(1)), other, one, reservations=held)) == [
        ("web-10", "a00001"), ("web-0", "a00000"),
    ]  # fmt: skip


def test_an_instance_with_an_agent_goes_there_or_nowhere() -> None:
    held = Reservations()
    held.reserve("a00001", InstanceKey(job_key=JOB, instance_id=0), 100.0)
    held.reserve("a00007", InstanceKey(job_key=JOB, instance_id=2), 100.0)
    outcome = placed(book_of(offer(0), offer(1)), attempt(config(), 3), reservations=held)
    assert pairs(outcome) == [("web-0", "a00001"), ("web-1", "a00000")] and left(outcome) == ["web-2"]


def test_an_instance_whose_agent_refuses_waits_and_nothing_is_banned() -> None:
    held = Reservations()
    held.reserve("a00000", InstanceKey(job_key=JOB, instance_id=0), 100.0)
    book = book_of(offer(0, cpus=0.5), offer(1))
    assert left(placed(book, attempt(config()), reservations=held)) == ["web-0"]
    assert book.bans == 0


def test_a_task_whose_executor_is_gone_is_refused() -> None:
    book = book_of(offer(0))
    assert left(placed(book, attempt(config(executor="gone")))) == ["web-0"] and len(book) == 1


def test_revocable_tasks_use_what_is_revocable_only() -> None:
    from tests.scheduler.core.making import revocable

    book = book_of(offer(0), offer(1, cpus=0.1, extra=(revocable(scalar("cpus", 3.0)),)))
    (assignment,) = placed(book, attempt(config(tier="revocable"))).assignments
    assert assignment.offer.agent == "a00001"
    cpus = [r for r in (*assignment.allocation.task, *assignment.allocation.executor) if r.name == "cpus"]
    assert len(cpus) == 2 and all(r.revocable is not None for r in cpus)


# --- for any cluster ---------------------------------------------------------------------------------------------

_HOSTS = st.lists(
    st.tuples(
        st.sampled_from([0.2, 1.0, 1.5, 4.0]),
        st.sampled_from([100.0, 512.0, 4096.0]),
        st.sampled_from([((1, 1),), ((1, 2), (9, 9)), ((1, 100),)]),
        st.fixed_dictionaries({}, optional={
            "rack": st.sampled_from(["r1", "r2", "r1,r2"]), "os": st.sampled_from(["a", "b"]),
            DEDICATED: st.sampled_from(["www/x", "db/y"]),
        }),
        st.sampled_from(list(MaintenanceMode)),
        st.booleans(),
    ),
    max_size=10,
)  # fmt: skip
_CONSTRAINTS = st.lists(
    st.sampled_from(
        [value("rack", "r1"), value("rack", "r1", negated=True), value("os", "a"), limit("rack", 1), limit("rack", 3),
         limit("host", 1), value(DEDICATED, "www/x")]
    ),
    max_size=2, unique=True,
)  # fmt: skip
_GROUPS = st.lists(
    st.tuples(
        _CONSTRAINTS, st.sampled_from([0.1, 0.5, 2.0]), st.sampled_from([(), ("a",), ("a", "b")]), st.integers(1, 4)
    ),
    max_size=4,
)
_RUNNING = st.dictionaries(st.sampled_from(["r1", "r2"]), st.integers(0, 2))


@given(_HOSTS, _GROUPS, _RUNNING, st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5))
def test_whatever_the_cluster(
    hosts: list[tuple[float, float, tuple[tuple[int, int], ...], dict[str, str], MaintenanceMode, bool]],
    groups: list[tuple[list[Constraint], float, tuple[str, ...], int]],
    running: dict[str, int],
    random: list[float],
) -> None:
    book = book_of()
    for number, (cpus, mem, ports, attributes, mode, has_reserved) in enumerate(hosts):
        book.set_mode(f"h{number}", mode)
        extra = (reserved(scalar("cpus", 1.0)),) if has_reserved else ()
        made = offer(number, cpus=cpus, mem=mem, ports=ports, extra=extra, host=f"h{number}", **attributes)  # type: ignore[arg-type]
        book.add(made, 0.0, chances())
    before = list(book)
    attempts = [
        attempt(config(*constraints, cpus=cpus, ports=ports), count, first=10 * number)
        for number, (constraints, cpus, ports, count) in enumerate(groups)
    ]
    stored: Counts = lambda job, attribute, each: running.get(each, 0)  # noqa: E731
    outcome = placed(book, *attempts, counts=stored, chance=chances(*random))

    tasks = [task.task_id for each in attempts for task in each.tasks]
    assert sorted(tasks) == sorted([t for t, _ in pairs(outcome)] + left(outcome))
    assert max(Counter(each.offer.id for each in outcome.assignments).values(), default=0) <= 1
    assert [o.id for o in book] == [
        o.id for o in before if o.id not in {each.offer.id for each in outcome.assignments}
    ]  # fmt: skip
    added: Counter[tuple[str, str]] = Counter()
    counts: Counts = lambda job, attribute, each: running.get(each, 0) + added[attribute, each]  # noqa: E731
    by_group = {each.group: each for each in attempts}
    for each in outcome.assignments:
        wanted = SETTINGS.wanted_of(by_group[each.group].config)
        assert wanted is not None
        assert not filter_host(by_group[each.group].config, wanted.total, each.offer.view(False), counts, 0.0)
        assert_within(each.allocation.task + each.allocation.executor, each.offer.offer)
        assert len(set(each.allocation.ports.values())) == len(wanted.port_names)
        added.update((name, v) for name, values in each.offer.attributes.items() for v in values)
    for refused in outcome.refused:
        wanted = SETTINGS.wanted_of(refused.attempt.config)
        why = explain(Asked(refused.attempt.config, wanted), book, counts, 0.0, 0.0)
        assert len(why.hosts) == len(book) and all(answer.reasons for answer in why.hosts)


def assert_within(resources: tuple[object, ...], whole: Offer) -> None:
    """What was taken is part of what was offered, resource by resource."""
    had: defaultdict[tuple[str, bool], int] = defaultdict(int)
    ports: set[int] = set()
    for r in whole.resources:
        had[r.name, bool(r.reservations)] += round(r.scalar.value * 1000) if r.scalar else 0
        ports |= {p for s in (r.ranges.range if r.ranges else ()) for p in range(s.begin, s.end + 1)}
    for r in resources:
        had[r.name, bool(r.reservations)] -= round(r.scalar.value * 1000) if r.scalar else 0  # type: ignore[attr-defined]
        taken = {p for s in (r.ranges.range if r.ranges else ()) for p in range(s.begin, s.end + 1)}  # type: ignore[attr-defined]
        assert taken <= ports
        ports -= taken
    assert all(amount >= 0 for amount in had.values())


@given(_HOSTS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    hosts: list[tuple[float, float, tuple[tuple[int, int], ...], dict[str, str], MaintenanceMode, bool]], rng: object
) -> None:
    offers = [
        offer(n, cpus=cpus, mem=mem, ports=ports, **attributes)  # type: ignore[arg-type]
        for n, (cpus, mem, ports, attributes, _, _) in enumerate(hosts)
    ]
    shuffled = list(offers)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    wanted = attempt(config(limit("rack", 2)), 3)
    assert pairs(placed(book_of(*offers), wanted)) == pairs(placed(book_of(*shuffled), wanted))
