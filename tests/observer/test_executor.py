"""Tasks under Mesos with what their executors say of themselves: pages, API, metrics, news; and whom it believes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.core.executor_state import ExecutorState, executor_view, parse_executor_state
from observer.executor_file import MAX_BYTES, NO_FILE, read_executor_file
from observer.ui.render import render
from tests.observer.build import BEGIN, Builder, TaskBuilder, mesos_root
from tests.observer.served import Served, run, serving
from tests.observer.test_metrics import scrape, value
from thermos.core.states import TaskState

NOBODY = 65534
HEALTH = {
    "verdict": "running", "reason": "", "attempts": 5, "failures": 1, "successes": 0, "running": True,
    "unhealthy": False, "checked": True, "hanging": False,
    "last": {"at": BEGIN + 5, "took_s": 0.25, "result": 'expected "ok", got "no"', "snoozed": False},
    "snoozed": None, "totals": {"checks": 9, "failed": 2, "snoozed": 1, "timed_out": 1, "latency_s": 1.5},
}  # fmt: skip
ANNOUNCER = {
    "state": "joined", "since": BEGIN + 1, "path": "/aurora/www/prod/web",
    "node": "/aurora/www/prod/web/member_0000000003",
    "paused": False, "disconnected_s": 0.0, "problem": None, "failures": 0, "joined": 1, "lost": 0,
}  # fmt: skip
DISK = {"limit_bytes": 1 << 30, "used_bytes": 1 << 20, "percent": 0.1, "at": BEGIN, "took_s": 0.1, "problem": None}
DRIVER = {"phase": "subscribed", "problem": "", "attempts": 0, "subscriptions": 1, "unacknowledged_updates": 2}


def state(**changes: Any) -> dict[str, Any]:
    known = {
        "version": 1, "pid": 4711, "task_id": "web-1", "phase": "running", "since": BEGIN, "outcome": None,
        "health": HEALTH, "announcer": ANNOUNCER, "disk": DISK, "driver": DRIVER, "trouble": "", "metrics": {"x": 1},
    }  # fmt: skip
    return known | changes


class Executed:
    """A task below a Mesos work directory, with its executor's file."""

    def __init__(self, work: Path, task_id: str = "web-1") -> None:
        self.work = work
        self.root = mesos_root(work, f"thermos-{task_id}")
        self.run_dir = self.root.parent
        self.task: TaskBuilder = Builder(self.root, self.run_dir / "sandbox").task(task_id)

    @property
    def path(self) -> Path:
        return self.run_dir / "executor.json"

    def say(self, **changes: Any) -> None:
        fresh = self.run_dir / ".executor.json.new"
        fresh.write_text(json.dumps(state(**changes)))
        fresh.replace(self.path)


@pytest.fixture
def executed(tmp_path: Path) -> Executed:
    made = Executed(tmp_path / "mesos")
    made.say()
    return made


def served(executed: Executed, test: Any) -> None:
    async def inside() -> None:
        async with serving(mesos=executed.work, render=render) as s:
            await test(s)

    run(inside)


def test_the_api_tells_what_the_executor_says(executed: Executed) -> None:
    async def test(s: Served) -> None:
        told = (await s.json("/api/v1/tasks/web-1"))["executor"]
        assert (told["phase"], told["pid"], told["agent"], told["unacknowledged"]) == ("running", 4711, "subscribed", 2)
        health = told["health"]
        assert (health["word"], health["verdict"], health["failures"]) == ("failing", "running", 1)
        assert (health["last_result"], health["last_took"]) == ('expected "ok", got "no"', 0.25)
        assert (health["checks"], health["failed"], health["timed_out"]) == (9, 2, 1)
        assert told["announced"]["announced"] is True
        assert told["announced"]["node"] == "/aurora/www/prod/web/member_0000000003"
        assert (told["disk"]["limit"], told["disk"]["used"]) == (1 << 30, 1 << 20)
        row = (await s.json("/api/v1/tasks"))["rows"][0]
        assert row["health"] == "failing"

    served(executed, test)


