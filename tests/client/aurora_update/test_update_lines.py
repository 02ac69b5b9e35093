"""How an update is shown: a table that fits, and lines."""

from __future__ import annotations

import random
from typing import Any

import pytest

from client.aurora.core.update_lines import counts_line, instance_line, state_line, table_lines, waiting_line
from client.aurora.core.updates import Cell, Kind, Stand, Update, Wait, batches_of, parse_update
from client.aurora.update_follow import Lines
from client.render import width_of
from client.terminal import paint_line
from tests.client.aurora.test_odd_answers import mutated
from tests.client.aurora_update.fake_updates import update
from thermos.errors import RemoteError


def parsed(document: dict[str, Any], *events: tuple[int, str], **more: Any) -> Update:
    """`events`: (instance, action), a second apart."""
    told = [
        {"instanceId": number, "timestampMs": 61_000 + 1_000 * index, "action": f"INSTANCE_{action}"}
        for index, (number, action) in enumerate(events)
    ]
    return parse_update({**document, "instanceEvents": told, **more})


def shown(update: Update, *, rows: int = 20, columns: int = 200, now_ms: int = 100_000) -> list[str]:
    lines = table_lines("job", update, now_ms, rows, columns)
    return [paint_line(line, columns, colours=False) for line in lines]


# --- where every instance stands -------------------------------------------------------------------------------------


def numbers(update: Update) -> list[list[int]]:
    return [[cell.instance for cell in batch] for batch in batches_of(update)]


def test_new_ones_come_first_then_changed_ones_then_those_that_go() -> None:
    update_ = parsed(update(before=(2, 6), after=(0, 4)))
    assert numbers(update_) == [[0, 1, 2, 3, 4, 5, 6]]
    kinds = [cell.kind for cell in batches_of(update_)[0]]
    assert kinds == [Kind.ADD] * 2 + [Kind.REPLACE] * 3 + [Kind.REMOVE] * 2


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"queueStrategy": {"groupSize": 2}}, [[0, 1, 2, 3, 4]]),
        ({"batchStrategy": {"groupSize": 2}}, [[0, 1], [2, 3], [4]]),
        ({"varBatchStrategy": {"groupSizes": [1, 2]}}, [[0], [1, 2], [3, 4]]),
        ({"varBatchStrategy": {"groupSizes": []}}, [[0, 1, 2, 3, 4]]),
        ({"batchStrategy": {"groupSize": 0}}, [[0, 1, 2, 3, 4]]),
        ({"someNewStrategy": {"size": 3}}, [[0, 1, 2, 3, 4]]),
    ],
)
def test_batches(strategy: dict[str, Any], expected: list[list[int]]) -> None:
    assert numbers(parsed(update(after=(0, 4), strategy=strategy))) == expected


def test_the_last_event_says_where_an_instance_stands() -> None:
    update_ = parsed(
        update(after=(0, 5)),
        (0, "UPDATING"), (1, "UPDATING"), (2, "UPDATING"), (1, "UPDATED"), (2, "UPDATE_FAILED"), (3, "OF_A_NEW_KIND"),
        (1, "ROLLING_BACK"), (4, "ROLLED_BACK"), (5, "ROLLBACK_FAILED"),
    )  # fmt: skip
    stands = [cell.stand for cell in batches_of(update_)[0]]
    assert stands == [
        Stand.WORKING, Stand.ROLLING_BACK, Stand.FAILED, Stand.WAITING, Stand.ROLLED_BACK, Stand.FAILED,
    ]  # fmt: skip
    assert batches_of(update_)[0][0] == Cell(0, Kind.ADD, Stand.WORKING, 61_000)


def test_what_was_well_already_is_done_when_the_update_is() -> None:
    assert batches_of(parsed(update(status="ROLLED_FORWARD")))[0][0].stand is Stand.DONE
    assert batches_of(parsed(update(status="ABORTED")))[0][0].stand is Stand.WAITING


# --- the table -------------------------------------------------------------------------------------------------------


def test_a_line_for_every_instance() -> None:
    waits = [
        {"instance": 1, "kind": "WATCH", "what": "it is running", "sinceMs": 95_000, "untilMs": 103_000},
        {"instance": 2, "kind": "PLACEMENT", "what": "no host\x1b was found", "sinceMs": 40_000},
    ]
    update_ = parsed(
        update(before=(1, 1), after=(0, 2), strategy={"batchStrategy": {"groupSize": 2}}),
        (0, "UPDATED"), (2, "UPDATING"), (1, "UPDATING"), waitsFor=waits, progress={"done": 1, "total": 3},
    )  # fmt: skip
    assert shown(update_) == [
        "job  ROLLING_FORWARD  1 of 3 instances  batch 1 of 2  40 s",
        "  ● 0    added             39 s  batch 1",
        "  ◐ 2    adding            38 s  batch 1  no host? was found, for 1 min",
        "  ◐ 1    updating          37 s  batch 2  it is running, 3 s left",
    ]


def test_why_it_rolls_back_and_what_the_whole_of_it_waits_for() -> None:
    document = update(after=(0, 0), status="ROLL_BACK_PAUSED")
    events = [
        {"status": "ROLLING_BACK", "timestampMs": 62_000, "message": "Latest failure: instance 0 exited."},
        {"status": "ROLL_BACK_PAUSED", "timestampMs": 63_000},
    ]
    waits = [{"instance": None, "kind": "RESUME", "what": "it is paused", "sinceMs": 63_000}]
    update_ = parsed(document, (0, "ROLLING_BACK"), updateEvents=events, waitsFor=waits)
    assert shown(update_) == [
        "job  ROLL_BACK_PAUSED  0 of 1 instance  40 s",
        "  Latest failure: instance 0 exited.",
        "  it is paused, for 37 s",
        "  ◐ 0    rolling back      39 s",
    ]


