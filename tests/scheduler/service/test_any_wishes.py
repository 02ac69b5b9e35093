"""Any wishes in any order, against a model that knows only which instances there are, and how."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.model import InstanceKey
from scheduler.core.states import AGENT_ASSIGNED
from scheduler.core.validation import Rules
from scheduler.service import jobs
from scheduler.service.config_groups import ConfigGroup
from scheduler.service.refusals import Refusal, RefusalCode
from tests.scheduler.core.making import JOB, config
from tests.scheduler.service.desks import RUNNING, Desk, S

MOST = 6
CONFIGS = [structs.replace(config(), is_service=True, priority=n) for n in range(2)]

#: Mostly of instances that are there.
number = st.sampled_from([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 7])
numbers = st.frozensets(number, max_size=3)
wishes = st.one_of(
    st.tuples(st.just("create"), st.integers(0, 1), st.integers(0, MOST + 1)),
    st.tuples(st.just("add"), number, st.sampled_from([1, 1, 2, 4, 0])),
    st.tuples(st.just("add"), number, st.just(1)),
    st.tuples(st.just("kill"), st.none() | numbers),
    st.tuples(st.just("kill"), st.builds(lambda n: frozenset({n}), number)),
    st.tuples(st.just("restart"), numbers),
    st.tuples(st.just("restart"), st.builds(lambda n: frozenset({n}), number)),
    st.tuples(st.just("diff"), st.integers(0, 1), st.integers(1, MOST), st.none() | numbers),
    st.tuples(st.just("run"), number),
    st.tuples(st.just("run"), number),
    st.tuples(st.just("end"), number),
    st.tuples(st.just("update"), st.sampled_from([True, False, False, False])),
)
histories = st.builds(
    lambda which, count, rest: [("create", which, count), *rest],
    st.integers(0, 1), st.integers(2, 4), st.lists(wishes, min_size=5, max_size=25),
)  # fmt: skip


class Model:
    """Instance -> (configuration, how it is): waits, runs, is ending, is coming again."""

    def __init__(self) -> None:
        self.there: dict[int, tuple[int, str]] = {}
        self.updating = False

    def create(self, which: int, count: int) -> object:
        if not 1 <= count <= MOST:
            return RefusalCode.INVALID_REQUEST
        if self.updating:
            return RefusalCode.JOB_UPDATING
        if self.there:
            return RefusalCode.ALREADY_EXISTS
        self.there = dict.fromkeys(range(count), (which, "waits"))
        return list(range(count))

    def add(self, template: int, count: int) -> object:
        if count <= 0:
            return RefusalCode.INVALID_REQUEST
        if self.updating:
            return RefusalCode.JOB_UPDATING
        if template not in self.there:
            return RefusalCode.NOT_FOUND
        if len(self.there) + count > MOST:
            return RefusalCode.INVALID_REQUEST
        first = max(self.there) + 1
        self.there.update({first + n: (self.there[template][0], "waits") for n in range(count)})
        return list(range(first, first + count))

    def kill(self, chosen: frozenset[int] | None) -> object:
        if chosen is not None and not chosen:
            return RefusalCode.INVALID_REQUEST
        if self.updating:
            return RefusalCode.JOB_UPDATING
        killed = [n for n in sorted(self.there) if (chosen is None or n in chosen) and self.there[n][1] != "ends"]
        for n in killed:
            if self.there[n][1] == "waits":
                del self.there[n]
            else:
                self.there[n] = (self.there[n][0], "ends")
        return killed

    def restart(self, chosen: frozenset[int]) -> object:
        if not chosen:
            return RefusalCode.INVALID_REQUEST
        if self.updating:
            return RefusalCode.JOB_UPDATING
        if not chosen <= set(self.there):
            return RefusalCode.INVALID_REQUEST
        restarted = [n for n in sorted(chosen) if self.there[n][1] == "runs"]
        for n in restarted:
            self.there[n] = (self.there[n][0], "comes again")
        return restarted

    def diff(self, which: int, count: int, only: frozenset[int] | None) -> object:
        found: dict[str, list[int]] = {"add": [], "remove": [], "update": [], "unchanged": []}
        for n in sorted(set(range(count)) | set(self.there)):
            if only is not None and n not in only:
                continue
            if n not in self.there:
                found["add"].append(n)
            elif n >= count:
                found["remove"].append(n)
            else:
                found["unchanged" if self.there[n][0] == which else "update"].append(n)
        return found


def flat(groups: tuple[ConfigGroup, ...]) -> list[int]:
    return sorted(n for each in groups for first, last in each.instances for n in range(first, last + 1))


def ask(desk: Desk, wish: tuple[object, ...]) -> object:
    """Of the real one; a refusal's code."""
    context = desk.context
    try:
        match wish:
            case ("create", int(which), int(count)):
                return list(desk.create(CONFIGS[which], count).instances)
            case ("add", int(template), int(count)):
                key = InstanceKey(job_key=JOB, instance_id=template)
                return list(desk.act(lambda turn: jobs.add_instances(context, turn, key, count, "jane")).instances)
            case ("kill", None | frozenset() as chosen):
                killed = desk.act(lambda turn: jobs.kill_tasks(context, turn, JOB, chosen, "jane"))
                assert bool(killed.message) is not bool(killed.instances) and len(killed.task_ids) == len(
                    killed.instances
                )
                return list(killed.instances)
            case ("restart", frozenset() as chosen):
                return list(desk.act(lambda turn: jobs.restart(context, turn, JOB, chosen, "jane")).instances)
            case ("diff", int(which), int(count), None | frozenset() as only):
                found = jobs.diff(context, CONFIGS[which], count, only)
                return {name: flat(getattr(found, name)) for name in ("add", "remove", "update", "unchanged")}
    except Refusal as refusal:
        return refusal.code
    raise AssertionError(wish)


def happen(desk: Desk, model: Model, wish: tuple[object, ...]) -> None:
    """What is nobody's wish: tasks run, tasks end."""
    match wish:
        case ("run", int(n)) if n in model.there and model.there[n][1] == "waits":
            desk.move(n, *RUNNING)
            model.there[n] = (model.there[n][0], "runs")
        case ("end", int(n)) if n in model.there and model.there[n][1] == "ends":
            desk.move(n, S.KILLED)
            del model.there[n]
        case ("end", int(n)) if n in model.there and model.there[n][1] == "comes again":
            desk.move(n, S.KILLED)
            model.there[n] = (model.there[n][0], "waits")


def statuses(desk: Desk) -> Mapping[int, tuple[int, str]]:
    words = {S.KILLING: "ends", S.RESTARTING: "comes again"}
    return {
        task.assigned_task.instance_id: (
            task.config.priority, words.get(task.status, "runs" if task.status in AGENT_ASSIGNED else "waits"),
        )
        for task in desk.tables.tasks.active_of_job(JOB)
    }  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(histories)
def test_wishes_do_what_the_model_says(sequence: list[tuple[object, ...]]) -> None:
    desk, model = Desk(Rules(max_tasks_per_job=MOST)), Model()
    update = None
    for wish in sequence:
        name, *arguments = wish
        if name == "update":
            if update is None and arguments[0]:
                update, model.updating = desk.begin_update(), True
            elif update is not None and not arguments[0]:
                desk.end_update(update)
                update, model.updating = None, False
        elif name in ("run", "end"):
            happen(desk, model, wish)
        else:
            assert ask(desk, wish) == getattr(model, str(name))(*arguments), wish
        assert statuses(desk) == model.there
    assert desk.engine.stats.illegal_transitions == 0
