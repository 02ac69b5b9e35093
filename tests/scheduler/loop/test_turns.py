"""Turns, their commits and what comes out of them, in which order; failures and bugs."""

from __future__ import annotations

import asyncio
import logging

import pytest

from scheduler.core.effects import TasksDeleted
from scheduler.loop import LONGEST_PAUSE_S, MOST_WAITING, PAUSE_S
from scheduler.store.journal import Fenced, StoreError
from scheduler.turn import Turn
from tests.scheduler.loop.world import World, quota, saving, telling
from tests.scheduler.store.worlds import task_of
from thermos.errors import Bug, UserError


async def test_nothing_is_told_before_its_commit_and_all_before_it() -> None:
    world = World()
    first = asyncio.create_task(world.loop.act(saving("a", "after a", "A")))
    second = asyncio.create_task(world.loop.act(saving("b", "after b", "B")))
    looking = asyncio.create_task(world.loop.act(lambda turn: world.roles))
    await world.settle()
    world.loop.post(telling("behind both"))
    await world.settle()
    assert world.roles == ["a", "b"]  # memory is ahead
    assert (first.done(), world.told()) == (False, [])

    world.journal.succeed()
    await world.settle()
    assert (await first, second.done(), looking.done()) == ("A", False, False)
    assert world.told() == ["after a"]

    world.journal.succeed()
    assert (await second, await looking) == ("B", ["a", "b"])
    assert world.told() == ["after b", "behind both"]
    assert (world.loop.stats.commits, world.loop.stats.ops) == (2, 2)


async def test_without_changes_nobody_waits() -> None:
    world = World()
    assert await world.loop.act(lambda turn: 7) == 7
    world.loop.post(telling("at once"))
    assert world.told() == ["at once"]


async def test_events_are_published_when_they_are_durable() -> None:
    world = World()

    def delete(turn: Turn) -> None:
        turn.apply(quota("a"))
        turn.tell(TasksDeleted((task_of("t"),)))

    world.loop.post(delete)
    await world.settle()
    assert world.loop.events.published == 0
    world.journal.succeed()
    await world.settle()
    assert world.loop.events.published == 1
    assert world.told() == []


async def test_a_commit_that_fails_takes_all_on_top_of_it_along() -> None:
    world = World()
    acts = [asyncio.create_task(world.loop.act(saving(role, f"after {role}"))) for role in "abc"]
    looking = asyncio.create_task(world.loop.act(lambda turn: world.roles))
    await world.settle()
    world.journal.succeed()
    await world.settle()
    world.journal.fail()
    await world.settle()
    await acts[0]
    for act in (*acts[1:], looking):
        with pytest.raises(StoreError, match="no space left"):
            await act
    assert world.roles == ["a"]
    assert [[o.value for e in world.engine.rebuilt[0] for o in e.offer_ids]] == [["after b", "after c"]]
    assert world.told() == ["after a", "rebuilt1"]
    assert world.journal.resumed == 1

    with pytest.raises(StoreError, match="no space left"):
        await world.loop.act(saving("d"))  # at once: nothing is tried so soon
    world.advance(PAUSE_S)
    again = asyncio.create_task(world.loop.act(saving("d", "after d")))
    await world.settle()
    world.journal.succeed()
    await again
    assert (world.roles, world.told()) == (["a", "d"], ["after d"])


async def test_the_engine_hears_of_a_failure_before_the_next_turn() -> None:
    """The tables are taken back as soon as the store knows; a turn that comes just then must not see an old engine."""
    world = World()
    world.loop.post(saving("a", "after a"))
    seen: list[tuple[list[str], int]] = []
    world.journal.fail()
    await asyncio.sleep(0)  # the store takes back; whoever waits for the commit has not run yet
    world.loop.post(lambda turn: seen.append((world.roles, len(world.engine.rebuilt))))
    await world.settle()
    assert seen == [([], 1)]
    assert len(world.engine.rebuilt) == 1


async def test_who_stops_waiting_stops_nothing() -> None:
    world = World()
    act = asyncio.create_task(world.loop.act(saving("a", "after a")))
    await world.settle()
    act.cancel()
    await world.settle()
    assert act.cancelled()
    world.journal.succeed()
    await world.settle()
    assert (world.roles, world.told()) == (["a"], ["after a"])


async def test_a_refusal_changes_nothing() -> None:
    world = World()

    def refuse(turn: Turn) -> None:
        raise UserError("not so")

    with pytest.raises(UserError, match="not so"):
        await world.loop.act(refuse)
    assert (world.engine.rebuilt, world.loop.stats.bugs) == ([], 0)


