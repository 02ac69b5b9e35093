"""Said twice, done once: with the real loop, before and after it is durable, over a restart, and for a day only."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.answers import AnswerRules
from scheduler.engine import Engine, EngineSettings
from scheduler.event_log import EventLog
from scheduler.lifecycle import Lifecycle
from scheduler.loop import PAUSE_S, Loop
from scheduler.service import answers, jobs
from scheduler.service.context import Context, ServiceSettings
from scheduler.service.refusals import Refusal
from scheduler.store.journal import Journal, StoreError
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.store import Store
from tests.mesos.scheduler.masters import VirtualTimers
from tests.scheduler.core.making import JOB, SETTINGS, config
from tests.scheduler.loop.world import SlowJournal
from tests.scheduler.service.desks import Desk, job_of, refused
from thermos.clock import Now

DAY_S = 24 * 3600.0


def wish(key: str = "k", body: str = "b", who: str = "jane") -> answers.Wish:
    return answers.wish(key, who, "POST", "/jobs", body)


class Counted:
    """What is done each time it is called."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return f"done {self.times}".encode()


def say(desk: Desk, asked: answers.Wish | None, decide: Callable[[], bytes]) -> tuple[bytes, bool]:
    reply = desk.act(lambda turn: answers.once(desk.context, turn, asked, decide))
    return reply.body, reply.again


def test_the_same_wish_has_the_same_answer_and_is_not_done_again() -> None:
    desk, done = Desk(), Counted()
    assert say(desk, wish(), done) == (b"done 1", False)
    desk.tick(DAY_S - 1)
    applied = desk.tables.applied
    assert say(desk, wish(), done) == (b"done 1", True)
    assert desk.tables.applied == applied and done.times == 1


def test_without_a_key_everything_is_done() -> None:
    desk, done = Desk(), Counted()
    assert [say(desk, None, done) for _ in range(2)] == [(b"done 1", False), (b"done 2", False)]
    assert len(desk.tables.answers) == 0


@pytest.mark.parametrize("other", [wish(body="x"), wish(who="joe"), answers.wish("k", "jane", "POST", "/job", "sb")])
def test_a_key_stands_for_one_wish_of_one_person(other: answers.Wish) -> None:
    desk, done = Desk(), Counted()
    say(desk, wish(), done)
    _, text = refused(lambda: say(desk, other, done))
    assert "k was used for another request" in text and done.times == 1
    assert say(desk, wish(), done) == (b"done 1", True)


def test_after_a_day_a_key_is_new() -> None:
    desk, done = Desk(), Counted()
    say(desk, wish(), done)
    desk.tick(DAY_S)
    assert say(desk, wish(body="x"), done) == (b"done 2", False)
    assert say(desk, wish(body="x"), done) == (b"done 2", True)


def test_a_refusal_is_not_remembered() -> None:
    desk = Desk()
    asked = job_of(config(), 0)

    def create(count: int) -> bytes:
        made = desk.act(lambda turn: answers.once(desk.context, turn, wish(), lambda: _create(desk, turn, count)))
        return made.body

    with pytest.raises(Refusal):
        create(0)
    assert len(desk.tables.answers) == 0
    assert create(2) == b"[0, 1]" and asked.instance_count == 0
    assert create(2) == b"[0, 1]"


def _create(desk: Desk, turn: Any, count: int) -> bytes:
    made = jobs.create_job(desk.context, turn, job_of(config(), count), "jane")
    return json.dumps(made.instances).encode()


def test_old_answers_go_a_few_at_a_time() -> None:
    desk, done = Desk(answers=AnswerRules(most_at_once=2)), Counted()
    for n in range(6):
        say(desk, wish(f"old{n}"), done)
    desk.tick(DAY_S)
    counts = []
    for n in range(4):
        say(desk, wish(f"new{n}"), done)
        counts.append(len(desk.tables.answers))
    assert counts == [5, 4, 3, 4]
    assert sorted(each.key for each in desk.tables.answers) == ["new0", "new1", "new2", "new3"]


def test_answers_never_take_more_than_they_may() -> None:
    rules = AnswerRules(most=5, most_bytes=3000)
    desk = Desk(answers=rules)
    for n in range(20):
        say(desk, wish(f"many{n}"), lambda: b"x")
        assert len(desk.tables.answers) <= 5
    for n in range(20):
        say(desk, wish(f"large{n}"), lambda: b"x" * 900)
        assert desk.tables.answers.size <= 3000
    assert say(desk, wish("large19"), lambda: b"never") == (b"x" * 900, True)


# --- with the loop and a journal -----------------------------------------------------------------------------------


class Scheduler:
    """Loop, store and engine, without Mesos."""

    def __init__(self, journal: Journal) -> None:
        self.timers = timers = VirtualTimers()
        self.store = Store(journal)
        engine = Engine(self.store.tables, EngineSettings(SETTINGS), lambda: 0.5, iter(map(str, range(999))).__next__)
        self.context = Context(engine, ServiceSettings(cluster="rz1"))
        self.loop = Loop(
            engine, self.store, EventLog("boot"), Lifecycle(timers.now),
            now=lambda: Now(1_800_000_000.0 + timers.now(), timers.now()), timers=timers,
        )  # fmt: skip
        self.loop.start()

    async def create(self, key: str = "k") -> tuple[bytes, bool]:
        def decide(turn: Any) -> answers.Reply:
            asked = job_of(config(), 2)
            return answers.once(
                self.context, turn, wish(key),
                lambda: json.dumps(jobs.create_job(self.context, turn, asked, "jane").instances).encode(),
            )  # fmt: skip

        reply = await self.loop.act(decide)
        return reply.body, reply.again


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@in_a_loop
async def test_a_wish_that_is_said_again_while_it_is_under_way_is_answered_when_it_is_durable() -> None:
    journal = SlowJournal()
    scheduler = Scheduler(journal)
    first, second = asyncio.create_task(scheduler.create()), asyncio.create_task(scheduler.create())
    await settle()
    assert len(journal.under_way) == 1 and not first.done() and not second.done()
    journal.succeed()
    assert await first == (b"[0, 1]", False) and await second == (b"[0, 1]", True)
    assert len(scheduler.store.tables.tasks) == 2
    await scheduler.loop.close()


@in_a_loop
async def test_when_it_could_not_be_made_durable_it_was_neither_done_nor_answered() -> None:
    journal = SlowJournal()
    scheduler = Scheduler(journal)
    both = [asyncio.create_task(scheduler.create()) for _ in range(2)]
    await settle()
    journal.fail()
    assert [type(error) for error in await asyncio.gather(*both, return_exceptions=True)] == [StoreError] * 2
    assert len(scheduler.store.tables.tasks) == 0 == len(scheduler.store.tables.answers)
    scheduler.timers.advance(PAUSE_S)
    again = asyncio.create_task(scheduler.create())
    await settle()
    journal.succeed()
    assert await again == (b"[0, 1]", False)
    await scheduler.loop.close()


@in_a_loop
async def test_an_answer_outlives_the_scheduler(tmp_path: Path) -> None:
    first = Scheduler(SqliteJournal(tmp_path))
    assert await first.create() == (b"[0, 1]", False)
    await first.loop.close()
    second = Scheduler(SqliteJournal(tmp_path))
    assert await second.create() == (b"[0, 1]", True)
    assert [task.config.job for task in second.store.tables.tasks.all()] == [JOB, JOB]
    await second.loop.close()