def test_the_page_shows_it(executed: Executed) -> None:
    executed.say(health={**HEALTH, "snoozed": {"since": BEGIN, "until": BEGIN + 3600}})

    async def test(s: Served) -> None:
        page = await (await s.get("/task/web-1", headers={"Accept": "text/html"})).text()
        assert 'id="executor"' in page
        assert "SNOOZED" in page
        assert "expected &#34;ok&#34;, got &#34;no&#34;" in page
        assert "/aurora/www/prod/web/member_0000000003" in page
        assert "2 updates not acknowledged" in page
        index = await (await s.get("/main", headers={"Accept": "text/html"})).text()
        assert "SNOOZED" in index

    served(executed, test)


def test_why_it_is_not_announced(executed: Executed) -> None:
    executed.say(announcer={**ANNOUNCER, "state": "retrying", "node": None, "problem": "NoAuth: <b>wrong ACL</b>"})

    async def test(s: Served) -> None:
        page = await (await s.get("/task/web-1")).text()
        assert "no: retrying" in page
        assert "NoAuth: &lt;b&gt;wrong ACL&lt;/b&gt;" in page

    served(executed, test)


def test_a_task_without_checks_and_announcer(executed: Executed) -> None:
    executed.say(health={**HEALTH, "checked": False, "last": None}, announcer=None, disk=None)

    async def test(s: Served) -> None:
        page = await (await s.get("/task/web-1")).text()
        assert "no health check" in page
        assert "not asked for" in page
        assert (await s.json("/api/v1/tasks"))["rows"][0]["health"] == ""
        told = await scrape(s)
        assert not told["thermos_executor_healthy"]
        assert not told["thermos_executor_announced"]

    served(executed, test)


def test_metrics(executed: Executed) -> None:
    async def test(s: Served) -> None:
        told = await scrape(s)
        for name, expected in {
            "connected": 1, "unacknowledged_updates": 2, "healthy": 1, "health_consecutive_failures": 1,
            "health_snoozed": 0, "health_checks": 9, "health_failed": 2, "health_latency_seconds": 1.5, "announced": 1,
            "announcer_disconnected_seconds": 0, "disk_limit_bytes": 1 << 30, "disk_used_bytes": 1 << 20,
        }.items():  # fmt: skip
            assert value(told[f"thermos_executor_{name}"], task="web-1") == expected, name
        assert value(told["thermos_executor_phase"], task="web-1", phase="running") == 1

    served(executed, test)


def test_news_come_when_the_file_changes(executed: Executed) -> None:
    async def inside() -> None:
        async with serving(mesos=executed.work) as s:
            while not s.changes.empty():
                s.changes.get_nowait()
            executed.say(phase="leaving", health={**HEALTH, "verdict": "unhealthy"})
            change = await s.changes.get()
            assert (str(change.kind), change.task.task_id) == ("changed", "web-1")
            told = (await s.json("/api/v1/tasks/web-1"))["executor"]
            assert (told["phase"], told["health"]["word"]) == ("leaving", "unhealthy")
            (executed.run_dir / "stderr").write_text("what an executor logs is no news")
            (executed.run_dir / "executor.journal").write_text("nor is its journal")
            executed.say(phase="killing")
            change = await s.changes.get()
            assert (await s.json("/api/v1/tasks/web-1"))["executor"]["phase"] == "killing"
            assert s.changes.empty()

    run(inside)


def test_the_last_words_of_a_finished_task_are_read_though_it_was_looked_at_before(executed: Executed) -> None:
    async def inside() -> None:
        async with serving(mesos=executed.work) as s:
            executed.task.run("main").finish(TaskState.SUCCESS)
            while str((await s.changes.get()).kind) != "finished":
                pass
            assert (await s.json("/api/v1/tasks/web-1"))["executor"]["outcome"] == ""
            executed.say(phase="ended", outcome={"state": "TASK_FINISHED", "message": "well done"})
            told = (await s.json("/api/v1/tasks/web-1"))["executor"]
            assert (told["phase"], told["outcome"], told["message"]) == ("ended", "TASK_FINISHED", "well done")

    run(inside)


def test_the_past_has_no_executor(executed: Executed) -> None:
    executed.task.run("main")

    async def test(s: Served) -> None:
        assert (await s.json("/api/v1/tasks/web-1?at=2"))["executor"] is None
        assert (await s.json("/api/v1/tasks/web-1"))["executor"] is not None

    served(executed, test)