@pytest.mark.parametrize("error", [RuntimeError("oops"), UserError("too late"), Bug("never")])
async def test_a_bug_takes_its_turn_back(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    def half(turn: Turn) -> None:
        turn.apply(quota("half"))
        raise error

    world.loop.post(saving("a"))
    with pytest.raises(type(error)):
        await world.loop.act(half)
    assert world.roles == ["a"]
    assert len(world.engine.rebuilt) == 1
    assert "the turn is taken back" in caplog.text
    world.journal.succeed()
    await world.settle()
    assert not world.loop.failed.done()


async def test_three_bugs_of_ours_within_a_minute_end_it() -> None:
    world = World()
    world.engine.error = RuntimeError("oops")
    for pause in (0.0, 61.0, 30.0):
        world.advance(pause)
        world.loop.post(world.engine.step)
        assert not world.loop.failed.done()
    world.advance(29.0)
    world.loop.post(world.engine.step)
    with pytest.raises(Bug, match="3 internal errors within 60 seconds"):
        await world.loop.failed
    assert world.roles == []


async def test_what_people_wish_can_not_end_it() -> None:
    world = World()

    def fail(turn: Turn) -> None:
        raise RuntimeError("oops")

    for _ in range(5):
        with pytest.raises(RuntimeError):
            await world.loop.act(fail)
    assert not world.loop.failed.done()


async def test_another_scheduler_took_over() -> None:
    world = World()
    act = asyncio.create_task(world.loop.act(saving("a")))
    await world.settle()
    world.journal.fail(Fenced("epoch 3 has been here"))
    with pytest.raises(Fenced):
        await act
    with pytest.raises(Fenced):
        await world.loop.failed


async def test_an_engine_that_can_not_be_rebuilt_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.engine.is_broken = True
    world.loop.post(saving("a"))
    world.journal.fail()
    await world.settle()
    with pytest.raises(Bug, match="can't be made anew"):
        await world.loop.failed
    assert caplog.records[-1].levelno == logging.ERROR


async def test_time_calls_the_engine_when_it_wants() -> None:
    world = World()
    world.engine.wakes = [1010.0, 1030.0, 1030.0]
    world.advance(20.0)
    assert world.engine.steps == []  # not begun
    world.loop.start()
    assert world.engine.started == 1
    world.advance(0.0)
    assert world.engine.steps == [1020.0]  # it was due already
    world.advance(9.0)
    assert world.engine.steps == [1020.0]
    world.advance(1.0)
    assert world.engine.steps == [1020.0, 1030.0, 1030.0]
    assert world.timers.next_at() is None
    world.engine.wakes = [1050.0]
    world.loop.post(telling("news"))  # each turn may change what it wants
    world.engine.wakes = [1040.0]
    world.loop.post(telling("more"))
    world.loop.stop()
    world.advance(100.0)
    assert len(world.engine.steps) == 3


async def test_an_earlier_wish_moves_the_timer() -> None:
    world = World()
    world.engine.wakes = [1050.0]
    world.loop.start()
    world.engine.wakes = [1005.0]
    world.loop.post(telling("news"))
    world.advance(10.0)
    assert world.engine.steps == [1005.0]


async def test_after_a_failed_commit_time_pauses_longer_and_longer() -> None:
    """Otherwise a full disk would be written to as often as the processor can."""
    world = World()
    world.loop.start()
    pauses = []
    for _ in range(6):
        world.loop.post(saving("a"))
        world.journal.fail()
        await world.settle()
        begun, steps = world.timers.now(), len(world.engine.steps)
        world.engine.wakes = [begun]
        world.loop.post(telling("event"))
        while len(world.engine.steps) == steps:
            world.advance(0.5)
        pauses.append(world.engine.steps[-1] - begun)
    assert pauses == [PAUSE_S, 2.0, 4.0, 8.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    world.loop.post(saving("b"))
    world.journal.succeed()
    await world.settle()
    world.loop.post(saving("c"))
    world.journal.fail()
    await world.settle()
    world.engine.wakes = [world.timers.now()]
    world.loop.post(telling("event"))
    steps = len(world.engine.steps)
    world.advance(PAUSE_S)
    assert len(world.engine.steps) == steps + 1


async def test_when_too_many_turns_wait_those_of_ours_wait_too() -> None:
    world = World()
    world.loop.start()
    for number in range(MOST_WAITING):
        assert world.loop._room.is_set()
        world.loop.post(saving(f"r{number}"))
    room = asyncio.create_task(world.loop.room())
    world.engine.wakes = [world.timers.now()]
    world.loop.post(telling("one more comes in all the same"))
    world.advance(5.0)
    await world.settle()
    assert (room.done(), world.engine.steps) == (False, [])
    world.journal.succeed(2)
    await world.settle()
    await room
    world.advance(0.0)
    assert len(world.engine.steps) == 1


async def test_effects_are_taken_in_portions_and_the_end_of_all_is_known() -> None:
    world = World()
    quiet = asyncio.create_task(world.loop.performed())
    await quiet
    for name in "abc":
        world.loop.post(telling(name))
    quiet = asyncio.create_task(world.loop.performed())
    assert len(await world.loop.outward(2)) == 2
    assert len(await world.loop.outward(2)) == 1
    await world.settle()
    assert not quiet.done()  # the last one is being performed
    asking = asyncio.create_task(world.loop.outward(2))
    await quiet
    world.loop.post(telling("d"))
    assert len(await asking) == 1


async def test_closing_waits_for_the_commits() -> None:
    world = World()
    act = asyncio.create_task(world.loop.act(saving("a", "after a")))
    await world.settle()
    await world.loop.close()
    await act
    assert world.told() == ["after a"]
    assert world.loop.state()["commits"] == 1
