"""Who writes a task's files and checkpoints must not get to see anything else through the observer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from observer.core.sandbox_path import Refused
from observer.files import NoSuchFile, opened, trusted_base
from tests.observer.build import Builder, TaskBuilder, mesos_root
from tests.observer.served import raw_get, run, serving

SECRET = "the secret of somebody else"


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    """A task `t-1`, a sibling `t-12` whose directory has the same beginning, and a secret outside."""
    made = Builder(tmp_path / "root")
    task = made.task("t-1").start("main")
    sibling = made.task("t-12").start("main")
    (tmp_path / "secret").write_text(SECRET)
    (sibling.sandbox / "secret").write_text(SECRET)
    sibling.log("main", 0, "stdout", SECRET)
    (task.sandbox / "dir").mkdir()
    (task.sandbox / "file").write_text("mine")
    (task.sandbox / "link-out").symlink_to(tmp_path / "secret")
    (task.sandbox / "link-up").symlink_to("..")
    (task.sandbox / "link-sibling").symlink_to(sibling.sandbox)
    (task.sandbox / "link-loop").symlink_to("link-loop")
    (task.sandbox / "link-in").symlink_to("file")
    (task.sandbox / "link-proc").symlink_to("/proc/self/environ")
    os.mkfifo(task.sandbox / "fifo")
    log = task.log("main", 0, "stderr", "x")
    log.with_name("stdout").symlink_to(tmp_path / "secret")
    return made


ATTACKS = [
    "../t-12/secret", "%2e%2e/t-12/secret", "..%2ft-12/secret", "%2e%2e%2ft-12%2fsecret", "dir/../../t-12/secret",
    "dir/%2e%2e/%2e%2e/t-12/secret", "%252e%252e/t-12/secret", "..;/t-12/secret", "..\\t-12\\secret",
    "%c0%ae%c0%ae/t-12/secret", "%u002e%u002e/secret", "//secret", "/secret", "./../t-12/secret", "....//t-12/secret",
    "link-out", "link-up/t-12/secret", "link-sibling/secret", "link-loop", "link-proc", "fifo",
    "file/../../t-12/secret",
    "file%00", "%00", "../../../../../../../../etc/passwd", "dir/" * 2000 + "x", "link-up/../secret", "-2/secret",
    "../t-1-evil", "2/secret", "%2f..%2ft-12%2fsecret", ".%2e/t-12/secret", "%2e./t-12/secret", "file/", "dir",
]  # fmt: skip


@pytest.mark.parametrize("place", ["/file", "/download", "/filedata", "/browse", "/api/v1/tasks/{}/files"])
def test_no_path_leads_out(builder: Builder, place: str) -> None:
    prefix = place.format("t-1") if "{}" in place else f"{place}/t-1"

    async def test() -> None:
        async with serving(builder.root) as s:
            for attack in ATTACKS:
                answer = await raw_get(s.client, f"{prefix}/{attack}")
                text = await answer.text()
                assert SECRET not in text, attack
                assert "root:" not in text, attack
                assert answer.status in (200, 400, 403, 404), (attack, answer.status)

    run(test)


def test_links_inside_are_followed(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            assert await (await s.get("/download/t-1/link-in")).text() == "mine"
            opens = {e["name"]: e["opens"] for e in (await s.json("/api/v1/tasks/t-1/files"))["entries"]}
            assert opens["link-in"]
            assert opens["dir"]
            closed = ("link-out", "link-up", "link-sibling", "link-loop", "link-proc", "fifo")
            assert not any(opens[name] for name in closed)

    run(test)


def test_a_log_that_is_a_link_to_elsewhere_is_not_shown(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            base = "/api/v1/tasks/t-1/processes/main/runs/0/stdout"
            for path in (
                "/logdata/t-1/main/0/stdout?offset=0",
                base,
                f"{base}/follow",
                f"{base}/download",
                f"{base}?part=0",
            ):
                answer = await raw_get(s.client, path)
                assert SECRET not in await answer.text(), path
                assert answer.status in (200, 403, 404)

    run(test)


@pytest.mark.parametrize("process", ["..", "%2e%2e", ".", "..%2f..", "main%2f..", "%00", "main%00"])
def test_no_process_name_leads_out(builder: Builder, process: str) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            for path in (f"/logdata/t-1/{process}/0/stdout?offset=0", f"/logs/t-1/{process}/0/stdout"):
                answer = await raw_get(s.client, path)
                assert answer.status in (400, 404), path

    run(test)


def test_a_process_may_not_be_called_up(tmp_path: Path) -> None:
    """A forged config may name a process as it likes; its logs stay where logs are."""
    made = Builder(tmp_path / "root")
    task = made.task("t", processes=("..", "ok")).start("..")
    (task.sandbox / "0").mkdir()
    (task.sandbox / "0" / "stdout").write_text(SECRET)

    async def test() -> None:
        async with serving(made.root) as s:
            answer = await raw_get(s.client, "/logdata/t/%2e%2e/0/stdout?offset=0")
            assert SECRET not in await answer.text()
            await s.get("/metrics")
            await s.get("/api/v1/tasks/t")

    run(test)


def test_a_forged_checkpoint_below_mesos_speaks_for_its_own_run_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    root = mesos_root(tmp_path / "mesos", "e-1")
    task = Builder(root, root.parent / "sandbox").task("honest").start("main")
    (task.sandbox / "file").write_text("mine")
    evil = Builder(root, tmp_path / "elsewhere").task("evil")
    (evil.sandbox / "secret").write_text(SECRET)

    async def test() -> None:
        async with serving(mesos=tmp_path / "mesos") as s:
            await s.get("/download/honest/file")
            answer = await s.get("/download/evil/secret", status=403)
            assert "outside of its executor's sandbox" in await answer.text()
            notes = [note["text"] for note in (await s.json("/api/v1/tasks/evil"))["notes"]]
            assert any("outside of its executor's sandbox" in text for text in notes)

    run(test)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user's directory")
def test_a_checkpoint_of_a_user_speaks_for_his_own_directories_only(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for directory, uid in ((theirs, 1234), (ours, 0)):
        directory.mkdir()
        os.chown(directory, uid, uid)
    runner = tmp_path / "runner"
    runner.write_text("")
    os.chown(runner, 1234, 1234)
    assert trusted_base(str(theirs), runner, None) == theirs
    with pytest.raises(Refused, match="belongs to somebody else"):
        trusted_base(str(ours), runner, None)


def test_directories_that_are_none(tmp_path: Path) -> None:
    runner = tmp_path / "runner"
    runner.write_text("")
    for base, error in (
        ("relative", Refused),
        ("", Refused),
        (str(tmp_path / "gone"), NoSuchFile),
        (str(runner), NoSuchFile),
    ):
        with pytest.raises(error):
            trusted_base(base, runner, None)
    with pytest.raises(NoSuchFile):
        trusted_base("/with\0nul", runner, None)


def test_a_link_that_is_swapped_after_the_check_gains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between resolving and opening, the directory on the way becomes a link to elsewhere."""
    base, outside = tmp_path / "base", tmp_path / "outside"
    for directory, text in ((base / "sub", "mine"), (outside, SECRET)):
        directory.mkdir(parents=True)
        (directory / "file").write_text(text)
    fired = []
    really = os.open

    def swap(path: object, flags: int, *rest: object, **more: object) -> int:
        if str(path) == str(base / "sub" / "file") and not fired:
            fired.append(path)
            (base / "sub").rename(base / "old")
            (base / "sub").symlink_to(outside)
        return really(path, flags, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swap)
    with pytest.raises(Refused), opened(base, ("sub", "file")):
        pass
    assert fired


