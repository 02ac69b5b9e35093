"""Runs without a checkpoint: records go into a pipe, and nothing is left behind."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.thermos.coordinator.harness import (
    PATIENCE,
    Host,
    Record,
    encode_orders,
    parse_record,
    read_line,
    stat_fields,
    wait_gone,
)


@dataclass
class Pipe:
    """The owner's end of a coordinator's records."""

    host: Host
    read: int

    def spawn(self, *command: str, **more: object) -> None:
        plain: dict[str, object] = {"inbox": None, "records": "pipe", "destination": "console", "log_base": None}
        orders = self.host.orders(*command, **{**plain, **more})
        self.host.spawn(encode_orders(orders))
        assert self.host.records_to is not None
        os.close(self.host.records_to)

    def record(self) -> Record:
        return parse_record((read_line(self.read)).encode())

    def rest(self) -> list[Record]:
        """Until the coordinator has gone."""
        data = b""
        while True:
            assert select.select([self.read], [], [], PATIENCE)[0], data
            part = os.read(self.read, 65536)
            data += part
            if not part:
                return [parse_record(line) for line in data.splitlines()]


@pytest.fixture
def pipe(host: Host) -> Iterator[Pipe]:
    read, host.records_to = os.pipe()
    made = Pipe(host, read)
    yield made
    if made.read >= 0:
        os.close(made.read)


def test_all_records_come_and_the_end_of_the_pipe_is_the_end(pipe: Pipe) -> None:
    pipe.spawn("/bin/bash", "-c", "exit 7")
    records = pipe.rest()
    assert [r["kind"] for r in records] == ["forked", "running", "exited"]
    assert [r["seq"] for r in records] == [0, 1, 2]
    assert records[-1]["code"] == 7
    assert pipe.host.started[0].wait() == 0
    assert sorted(p.name for p in pipe.host.task.iterdir()) == ["wake"]  # no inbox, and it was not looked for
    assert pipe.host.pokes() == b""


def test_a_set_up_that_fails_is_told(pipe: Pipe) -> None:
    pipe.spawn("/no/such/program")
    assert [(r["kind"], r.get("stage"), r.get("errno")) for r in pipe.rest()] == [
        ("forked", None, None),
        ("setup_failed", "exec", 2),
    ]


def test_the_command_does_not_hold_the_pipe(pipe: Pipe) -> None:
    pipe.spawn("/bin/bash", "-c", "ls /proc/self/fd | wc -l > fds")
    assert pipe.rest()[-1]["code"] == 0
    assert (pipe.host.sandbox / "fds").read_text().split() == ["4"]  # 0, 1, 2 and that of ls


def test_kill_ends_daemons_that_linger_too(pipe: Pipe) -> None:
    go, out = pipe.host.fifo("go"), pipe.host.fifo("out")
    pipe.spawn("/bin/bash", "-c", "setsid bash -c 'echo $$ > out; exec sleep 1000' & read x < go")
    daemon = int(read_line(out))
    assert stat_fields(daemon)
    kinds = [pipe.record()["kind"] for _ in range(2)]
    os.write(go, b"\n")
    exited = pipe.record()
    assert [*kinds, exited["kind"], exited["daemons"]] == ["forked", "running", "exited", 1]
    pipe.host.started[0].signal(signal.SIGQUIT)
    assert [r["kind"] for r in pipe.rest()] == ["stopped", "gone"]
    wait_gone([daemon])


def test_a_reader_that_has_gone_changes_nothing_but_that(pipe: Pipe) -> None:
    go, out = pipe.host.fifo("go"), pipe.host.fifo("out")
    pipe.spawn("/bin/bash", "-c", "echo $$ > out; read x < go; echo done > out")
    int(read_line(out))
    os.close(pipe.read)
    pipe.read = -1
    os.write(go, b"\n")
    assert read_line(out) == "done"
    assert pipe.host.started[0].wait() == 0  # it does not try for ever to write


def test_fd_3_must_be_a_pipe_then(pipe: Pipe) -> None:
    os.close(pipe.host.records_to or 0)
    pipe.host.records_to = os.open(pipe.host.task, os.O_RDONLY | os.O_DIRECTORY)
    read, write = os.pipe()
    pipe.host.console = (write, write)
    pipe.spawn("/bin/true")
    assert pipe.host.started[0].wait() == 111
    assert read_line(read) == "thermos-coordinator: not a pipe: fd 3"
    os.close(read)
    os.close(write)


def test_a_keeper_needs_an_inbox(pipe: Pipe) -> None:
    pipe.spawn("/bin/true", respawn=1)
    assert [(r["kind"], r.get("stage")) for r in pipe.rest()] == [("setup_failed", "orders")]