def test_time_stands_still_when_it_is_over() -> None:
    update_ = parsed(update(status="ROLLED_FORWARD"), modifiedMs=72_000)
    assert shown(update_)[0] == "job  ROLLED_FORWARD  0 of 2 instances  12 s"


def test_a_cell_for_every_instance_of_a_big_update() -> None:
    waits = [{"instance": n, "what": f"w{n}", "kind": "START", "sinceMs": 90_000 - n} for n in range(10)]
    update_ = parsed(
        update(after=(0, 39), strategy={"batchStrategy": {"groupSize": 10}}), (0, "UPDATED"), (1, "UPDATING"),
        waitsFor=waits,
    )  # fmt: skip
    lines = shown(update_, rows=5, columns=23)
    assert [line.strip() for line in lines[1:3]] == ["●◐········ ··········", "·········· ··········"]
    assert lines[3] == "  instance 9, for 10 s…"
    assert lines[4] == "  … 9 more wait"
    assert len(lines) == 5
    assert all(width_of(line) <= 23 for line in lines)
    assert len(shown(update_, rows=2, columns=23)) == 2


# --- lines -----------------------------------------------------------------------------------------------------------


def test_lines() -> None:
    update_ = parsed(update(), (0, "UPDATING"))
    assert state_line(update_.update_events[0]) == "Current state ROLLING_FORWARD"
    assert instance_line("job", update_.instance_events[0]).endswith(" job/0 INSTANCE_UPDATING")
    wait = Wait(what="no host was found", kind="PLACEMENT", instance=3, since_ms=60_000)
    assert waiting_line("job", wait, 75_000).endswith(
        " job/3 waits: no host was found, for 15 s (aurora job why job/3)"
    )
    whole = Wait(what="it is paused", kind="RESUME", since_ms=60_000)
    assert waiting_line("job", whole, 75_000).endswith(" job waits: it is paused, for 15 s (aurora update resume job)")


def test_a_big_update_is_told_in_counts(capsys: pytest.CaptureFixture[str]) -> None:
    big = update(after=(0, 199))
    lines = Lines("job", from_start=True)
    lines.show(parsed(big))
    lines.show(parsed(big, (0, "UPDATING"), (1, "UPDATING"), (1, "UPDATE_FAILED"), progress={"done": 1, "total": 200}))
    lines.show(parsed(big, (0, "UPDATING"), (1, "UPDATING"), (1, "UPDATE_FAILED"), progress={"done": 1, "total": 200}))
    assert capsys.readouterr().out.splitlines() == [
        "Current state ROLLING_FORWARD",
        "job: 0 of 200 instances",
        "job: 1 of 200 instances; 1 in the works, 1 failed",
    ]
    assert counts_line("job", parsed(big)) == "job: 0 of 200 instances"


def test_what_happened_at_one_moment_is_told_in_its_order(capsys: pytest.CaptureFixture[str]) -> None:
    states = ["ABORTED", "ROLLING_BACK", "ROLLING_FORWARD"]
    actions = ["INSTANCE_ROLLING_BACK", "INSTANCE_UPDATE_FAILED"]
    told = {
        "updateEvents": [{"status": status, "timestampMs": 61_000} for status in states],
        "instanceEvents": [{"instanceId": 0, "action": action, "timestampMs": 61_000} for action in actions],
    }
    Lines("job", from_start=True).show(parse_update({**update(), **told}))
    words = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert words == ["ROLLING_FORWARD", "INSTANCE_UPDATE_FAILED", "ROLLING_BACK", "INSTANCE_ROLLING_BACK", "ABORTED"]


def test_what_is_waited_for_long_is_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = [65_000]
    monkeypatch.setattr("client.aurora.update_follow.wall_ms", lambda: now_ms[0])
    waits = [
        {"instance": 0, "kind": "WATCH", "what": "it is watched", "sinceMs": 60_000, "untilMs": 300_000},
        {"instance": 1, "kind": "START", "what": "it is starting", "sinceMs": 60_000},
    ]
    lines = Lines("job", from_start=False)
    lines.show(parsed(update(), waitsFor=waits))
    assert capsys.readouterr().out == "Current state ROLLING_FORWARD\n"
    for now_ms[0] in (71_000, 80_000):
        lines.show(parsed(update(), waitsFor=waits))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(" job/1 waits: it is starting, for 11 s")


def test_odd_updates_are_refused_or_shown() -> None:
    """Whatever a scheduler answers, nothing of it reaches the terminal as a code, and nothing breaks."""
    chance, refused = random.Random(8), 0
    usual = parsed(update(before=(0, 1), after=(0, 2)), (0, "UPDATING"))
    document = update(before=(0, 1), after=(0, 2))
    document["instanceEvents"] = [{"instanceId": 0, "timestampMs": 61_000, "action": "INSTANCE_UPDATING"}]
    document["waitsFor"] = [{"instance": 0, "kind": "START", "what": "w", "sinceMs": 61_000, "untilMs": 62_000}]
    assert shown(usual)
    for _ in range(500):
        try:
            odd = parse_update(mutated(document, chance))
        except RemoteError:
            refused += 1
            continue
        assert not any("\x1b" in line for line in shown(odd))
        assert "\x1b" not in counts_line("job", odd)
    assert 50 < refused < 450
