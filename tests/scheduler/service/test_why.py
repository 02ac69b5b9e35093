"""Why a task waits: every host has its answer, and the change that is told really helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from mesos.core.messages import Offer
from scheduler.core.edits import Edit, EditKind
from scheduler.core.explain import NO_EXECUTOR, NO_OFFERS, RESERVED, HostAnswer
from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import DEDICATED, Constraint, InstanceKey, JobKey, Resource, TaskConfig
from scheduler.core.resources import MILLI, ResourceType
from scheduler.core.states import ScheduleStatus
from scheduler.service import jobs
from scheduler.service.refusals import RefusalCode
from scheduler.service.why import NO_OFFER, WhyAnswer, why
from scheduler.store.ops import SaveTasks
from tests.scheduler.core.making import JOB, config, limit, offer, value
from tests.scheduler.service.desks import RUNNING, Desk, S, job_of, refused
from tests.scheduler.store.worlds import task_of


def instance(number: int, job: JobKey = JOB) -> InstanceKey:
    return InstanceKey(job_key=job, instance_id=number)


def ask(desk: Desk, number: int = 0, hosts: int = 50) -> WhyAnswer:
    return why(desk.context, instance(number), desk.now, hosts)


# --- one task ----------------------------------------------------------------------------------------------------


def test_the_whole_answer() -> None:
    desk = Desk()
    desk.create(config(value("os", "a"), ram=4000))
    task = desk.active(0)
    desk.offers(
        offer(0, os="a", mem=4000.0), offer(1, os="a", mem=4100.0, cpus=0.1), offer(2, os="b"), offer(3, os="b"),
    )  # fmt: skip
    desk.step(2.0)
    answer = ask(desk)
    assert answer == why(desk.context, task.id, desk.now)
    assert (answer.task_id, answer.instance, answer.status) == (task.id, "www/prod/web/0", S.PENDING)
    assert (answer.since, answer.host_count, answer.fitting) == (1_700_000_000_000, 4, ())
    assert answer.by_reason == {"Insufficient: RAM": 2, "Constraint not satisfied: os": 2, "Insufficient: CPU": 1}
    assert answer.reason == (
        "None of 4 hosts takes it: Insufficient: RAM (2), Constraint not satisfied: os (2), Insufficient: CPU (1)"
    )
    assert answer.smallest is not None and answer.smallest_of_task == answer.smallest
    assert (answer.smallest.host, answer.smallest.reasons, answer.smallest.change) == (
        "a00000.example", ("Insufficient: RAM",), "with RAM at most 3872 MB (128 MB less)",
    )  # fmt: skip
    assert [each.host[:6] for each in answer.hosts] == ["a00000", "a00001", "a00002", "a00003"]
    assert {each.age_s for each in answer.hosts} == {2.0}
    assert answer.attempts == 1 and answer.next_attempt_s is not None and 0 <= answer.next_attempt_s <= 2


def test_every_field_is_told() -> None:
    desk = Desk()
    desk.create()
    told = msgspec.json.decode(msgspec.json.encode(ask(desk)))
    assert told == {
        "taskId": desk.active(0).id, "instance": "www/prod/web/0", "status": "PENDING", "since": 1_700_000_000_000,
        "reason": NO_OFFERS, "attempts": 0, "nextAttemptS": None, "hostCount": 0, "fitting": [], "byReason": {},
        "smallest": None, "smallestOfTask": None, "hosts": [],
    }  # fmt: skip


def test_hosts_that_have_room() -> None:
    desk = Desk()
    desk.create()
    desk.offers(offer(0, host="h0", cpus=0.1), offer(1, host="h1"))
    assert ask(desk).reason == "1 of 2 hosts has room for it now: h1"
    assert [(each.host, each.fits) for each in ask(desk).hosts] == [("h1", True), ("h0", False)]
    desk.offers(*[offer(n, host=f"h{n}") for n in range(2, 6)])
    assert ask(desk).reason == "5 of 6 hosts have room for it now: h1, h2, h3, …"
    assert ask(desk, hosts=2).hosts == ask(desk).hosts[:2] and ask(desk, hosts=0).hosts == ()
    assert ask(desk, hosts=0).host_count == 6


def test_hosts_that_offer_nothing_now_are_told_too() -> None:
    desk = Desk()
    desk.create(config(cpus=9.0))
    desk.offers(*[offer(n, host=f"h{n}", cpus=1.0) for n in range(3)])
    (gone,) = [each.id for each in desk.engine.book if each.host == "h1"]
    desk.act(lambda turn: desk.engine.rescinded(turn, gone))
    answer = ask(desk)
    assert answer.by_reason == {"Insufficient: CPU": 2, NO_OFFER: 1} and answer.host_count == 3
    assert answer.reason == "None of 3 hosts takes it: Insufficient: CPU (2), No offer from it now (1)"
    assert [(each.host, each.reasons) for each in answer.hosts][2] == ("h1", (NO_OFFER,))
    assert [each.host for each in ask(desk, hosts=2).hosts] == ["h0", "h2"]
    assert answer.hosts[2].agent == "a00001" and answer.smallest is not None and answer.smallest.host == "h0"


@pytest.mark.parametrize("hosts", [-1, 10_001])
def test_how_many_hosts_can_be_asked_for(hosts: int) -> None:
    desk = Desk()
    desk.create()
    assert refused(lambda: ask(desk, hosts=hosts))[0] is RefusalCode.INVALID_REQUEST


def test_many_reasons_are_a_short_line() -> None:
    desk = Desk()
    desk.create(config(*[value(f"c{n}", "x") for n in range(8)]))
    for n in range(8):
        attributes: dict[str, Any] = {f"c{m}": "x" for m in range(n)}
        desk.offers(offer(n, **attributes))
    assert ask(desk).reason.endswith(", …") and len(ask(desk).reason) < 200
    assert len(ask(desk).by_reason) == 8


def test_agents_kept_for_others_and_an_executor_that_is_gone() -> None:
    desk = Desk()
    desk.create()
    desk.offers(offer(0))
    desk.engine.reservations.reserve("a00000", instance(7), desk.mono + 60)
    assert ask(desk).by_reason == {RESERVED: 1} and ask(desk).smallest_of_task is None
    task = desk.active(0)
    gone = structs.replace(task.config, executor_config=msgspec.structs.replace(task.config.executor_config, name="x"))  # type: ignore[type-var]
    desk.act(lambda turn: desk.engine.insert(turn, gone, [1]))
    assert ask(desk, 1).by_reason == {RESERVED: 1, NO_EXECUTOR: 1}


@pytest.mark.parametrize(
    ("way", "line"),
    [
        ((S.ASSIGNED,), "It is ASSIGNED on h0: it waits for no host"),
        (RUNNING, "It is RUNNING on h0: it waits for no host"),
        ((*RUNNING, S.KILLING), "It is KILLING on h0: it waits for no host"),
    ],
)
def test_a_task_that_has_a_host_waits_for_none(way: Sequence[ScheduleStatus], line: str) -> None:
    desk = Desk()
    desk.create()
    desk.offers(offer(0, host="h0"), offer(1))
    desk.engine.reservations.reserve("a00000", instance(0), desk.mono + 60)
    desk.step()
    if len(way) > 1:
        desk.move(0, *way[1:])
    answer = ask(desk)
    assert (answer.reason, answer.hosts, answer.smallest, answer.host_count) == (line, (), None, 0)
    assert answer.status is way[-1]


def test_a_task_that_has_ended_says_how() -> None:
    desk = Desk()
    desk.create()
    ended = desk.move(0, *RUNNING, S.FAILED, message="exit\ncode 1")
    assert why(desk.context, ended.id, desk.now).reason == "It has ended: FAILED, exit code 1"
    code, text = refused(lambda: ask(desk))
    assert (code, text) == (RefusalCode.NOT_FOUND, "There is no active task of www/prod/web/0")
    assert refused(lambda: why(desk.context, "x", desk.now)) == (RefusalCode.NOT_FOUND, "There is no task x")


def test_a_throttled_task_says_until_when() -> None:
    desk = Desk()
    desk.create(structs.replace(config(), is_service=True))
    desk.move(0, *RUNNING, S.FAILED)
    assert desk.active(0).status is S.THROTTLED
    desk.tick(10.0)
    answer = ask(desk)
    assert answer.reason == "It ended too soon too often: THROTTLED, and PENDING again in 35 s"
    assert answer.next_attempt_s == 35.0
    desk.step(35.0)
    assert ask(desk).status is S.PENDING


# --- any task, any hosts: the change helps -------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """A host with an offer."""

    attributes: dict[str, str]
    cpus: float
    mem: float
    disk: float
    ports: int
    mode: MaintenanceMode
    away_s: float | None
    kept_for: str | None
    running: int

    def offer(self, number: int, generation: int = 0) -> Offer:
        spans = ((31000, 31000 + self.ports - 1),) if self.ports else ()
        return offer(
            number + 100 * generation, agent=f"a{number}", host=f"h{number}", cpus=self.cpus, mem=self.mem,
            disk=self.disk, ports=spans, away_s=self.away_s, **self.attributes,  # type: ignore[arg-type]
        )  # fmt: skip


machines = st.builds(
    Machine,
    attributes=st.fixed_dictionaries({}, optional={
        "rack": st.sampled_from(["r1", "r2", "r1,r2"]), "os": st.sampled_from(["a", "b"]),
        DEDICATED: st.sampled_from(["www/x", "db/y", "*/z", "db/y,www/y"]),
    }),
    cpus=st.sampled_from([0.1, 1.25, 4.0]),
    mem=st.sampled_from([100.0, 129.0, 4096.0]),
    disk=st.sampled_from([0.0, 64.0, 1000.0]),
    ports=st.sampled_from([0, 1, 2]),
    mode=st.sampled_from(MaintenanceMode),
    away_s=st.sampled_from([None, None, 100.0, 1e10]),
    kept_for=st.sampled_from([None, None, "other", "group", "me"]),
    running=st.integers(0, 2),
)  # fmt: skip
constraints = st.lists(
    st.one_of(
        st.builds(
            lambda name, values, negated: value(name, *values, negated=negated),
            st.sampled_from(["rack", "os", "host"]),
            st.lists(st.sampled_from(["r1", "r2", "a", "b", "h0"]), min_size=1, max_size=2, unique=True),
            st.booleans(),
        ),
        st.builds(limit, st.sampled_from(["rack", "os", "host"]), st.integers(1, 3)),
        st.builds(lambda name: value(DEDICATED, name), st.sampled_from(["www/x", "www/y", "*/z"])),
    ),
    max_size=3,
    unique_by=lambda constraint: constraint.name,
)
wishes = st.builds(
    lambda wanted, cpus, ram, disk, ports: config(*wanted, cpus=cpus, ram=ram, disk=disk, ports=ports),
    constraints, st.sampled_from([0.01, 1.0, 9.0]), st.sampled_from([1, 200, 9000]), st.sampled_from([1, 99_999]),
    st.sampled_from([(), ("a", "b", "c")]),
)  # fmt: skip


def furnished(wanted: TaskConfig, hosts: Sequence[Machine]) -> Desk:
    """The hosts are as they are said to be, and instance 0 waits."""
    desk = Desk()
    for number, machine in enumerate(hosts):
        tasks = [task_of(f"t{number}-{n}", JOB, 10 * number + n + 10, S.RUNNING, f"h{number}")
                 for n in range(machine.running)]  # fmt: skip
        desk.apply(SaveTasks(tasks=tuple(tasks)))
    desk.engine.rebuild(desk.now)
    for number, machine in enumerate(hosts):
        desk.offers(machine.offer(number))
        desk.engine.book.set_mode(f"h{number}", machine.mode)
    insert(desk, wanted, 0)
    group = desk.engine.groups.group_of(desk.active(0).id)
    assert group is not None
    for number, machine in enumerate(hosts):
        holders: dict[str | None, bytes | InstanceKey] = {"other": instance(99), "group": group, "me": instance(0)}
        holder = holders.get(machine.kept_for)
        if holder is not None:
            desk.engine.reservations.reserve(f"a{number}", holder, desk.mono + 600)
    return desk


def insert(desk: Desk, wanted: TaskConfig, number: int) -> None:
    """As the service takes it: refused, if its rules don't allow it."""
    populated = jobs.populate(desk.context, job_of(wanted)).task_config
    desk.act(lambda turn: desk.engine.insert(turn, populated, [number]))


