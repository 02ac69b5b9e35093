"""`killing.py DIRECTORY KILLS SEED`: kill writers of a store, see what is left. Prints five numbers, or fails.

Shared memory carries what a child has appended and what was acknowledged to it: it outlives the child.
"""

from __future__ import annotations

import gc
import mmap
import os
import random
import signal
import sys
import time
from concurrent.futures import Future
from pathlib import Path

from scheduler.store import snapshot, sqlite_journal
from scheduler.store.ops import DeleteTasks, Op
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.tables import Tables, apply, replay
from tests.scheduler.store.stores import saved

#: A task is kept for so long: snapshots stay small, and deletions are among the operations.
KEPT = 30


class Notes:
    """Each is written by one thread, in one store: a writer that is killed leaves the old number or the new one.

    (`struct.pack_into` would not do: it clears the place first.)
    """

    def __init__(self) -> None:
        self._numbers = memoryview(mmap.mmap(-1, 64)).cast("Q")

    def __getitem__(self, place: int) -> int:
        return self._numbers[place]

    def __setitem__(self, place: int, value: int) -> None:
        self._numbers[place] = value


APPENDED, ACKNOWLEDGED, ASKED, MADE, READY = range(5)


def operation(number: int) -> list[Op]:
    """The number's own operations: what was appended is known from how many there were."""
    return [saved(number, size=number % 7 * 300), DeleteTasks(task_ids=(f"t{number - KEPT}",))]


def numbers(tables: Tables) -> list[int]:
    return sorted(int(task.id[1:]) for task in tables.tasks.all())


def write_until_killed(directory: Path, notes: Notes, first: int, chance: random.Random) -> None:
    journal = SqliteJournal(directory)
    tables = replay(journal.load())
    notes[READY] = 1
    number = first
    while True:
        futures: list[Future[None]] = []
        for _ in range(chance.choice((1, 1, 3, 20))):
            ops = operation(number)
            for op in ops:
                apply(tables, op)
            number += 1
            notes[APPENDED] = number
            future = journal.append(ops)
            future.add_done_callback(lambda _, number=number: notes.__setitem__(ACKNOWLEDGED, number))
            futures.append(future)
        if notes[ASKED] == notes[MADE] and chance.random() < 0.3:
            notes[ASKED] += 1
            journal.snapshot(tables).add_done_callback(lambda _: notes.__setitem__(MADE, notes[ASKED]))
        futures[-1].result()


def check(directory: Path, notes: Notes) -> tuple[int, int]:
    """(operations there, of those unacknowledged)."""
    journal = SqliteJournal(directory)
    found = numbers(replay(journal.load()))
    journal.close()
    count = found[-1] + 1 if found else 0
    assert found == list(range(max(0, count - KEPT), count)), f"a hole: {found}"
    assert notes[ACKNOWLEDGED] <= count <= notes[APPENDED], f"{notes[ACKNOWLEDGED]} <= {count} <= {notes[APPENDED]}"
    return count, count - notes[ACKNOWLEDGED]


def main(directory: Path, kills: int, seed: int) -> None:
    snapshot.CHUNK = 10
    sqlite_journal.LONG_BYTES = 1 << 40
    chance = random.Random(seed)
    count = in_flight = in_snapshot = survived = 0
    for turn in range(kills):
        notes = Notes()
        notes[APPENDED] = notes[ACKNOWLEDGED] = count
        gc.freeze()
        child = os.fork()
        if child == 0:
            write_until_killed(directory, notes, count, random.Random(seed * kills + turn))
        pause = chance.random() ** 2 * 0.008
        give_up = time.monotonic() + 30
        if turn % 10:  # the others are killed while they start
            while not notes[READY] and time.monotonic() < give_up:
                time.sleep(0.0005)
        time.sleep(pause)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the child ended by itself: {status}"
        in_flight += notes[APPENDED] > notes[ACKNOWLEDGED]
        in_snapshot += notes[ASKED] > notes[MADE]
        count, extra = check(directory, notes)
        survived += extra
    print(kills, in_flight, in_snapshot, count, survived)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