def test_a_standalone_task_has_none(tmp_path: Path) -> None:
    builder = Builder(tmp_path / "root")
    builder.task("t")
    (tmp_path / "executor.json").write_text(json.dumps(state()))

    async def inside() -> None:
        async with serving(builder.root) as s:
            told = await s.json("/api/v1/tasks/t")
            assert told["executor"] is None
            assert not [note for note in told["notes"] if "executor.json" in note["text"]]

    run(inside)


# --- whom it believes ------------------------------------------------------------------------------------------------


def trouble(executed: Executed) -> str:
    found = read_executor_file(executed.run_dir, NO_FILE)
    assert found.state is None
    return found.trouble


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.root
class TestOwners:
    def test_a_file_of_the_tasks_user_is_not_believed(self, executed: Executed) -> None:
        os.chown(executed.run_dir, NOBODY, NOBODY)
        os.chown(executed.path, NOBODY, NOBODY)
        assert trouble(executed).endswith(f"it belongs to uid {NOBODY}, not to the agent's executor")

        async def test(s: Served) -> None:
            told = await s.json("/api/v1/tasks/web-1")
            assert told["executor"] is None
            assert [n for n in told["notes"] if "cannot believe" in n["text"] and n["serious"]]

        served(executed, test)

    def test_one_of_the_agents_user_is(self, executed: Executed) -> None:
        os.chown(executed.run_dir.parent, NOBODY, NOBODY)
        os.chown(executed.path, NOBODY, NOBODY)
        assert read_executor_file(executed.run_dir, NO_FILE).state is not None


def test_what_others_may_write_is_not_believed(executed: Executed) -> None:
    executed.path.chmod(0o666)
    assert trouble(executed).endswith("others than its owner may write it")


def test_a_link_is_not_followed(executed: Executed) -> None:
    executed.path.rename(executed.run_dir / "elsewhere.json")
    executed.path.symlink_to("elsewhere.json")
    assert trouble(executed).startswith(f"cannot read {executed.path}: ")


@pytest.mark.parametrize("kind", ["fifo", "directory", "huge"])
def test_what_is_no_small_file_is_not_read(executed: Executed, kind: str) -> None:
    executed.path.unlink()
    if kind == "fifo":
        os.mkfifo(executed.path)
    elif kind == "directory":
        executed.path.mkdir()
    else:
        executed.path.write_bytes(b" " * (MAX_BYTES + 1))
    assert "small regular file" in trouble(executed) or "cannot read" in trouble(executed)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "can't be understood"),
        (b"{", "can't be understood"),
        (b"[]", "can't be understood"),
        (b'{"version": 2}', "version 2"),
        (b'{"phase": "running"}', "can't be understood"),
        (b'{"version": 1, "health": 3}', "can't be understood"),
        (b"\xff\xfe", "can't be understood"),
        (b'{"version": 1, "x": ' + b"[" * 5000 + b"]" * 5000 + b"}", "can't be understood"),
    ],
)
def test_nonsense_is_told_in_one_line(executed: Executed, data: bytes, words: str) -> None:
    executed.path.write_bytes(data)
    told = trouble(executed)
    assert words in told
    assert "\n" not in told


def test_it_is_read_again_only_when_it_has_changed(executed: Executed) -> None:
    first = read_executor_file(executed.run_dir, NO_FILE)
    assert read_executor_file(executed.run_dir, first) is first
    executed.say(phase="ended")
    second = read_executor_file(executed.run_dir, first)
    assert second.state is not None
    assert second.state.phase == "ended"
    executed.path.unlink()
    assert read_executor_file(executed.run_dir, second) is NO_FILE
    assert read_executor_file(executed.run_dir, NO_FILE) is NO_FILE


def test_what_is_shown_is_bounded() -> None:
    long = "x\n" * 100_000
    told = parse_executor_state(json.dumps(state(trouble=long, since=1e300, pid=-5)).encode())
    view = executor_view(told, 0.0)
    assert len(view.trouble) <= 400
    assert "\n" not in view.trouble
    assert (view.since, view.pid) == (0.0, 0)


@settings(max_examples=200, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(state()) + sorted(HEALTH)), inner),
    max_leaves=20,
))  # fmt: skip
def test_whatever_it_says_there_is_a_view_or_a_line(value: object) -> None:
    data = json.dumps({**state(), **value} if isinstance(value, dict) else value).encode()
    try:
        told = parse_executor_state(data)
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(told, ExecutorState)
        executor_view(told, 1.0)
