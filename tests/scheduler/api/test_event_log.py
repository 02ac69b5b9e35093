"""The list of events and its readers: order, wishes, coming back, being too slow; and what a publication costs."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from msgspec import structs

from scheduler import event_log
from scheduler.core.effects import TaskChanged, TasksDeleted
from scheduler.core.model import JobKey, ScheduledTask, TaskEvent
from scheduler.core.states import ScheduleStatus
from scheduler.event_log import EventLog, Reader, TooManyReaders
from tests.scheduler.store.worlds import task_of

WEB = JobKey(role="www", environment="prod", name="web")
OTHER = JobKey(role="www", environment="test", name="web")


def changed(task_id: str, job: JobKey = WEB, old: ScheduleStatus | None = None) -> TaskChanged:
    return TaskChanged(task_of(task_id, job), old)


def parse(text: bytes) -> list[tuple[str, str, Any]]:
    """(id, kind, data) of each event."""
    found = []
    for block in text.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


async def heard(reader: Reader) -> list[tuple[str, str, Any]]:
    """What is there at once."""
    text = await asyncio.wait_for(reader.next(), 20)
    assert text is not None
    return parse(text)


def ids(events: list[tuple[str, str, Any]]) -> list[str]:
    return [data["taskId"] for _, _, data in events]


async def settled() -> None:
    """Everybody who can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_an_event_tells_all_of_a_change() -> None:
    async def test() -> None:
        log = EventLog("b")
        reader = log.subscribe()
        task = task_of("t1", WEB)
        event = TaskEvent(timestamp=7, status=ScheduleStatus.RUNNING, message="ok")
        task = structs.replace(task, status=ScheduleStatus.RUNNING, task_events=(*task.task_events, event))
        log.publish(TaskChanged(task, ScheduleStatus.STARTING))
        assert await heard(reader) == [
            (
                "b-1",
                "task",
                {
                    "taskId": "t1",
                    "key": {"role": "www", "environment": "prod", "name": "web"},
                    "instance": task.assigned_task.instance_id,
                    "status": "RUNNING",
                    "old": "STARTING",
                    "host": task.assigned_task.slave_host,
                    "message": "ok",
                    "timestamp": 7,
                },
            )
        ]

    asyncio.run(test())


def test_deletions_are_told_job_by_job() -> None:
    async def test() -> None:
        log = EventLog("b")
        all_of_it, one = log.subscribe(), log.subscribe((None, "test", None))
        log.publish(TasksDeleted((task_of("a", WEB), task_of("b", OTHER), task_of("c", WEB))))
        assert [(k, d["taskIds"]) for _, k, d in await heard(all_of_it)] == [
            ("deleted", ["a", "c"]),
            ("deleted", ["b"]),
        ]
        assert [d["taskIds"] for _, _, d in await heard(one)] == [["b"]]

    asyncio.run(test())


def test_a_reader_waits_for_its_own_events_only() -> None:
    async def test() -> None:
        log = EventLog("b")
        reader = log.subscribe(("www", None, "web"))
        log.publish(changed("x", JobKey(role="ads", environment="prod", name="web")))
        waiting = asyncio.ensure_future(heard(reader))
        await settled()
        log.publish(changed("y", JobKey(role="www", environment="prod", name="db")))
        await settled()
        assert not waiting.done()
        log.publish(changed("t"))
        log.publish(changed("u"))  # before the reader has its turn
        assert ids(await waiting) == ["t", "u"]

    asyncio.run(test())


def test_who_comes_back_goes_on_where_it_was() -> None:
    async def test() -> None:
        log = EventLog("b", kept=3)
        for number in range(5):
            log.publish(changed(f"t{number}"))
        assert ids(await heard(log.subscribe(after="b-3"))) == ["t3", "t4"]
        assert ids(await heard(log.subscribe(after="b-2"))) == ["t2", "t3", "t4"], "the oldest that can be told"
        waiting = asyncio.ensure_future(heard(log.subscribe(after="b-5")))
        await settled()
        assert not waiting.done()
        log.publish(changed("t5"))
        assert ids(await waiting) == ["t5"]

    asyncio.run(test())


@pytest.mark.parametrize("name", ["b-1", "b-6", "c-4", "b-", "b-x", "x", "b--1", "b-" + "9" * 30, "b-٣", "-4"])
def test_a_name_that_leads_nowhere_is_a_reset(name: str) -> None:
    async def test() -> None:
        log = EventLog("b", kept=3)
        for number in range(5):
            log.publish(changed(f"t{number}"))
        reader = log.subscribe(after=name)
        assert await heard(reader) == [("b-5", "reset", {})]
        log.publish(changed("t5"))
        assert ids(await heard(reader)) == ["t5"]
        assert log.resets == 0, "it was not slow"

    asyncio.run(test())


def test_a_reader_that_is_too_slow_is_told() -> None:
    async def test() -> None:
        log = EventLog("b", kept=3)
        reader = log.subscribe()
        for number in range(4):
            log.publish(changed(f"t{number}"))
        assert await heard(reader) == [("b-4", "reset", {})]
        assert log.resets == 1
        log.publish(changed("t4"))
        assert ids(await heard(reader)) == ["t4"]

    asyncio.run(test())


