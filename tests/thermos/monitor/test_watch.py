"""Waiting for files: woken by what happens there, and never for ever where the kernel does not tell."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from thermos.monitor.watch import Watch


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    yield watch
    watch.close()


def test_a_write_is_heard_and_says_where(watch: Watch, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").touch()
        watch.add(tmp_path / name)
    watch.add(tmp_path / "a")
    assert watch.drain() == set()
    (tmp_path / "b" / "f").write_text("x")
    assert watch.drain() == {tmp_path / "b"}
    (tmp_path / "a" / "new").touch()
    assert watch.drain() == {tmp_path / "a"}
    assert not watch.blind


def test_wait_ends_when_something_happens(watch: Watch, tmp_path: Path) -> None:
    watch.add(tmp_path)
    threading.Timer(0.05, (tmp_path / "f").touch).start()
    begin = time.monotonic()
    watch.wait(60)
    assert time.monotonic() - begin < 30


def test_wait_ends_for_a_descriptor_too(watch: Watch, tmp_path: Path) -> None:
    watch.add(tmp_path)
    read, write = os.pipe()
    os.write(write, b"x")
    begin = time.monotonic()
    watch.wait(60, read)
    assert time.monotonic() - begin < 30
    os.close(read)
    os.close(write)


def test_what_is_not_there_yet_is_watched_when_it_comes(watch: Watch, tmp_path: Path) -> None:
    place = tmp_path / "later"
    watch.add(place)
    assert watch.blind
    begin = time.monotonic()
    watch.wait()
    assert time.monotonic() - begin < 30, "it looks by itself"
    place.mkdir()
    assert place in watch.drain()
    assert not watch.blind


def test_dropped_is_not_heard(watch: Watch, tmp_path: Path) -> None:
    watch.add(tmp_path)
    watch.drop(tmp_path)
    (tmp_path / "f").touch()
    watch.drain()
    (tmp_path / "g").touch()
    assert watch.drain() == set()


def test_without_inotify_it_looks_by_itself(tmp_path: Path) -> None:
    watch = Watch()
    watch.close()
    watch.add(tmp_path)
    assert watch.blind
    assert watch.drain() == {tmp_path}
    begin = time.monotonic()
    watch.wait()
    assert time.monotonic() - begin < 30