def test_hostile_text_reaches_programs_as_text(tmp_path: Path) -> None:
    made = Builder(tmp_path / "root")
    evil = "</script><script>alert(1)</script>\x1b[2J"
    task = made.task("t", name=evil).start("main")
    task.log("main", 0, "stdout", evil)

    async def test() -> None:
        async with serving(made.root) as s:
            assert (await s.json("/api/v1/tasks/t"))["head"]["name"] == evil
            assert "<script>" not in (await s.json("/logdata/t/main/0/stdout?offset=0"))["data"]
            metrics = await (await s.get("/metrics")).text()
            assert f'name="{evil}"' in metrics

    run(test)


@pytest.mark.parametrize("place", ["/", "{}"])
def test_a_log_directory_that_became_a_link_out_of_the_sandbox_shows_nothing(tmp_path: Path, place: str) -> None:
    """The sandbox is the task's user's: he can put a link where `.logs` was, and a second one where a log would be."""
    outside = tmp_path / "outside"
    names = ("main", "0") if place == "{}" else (str(outside).lstrip("/").split("/")[0], "0")
    task = Builder(tmp_path / "root").task("t", processes=(names[0],)).start(names[0])
    (outside / "main" / "0").mkdir(parents=True)
    (outside / "main" / "0" / "stdout").write_text(SECRET)
    task.log_dir.symlink_to(place.format(outside))

    async def test() -> None:
        async with serving(tmp_path / "root") as s:
            process = f"/api/v1/tasks/t/processes/{names[0]}/runs/0/stdout"
            log = f"t/{names[0]}/0/stdout"
            for path in (
                f"/logs/{log}",
                f"/logdata/{log}?offset=0",
                process,
                f"{process}/follow",
                f"{process}/download",
            ):
                answer = await raw_get(s.client, path)
                assert SECRET not in await answer.text(), path
                assert answer.status == 403, path
            assert (await raw_get(s.client, "/metrics")).status == 200

    run(test)


def test_a_log_directory_outside_of_the_sandbox_from_the_beginning_is_fine(tmp_path: Path) -> None:
    class Elsewhere(TaskBuilder):
        @property
        def log_dir(self) -> Path:
            return self.sandbox.parent / "logs-of-t"

    made = Builder(tmp_path / "root").task("t", begin=False)
    task = Elsewhere(made.paths, made.spec, made.sandbox, made.at, {}).begin().start("main")
    task.log("main", 0, "stdout", "mine")

    async def test() -> None:
        async with serving(tmp_path / "root") as s:
            assert (await s.json("/logdata/t/main/0/stdout?offset=0"))["data"] == "mine"

    run(test)