def do_to_host(desk: Desk, edit: Edit, number: int, machine: Machine) -> Machine:
    if edit.kind is EditKind.RELEASE:
        for agent in [f"a{n}" for n in range(10)]:
            desk.engine.reservations.release(agent)
    elif edit.kind is EditKind.END_MAINTENANCE:
        desk.engine.book.set_mode(f"h{number}", MaintenanceMode.NONE)
        return changed(machine, mode=MaintenanceMode.NONE, away_s=None)
    elif edit.kind is EditKind.END_DEDICATION:
        return changed(machine, attributes={k: v for k, v in machine.attributes.items() if k != DEDICATED})
    elif edit.kind is EditKind.FREE:
        assert edit.resource is not None
        unit = MILLI if edit.resource is ResourceType.CPUS else 1
        field = {ResourceType.CPUS: "cpus", ResourceType.RAM_MB: "mem", ResourceType.DISK_MB: "disk",
                 ResourceType.PORTS: "ports"}[edit.resource]  # fmt: skip
        return changed(machine, **{field: getattr(machine, field) + edit.amount / unit})
    return machine


def changed(machine: Machine, **changes: object) -> Machine:
    fields: dict[str, Any] = {name: getattr(machine, name) for name in Machine.__dataclass_fields__} | changes
    return Machine(**fields | {"ports": int(fields["ports"])})


