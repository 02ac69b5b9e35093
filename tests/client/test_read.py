"""`thermos read`: whatever stands in a checkpoint, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.thermos.read import read_checkpoint
from tests.client.room import Room
from tests.thermos.core import samples
from thermos.core.records import encode_record
from thermos.core.states import TaskState


def read(room: Room, *words: str) -> list[str]:
    return ["read", "--root", str(room.root), *words]


@pytest.fixture
def ran(room: Room) -> Room:
    script = "[ -e again ] && exit 0; touch again; exit 3"
    room.run(room.task(f"Process(name = 'p', cmdline = '{script}', max_failures = 3, min_duration = 0)"))
    return room


def test_by_id_by_directory_and_by_file_it_is_the_same(ran: Room) -> None:
    directory = ran.root / "checkpoints/t"
    outs = [ran.thermos(*read(ran, where)) for where in ("t", str(directory), str(directory / "runner"))]
    assert [(done.code, done.err) for done in outs] == [(0, "")] * 3
    assert outs[0].out == outs[1].out == outs[2].out
    lines = outs[0].out.splitlines()
    assert lines[0] == "task t"
    assert f"  sandbox: {ran.root}/sandboxes/t" in lines
    states = [line.split()[2].rstrip(":") for line in lines if line.startswith("  20")]
    assert states == ["ACTIVE", "CLEANING", "FINALIZING", "SUCCESS"]
    at = lines.index("  p: 2 runs")
    assert lines[at + 1].startswith("    1: SUCCESS, exit code 0, pid ")
    assert lines[at + 2].startswith("    0: FAILED, exit code 3, pid "), "newest first"


def test_the_records_themselves(ran: Room) -> None:
    done = ran.thermos(*read(ran, "--simple", "t"))
    records = [json.loads(line) for line in done.out.splitlines()]
    stood = [line for line in (ran.root / "checkpoints/t/runner").read_text().splitlines() if line]
    assert len(records) == len(stood)
    assert [(r["kind"], r["mono"]) for r in records] == [(j["kind"], j["mono"]) for j in map(_body, stood)]


def _body(line: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(line[9:])
    return found


def test_json(ran: Room) -> None:
    told = json.loads(ran.thermos(*read(ran, "-o", "json", "t")).out)
    assert (told["task"]["state"], told["damage"]) == ("SUCCESS", [])


def test_damage_is_told_with_its_place(tmp_path: Path, room: Room) -> None:
    good = [samples.header(), samples.owner(), samples.status(TaskState.ACTIVE), samples.starting()]
    lines = [encode_record(record) for record in good]
    lines.insert(2, b"00000000 {}\n")
    (tmp_path / "runner").write_bytes(b"".join(lines) + b"torn")
    (tmp_path / "coordinator.p").write_bytes(b"!\n" + encode_record(samples.forked()))
    done = room.thermos("read", str(tmp_path))
    assert done.code == 1
    offset = len(lines[0]) + len(lines[1])
    assert [line for line in done.out.splitlines() if line.startswith("DAMAGED")] == [
        f"DAMAGED: runner at byte {offset}: wrong checksum",
        f"DAMAGED: runner at byte {sum(map(len, lines))}: torn line",
        "DAMAGED: coordinator.p at byte 0: no checksum",
    ]
    assert "    0: FORKED" in done.out, "what its coordinator said counts though nobody has mirrored it"
    assert read_checkpoint(tmp_path / "runner").task.processes["p"].total == 1


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("./missing", "cannot read missing: no such file"),
        ("nothing", "Could not find task 'nothing'"),
        ("./empty", "cannot read empty: there is no checkpoint in it"),
        ("./thrift", "cannot read thrift: checkpoint stream CORRUPT or outdated format"),
        ("/dev/null", "cannot read /dev/null: it is not a file"),
    ],
)
def test_what_is_no_checkpoint(room: Room, where: str, text: str) -> None:
    (room.path / "empty").mkdir()
    (room.path / "thrift").write_bytes(b"\0\1\2 thrift\n\n")
    done = room.thermos(*read(room, where))
    assert done.code == 1
    assert done.err.startswith(f"thermos: {text}")