def test_a_reader_of_a_quiet_job_is_not_slow() -> None:
    """Even when its waits end for other reasons, again and again."""

    async def test() -> None:
        log = EventLog("b", kept=3)
        reader = log.subscribe((None, "test", None))
        for number in range(10):
            waiting = asyncio.ensure_future(reader.next())
            await settled()
            log.publish(changed(f"t{number}"))
            waiting.cancel()
            await settled()
        log.publish(changed("t", OTHER))
        assert ids(await heard(reader)) == ["t"]
        assert log.resets == 0

    asyncio.run(test())


def test_an_event_that_comes_while_a_wait_ends_is_not_lost() -> None:
    async def test() -> None:
        log = EventLog("b")
        reader = log.subscribe()
        waiting = asyncio.ensure_future(reader.next())
        await settled()
        waiting.cancel()
        log.publish(changed("t"))  # called, but its wait is over already
        log.publish(changed("u"))
        await settled()
        assert waiting.cancelled()
        assert ids(await heard(reader)) == ["t", "u"]

    asyncio.run(test())


def test_close_ends_everybody() -> None:
    async def test() -> None:
        log = EventLog("b")
        waiting = [asyncio.ensure_future(log.subscribe().next()) for _ in range(3)]
        await settled()
        log.close()
        assert await asyncio.gather(*waiting) == [None] * 3
        assert await log.subscribe().next() is None

    asyncio.run(test())


def test_no_answer_is_long_whatever_is_said() -> None:
    """Every reader that sleeps holds one."""

    async def test() -> None:
        log = EventLog("b")
        reader = log.subscribe()
        task = task_of("t", WEB)
        wordy = structs.replace(task, task_events=(TaskEvent(timestamp=7, status=task.status, message="x" * 4096),))
        for _ in range(100):
            log.publish(TaskChanged(wordy, None))
        found: list[str] = []
        while len(found) < 100:
            text = await asyncio.wait_for(reader.next(), 20)
            assert text is not None and len(text) < event_log.BATCH_BYTES + 5000
            found += [name for name, _, _ in parse(text)]
        assert found == [f"b-{number}" for number in range(1, 101)]

    asyncio.run(test())


def test_readers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(event_log, "MAX_READERS", 2)
        log = EventLog("b")
        first, _ = log.subscribe(), log.subscribe()
        with pytest.raises(TooManyReaders):
            log.subscribe()
        log.unsubscribe(first)
        log.subscribe()

    asyncio.run(test())


def test_readers_at_random_hear_what_they_asked_for() -> None:
    """Against the plain list of all events: nothing twice, nothing missing but what a reset stands for."""
    chance = random.Random(20261126)
    jobs = [JobKey(role=r, environment=e, name=n) for r in "ab" for e in "cd" for n in "ef"]

    async def test() -> None:
        log = EventLog("b", kept=40)
        told: list[JobKey] = []
        readers = []
        for _ in range(30):
            wish = tuple(chance.choice((None, *letters)) for letters in ("ab", "cd", "ef"))
            readers.append((log.subscribe(wish), wish, [0], []))  # type: ignore[arg-type]
        tasks: list[asyncio.Task[bytes | None]] = [asyncio.ensure_future(r.next()) for r, *_ in readers]
        for _ in range(400):
            for _ in range(chance.choice((1, 1, 1, 5, 30))):
                told.append(chance.choice(jobs))
                log.publish(changed(f"t{len(told)}", told[-1]))
            await settled()
            for index, (reader, wish, seen, resets) in enumerate(readers):
                if not tasks[index].done():
                    if chance.random() < 0.1:
                        tasks[index].cancel()
                        await settled()
                        tasks[index] = asyncio.ensure_future(reader.next())
                    continue
                if chance.random() < 0.4:
                    continue  # it is busy with something else
                check(parse(tasks[index].result() or b""), told, wish, seen, resets)
                tasks[index] = asyncio.ensure_future(reader.next())
        assert any(resets for *_, resets in readers), "some were too slow"
        for task in tasks:
            task.cancel()

    def check(events: list[Any], told: list[JobKey], wish: Any, seen: list[int], resets: list[int]) -> None:
        for name, kind, data in events:
            number = int(name.removeprefix("b-"))
            if kind == "reset":
                resets.append(number)
            else:
                between = [n for n in range(seen[0] + 1, number) if event_log._matches(wish, told[n - 1])]
                assert between == [], "something was left out"
                assert event_log._matches(wish, told[number - 1])
                assert data["taskId"] == f"t{number}"
            assert number > seen[0] or kind == "reset"
            seen[0] = number

    asyncio.run(test())


def test_a_publication_costs_its_own_readers_only() -> None:
    """Counted: readers woken, not time."""

    async def test() -> None:
        log = EventLog("b")
        tasks: list[ScheduledTask] = [
            task_of(f"t{n}", JobKey(role="r", environment="prod", name=f"j{n}")) for n in range(500)
        ]
        readers = [log.subscribe(("r", "prod", f"j{n}")) for n in range(500)]
        waits = [asyncio.ensure_future(reader.next()) for reader in readers]
        await settled()
        log.publish(TaskChanged(tasks[7], None))
        await settled()
        assert [n for n, wait in enumerate(waits) if wait.done()] == [7]
        for wait in waits:
            wait.cancel()

    asyncio.run(test())
