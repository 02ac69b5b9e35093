"""Ended tasks are forgotten: old ones, and of a job with very many the oldest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import TaskState
from scheduler.core.effects import TasksDeleted
from scheduler.core.model import JobKey
from scheduler.core.prune import Ended, PruneRules
from scheduler.core.states import ScheduleStatus
from tests.scheduler.core.making import config
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import world

S = ScheduleStatus
RULES = PruneRules(keep_s=48 * 3600, most_per_job=3, at_least_s=3600)


def end_one(made: World) -> str:
    (task,) = made.running(config())
    made.say(task, TaskState.FINISHED)
    return task.id


def test_two_days_after_its_end() -> None:
    made = world()
    first = end_one(made)
    made.advance(3600)
    second = end_one(made)
    made.advance(47 * 3600 - 5)
    assert len(made.tables.tasks) == 2
    made.advance(10)
    assert made.tables.tasks.get(first) is None
    (told,) = made.told(TasksDeleted)
    assert [task.id for task in told.tasks] == [first]
    made.advance(3600)
    assert made.tables.tasks.get(second) is None
    assert made.engine.stats.tasks_pruned == 2


def test_the_oldest_of_very_many_after_an_hour() -> None:
    made = world(pruning=RULES)
    ended = [end_one(made) for _ in range(6)]
    made.advance(3500)
    assert len(made.tables.tasks) == 6
    made.advance(200)
    assert [task_id for task_id in ended if task_id in made.tables.tasks] == ended[3:]


def test_a_start_counts_from_when_they_ended() -> None:
    made = world(pruning=RULES)
    ended = [end_one(made) for _ in range(5)]
    made.advance(3000)
    made.restart()
    made.subscribe()
    made.advance(700)
    assert [task_id for task_id in ended if task_id in made.tables.tasks] == ended[2:]
    made.tick(made.mono + 49 * 3600)
    made.restart()
    made.advance(0)
    assert len(made.tables.tasks) == 0


def test_many_are_deleted_in_parts() -> None:
    made = world(pruning=PruneRules(keep_s=10, most_per_job=10_000))
    made.lag = True
    for number in range(700):
        (task,) = made.add(config(job=JobKey(role="r", environment="e", name=f"j{number}")), 0)
        for state in (S.ASSIGNED, S.FINISHED):
            made.wish(task.id, state)
    made.tick(made.mono + 11)
    made.step()
    assert len(made.tables.tasks) == 200
    wake = made.engine.next_wake()
    assert wake is not None and wake <= made.mono
    made.step()
    assert len(made.tables.tasks) == 0


Act = tuple[str, int, float]
acts = st.lists(
    st.tuples(st.sampled_from(["end", "end", "delete", "wait", "hold"]), st.integers(0, 12), st.floats(0, 3000)),
    max_size=40,
)


@given(acts)
def test_no_more_and_no_less_than_the_rules_say(script: list[Act]) -> None:
    """Against a walk over everything after each step."""
    rules = PruneRules(keep_s=5000, most_per_job=2, at_least_s=1000)
    ended, model, now = Ended(rules), dict[str, tuple[str, float]](), 0.0
    held: dict[str, tuple[float, tuple[str, float]]] = {}
    for act, number, seconds in script:
        task_id, job = f"t{number}", f"j{number % 2}"
        if act == "end" and task_id not in model and task_id not in held:
            model[task_id] = (job, now - seconds)
            ended.add(task_id, JobKey(role="r", environment="e", name=job), now - seconds)
        elif act == "delete":
            model.pop(task_id, None)
            held.pop(task_id, None)
            ended.remove(task_id)
        else:
            now += seconds
        wake = ended.next_wake()
        back = {each for each, (until, _) in held.items() if until <= now}
        model |= {each: held.pop(each)[1] for each in back}
        gone = naively(model, rules, now)
        assert (wake is not None and wake <= now) == bool(gone | back)
        assert set(ended.due(now, 100)) == gone
        for each in gone:
            job, at = model.pop(each)
            if act == "hold":
                held[each] = (now + 700, (job, at))
                ended.hold(each, JobKey(role="r", environment="e", name=job), at, now + 700)
        assert len(ended) == len(model) + len(held)


def naively(model: dict[str, tuple[str, float]], rules: PruneRules, now: float) -> set[str]:
    gone = {task_id for task_id, (_, at) in model.items() if at + rules.keep_s <= now}
    for job in {job for job, _ in model.values()}:
        left = sorted((at, task_id) for task_id, (its, at) in model.items() if its == job and task_id not in gone)
        too_many = left[: max(0, len(left) - rules.most_per_job)]
        gone |= {task_id for at, task_id in too_many if at + rules.at_least_s <= now}
    return gone