def do_to_task(wanted: TaskConfig, edit: Edit) -> TaskConfig:
    if edit.kind is EditKind.CONSTRAINT:
        kept: list[Constraint] = [each for each in wanted.constraints if each != edit.before]
        return structs.replace(wanted, constraints=(*kept, *([edit.after] if edit.after is not None else [])))
    if edit.kind is EditKind.ASK_LESS:
        return structs.replace(wanted, resources=_less(wanted.resources, edit))
    return wanted


def _less(resources: Sequence[Resource], edit: Edit) -> tuple[Resource, ...]:
    if edit.resource is ResourceType.PORTS:
        named = [each for each in resources if each.named_port is not None]
        return tuple(each for each in resources if each not in named[: edit.amount])
    field = {ResourceType.CPUS: "num_cpus", ResourceType.RAM_MB: "ram_mb", ResourceType.DISK_MB: "disk_mb"}[
        edit.resource  # type: ignore[index]
    ]
    much = edit.amount / MILLI if edit.resource is ResourceType.CPUS else edit.amount
    return tuple(
        structs.replace(each, **{field: getattr(each, field) - much}) if getattr(each, field) is not None else each
        for each in resources
    )


@settings(max_examples=200, deadline=None)
@given(wishes, st.lists(machines, max_size=4))
def test_the_smallest_change_lets_it_start(wanted: TaskConfig, hosts: list[Machine]) -> None:
    desk = furnished(wanted, hosts)
    task = desk.active(0)
    answer, found = ask(desk), desk.engine.explain(task, desk.now)
    assert answer.host_count == len(hosts) == len(answer.hosts)
    assert len(answer.fitting) + sum(not each.fits for each in answer.hosts) == len(hosts)
    assert all(bool(each.change) is bool(each.reasons) is not each.fits for each in answer.hosts)
    assert (answer.smallest is None) is (found.smallest is None) is all(each.fits for each in answer.hosts)
    for told, part in ((answer.smallest, found.smallest), (answer.smallest_of_task, found.smallest_of_task)):
        if told is None or part is None:
            assert told is None and part is None
            continue
        assert (told.host, told.change, told.reasons) == (part.host, part.change_text, part.reasons)
        assert_it_helps(furnished(wanted, hosts), task.config, part, hosts)
    refusing = [each.distance for each in found.hosts if each.reasons]
    assert found.smallest is None or found.smallest.distance == min(refusing)


