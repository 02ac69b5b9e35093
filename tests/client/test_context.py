"""Where commands look when they are not told."""

from __future__ import annotations

from pathlib import Path

import pytest

from client import context
from client.context import default_root, one_root, search_roots, user_name


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(context.os, "geteuid", lambda: 1000)
    return monkeypatch


def test_root_has_the_system_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context.os, "geteuid", lambda: 0)
    assert default_root() == Path("/var/run/thermos")


def test_a_user_has_a_root_that_outlives_a_reboot(user: pytest.MonkeyPatch) -> None:
    user.setenv("HOME", "/home/u")
    user.delenv("XDG_STATE_HOME", raising=False)
    assert default_root() == Path("/home/u/.local/state/thermos")
    user.setenv("XDG_STATE_HOME", "/state")
    assert default_root() == Path("/state/thermos")


def test_a_named_root_is_absolute_and_the_only_one(user: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user.chdir(tmp_path)
    assert one_root("here") == tmp_path / "here"
    assert search_roots("here", None) == [tmp_path / "here"]


def test_without_a_name_all_usual_roots_are_searched(user: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user.setenv("XDG_STATE_HOME", str(tmp_path))
    run = tmp_path / "mesos/slaves/S/frameworks/F/executors/e/runs/r/checkpoints"
    run.mkdir(parents=True)
    user.setattr(context, "MESOS_ROOT", tmp_path / "mesos")
    assert search_roots(None, None) == [tmp_path / "thermos", Path("/var/run/thermos"), run]
    assert search_roots(None, str(tmp_path / "mesos")) == [run]


def test_a_uid_without_a_name_is_its_number() -> None:
    assert user_name(0) == "root"
    assert user_name(987654) == "987654"