def assert_it_helps(desk: Desk, wanted: TaskConfig, part: HostAnswer, hosts: Sequence[Machine]) -> None:
    number = int(part.host[1:])
    machine = hosts[number]
    for edit in part.change:
        wanted, machine = do_to_task(wanted, edit), do_to_host(desk, edit, number, machine)
    if machine != hosts[number]:
        desk.act(lambda turn: desk.engine.rescinded(turn, hosts[number].offer(number).id.value))
        desk.offers(machine.offer(number, generation=1))
    if wanted != desk.active(0).config:
        jobs_of = desk.act(lambda turn: jobs.kill_tasks(desk.context, turn, JOB, frozenset({0}), "jane"))
        assert jobs_of.instances == (0,)
        held = hosts[number].kept_for in ("group", "me")
        insert(desk, wanted, 0)
        if held:  # it went with the task that it was kept for
            desk.engine.reservations.reserve(f"a{number}", instance(0), desk.mono + 600)
    again = {each.host: each for each in ask(desk).hosts}[part.host]
    assert again.fits, (part.change_text, again.reasons)
    assert part.host in ask(desk).fitting


def test_the_world_of_the_property_has_everything_in_it() -> None:
    """Every kind of change is met, so that none of it passes for want of cases."""
    kinds: set[EditKind] = set()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(wishes, st.lists(machines, min_size=1, max_size=4))
    def collect(wanted: TaskConfig, hosts: list[Machine]) -> None:
        desk = furnished(wanted, hosts)
        smallest = desk.engine.explain(desk.active(0), desk.now).smallest
        kinds.update(edit.kind for edit in (smallest.change if smallest is not None else ()))

    collect()
    assert kinds == set(EditKind) - {EditKind.CONFIGURE}
