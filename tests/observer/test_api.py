"""The server over real sockets and real checkpoints: old URLs, the API, pages, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from observer.auth import Guard, load_guard
from observer.table import ROUTES, openapi_document
from observer.ui import render
from tests.observer.build import Builder
from tests.observer.served import raw_get, run, serving
from thermos.core.states import TaskState
from thermos.errors import HostError, UserError
from web.protection import HEADERS

HTML = {"Accept": "text/html"}


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    made = Builder(tmp_path / "root")
    web = made.task("web-1", processes=("fetch", "serve"), order=(("fetch", "serve"),), name="web")
    web.run("fetch").start("serve")
    web.log("serve", 0, "stdout", "hello <b>\nworld\n")
    (web.sandbox / "notes.txt").write_text("one\ntwo\n")
    made.task("old-1").run("main", code=3).finish(TaskState.FAILED, "1 failed process: main")
    return made


def test_the_list(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            told = await s.json("/api/v1/tasks?kind=active")
            assert [row["task_id"] for row in told["rows"]] == ["web-1"]
            assert (told["active_count"], told["finished_count"], told["total"]) == (1, 1, 1)
            done = (await s.json("/api/v1/tasks?kind=finished"))["rows"][0]
            assert (done["state"], done["failures"], done["counts"]["failed"]) == ("FAILED", 1, 1)
            assert (await s.json("/api/v1/tasks?q=WEB"))["total"] == 1
            await s.get("/api/v1/tasks?sort=nonsense", status=400)
            await s.get("/api/v1/tasks?kind=nonsense", status=400)
            await s.get("/api/v1/tasks?num=99999", status=400)

    run(test)


def test_a_task_its_processes_config_and_story(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            task = await s.json("/api/v1/tasks/web-1")
            assert [(p["name"], p["doing"]) for p in task["processes"]] == [("fetch", "done"), ("serve", "running")]
            assert (task["attendance"], task["head"]["hostname"]) == ("attended", "host-1")
            past = await s.json("/api/v1/tasks/web-1?at=4")
            assert (past["moment"]["position"], past["moment"]["live"], past["processes"][0]["state"]) == (
                4,
                False,
                "WAITING",
            )
            story = await s.json("/api/v1/tasks/web-1/records?from=3&num=2")
            assert [record["words"] for record in story["records"]] == ["fetch/0 is to start", "fetch/0 forks"]
            assert (await s.json("/api/v1/tasks/web-1/config"))["name"] == "web"
            process = await s.json("/api/v1/tasks/old-1/processes/main")
            assert (process["process"]["doing"], process["runs"][0]["code"]) == ("failed", 3)
            for path in ("/api/v1/tasks/nope", "/api/v1/tasks/web-1/processes/nope"):
                told = await s.json(path, status=404)
                assert told["error"]["status"] == 404

    run(test)


def test_the_originals_urls(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            told = await s.json("/j/task_ids")
            assert (told["type"], told["task_count"], told["num"]) == ("all", 2, 2)
            assert set(told["tasks"][0]) >= {
                "task_id", "name", "role", "launch_timestamp", "state", "state_timestamp", "ports", "cpu", "ram",
                "disk", "user", "system", "rss", "vms", "nice", "status", "threads",
            }  # fmt: skip
            assert (await s.json("/j/task_ids/finished/-1/5"))["tasks"][0]["task_id"] == "old-1"
            assert await s.json("/j/task_id_count") == {"active": 1, "finished": 1, "all": 2}
            assert set(await s.json("/j/task?task_id=web-1,old-1,nope")) == {"web-1", "old-1"}
            assert (await s.json("/j/task/web-1"))["web-1"]["processes"]["running"] == ["serve"]
            assert (await s.json("/j/process/old-1/main"))["return_code"] == 3
            assert (await s.json("/j/process/web-1/fetch/0"))["return_code"] == 0
            assert await s.json("/j/process/web-1") == {}
            assert await s.json("/j/process/web-1/nope") == {}
            assert (await s.json("/j/processes?task_id=old-1"))["old-1"]["process"]["main"]["state"] == "FAILED"

    run(test)


def test_unknown_things_are_404_and_not_500(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            for path in (
                "/j/task/nope", "/j/task?task_id=nope", "/j/process/nope/x", "/j/processes?task_id=nope",
                "/j/task_ids/wrong", "/j/task_ids/all/x", "/main/wrong", "/main/all/0/x", "/task/nope", "/rawtask/nope",
                "/process/web-1/nope", "/process/nope/nope", "/logs/web-1/serve/0/stdwrong",
                "/logs/web-1/serve/x/stdout", "/logs/web-1/nope/0/stdout", "/file/web-1/nope", "/browse/web-1/nope",
                "/browse/nope", "/download/web-1/nope", "/logdata/nope/a/0/stdout", "/assets/nope", "/vars/nope",
                "/nowhere",
            ):  # fmt: skip
                await s.get(path, status=404)
            await s.get("/j/task", status=400)

    run(test)


def test_log_and_file_data_as_the_original(builder: Builder) -> None:
    """Items 127 and 128 of the list of behaviours."""

    async def test() -> None:
        async with serving(builder.root) as s:
            data = "/logdata/web-1/serve/0/stdout"
            assert await s.json(data) == {"offset": 16, "length": 0, "data": ""}
            assert await s.json(f"{data}?offset=-1&length=100") == {"offset": 16, "length": 0, "data": ""}
            assert await s.json(f"{data}?offset=0&length=9") == {"offset": 0, "length": 9, "data": "hello &lt;b&gt;"}
            assert await s.json(f"{data}?offset=10&length=-1") == {"offset": 10, "length": 6, "data": "world\n"}
            assert await s.json(f"{data}?offset=999&length=5") == {"offset": 16, "length": 0, "data": ""}
            assert await s.json("/logdata/web-1/serve/0/stderr?offset=0") == {}
            assert (await s.json("/filedata/web-1/notes.txt?offset=4&length=3"))["data"] == "two"
            assert await s.json("/filedata/web-1/nope?offset=0") == {}

    run(test)


def test_reads_are_bounded(builder: Builder, tmp_path: Path) -> None:
    big = tmp_path / "root-sandboxes" / "web-1" / "big"
    with big.open("wb") as file:
        file.truncate(50 << 20)

    async def test() -> None:
        async with serving(builder.root) as s:
            told = await s.json("/filedata/web-1/big?offset=0&length=-1")
            assert told["length"] == 128 << 10
            await s.get("/api/v1/tasks/web-1/files/big?length=99999999", status=400)
            part = await s.get("/download/web-1/big", status=206, headers={"Range": "bytes=10-19"})
            assert len(await part.read()) == 10
            await s.get("/download/web-1/big", status=416, headers={"Range": "bytes=99999999999-"})

    run(test)


def test_a_download_is_an_attachment_and_never_shown(builder: Builder, tmp_path: Path) -> None:
    evil = tmp_path / "root-sandboxes" / "web-1" / 'x"; .html'
    evil.write_text("<script>alert(1)</script>")

    async def test() -> None:
        async with serving(builder.root) as s:
            answer = await s.get("/download/web-1/x%22%3B%20.html")
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="x___.html"')
            assert await answer.text() == "<script>alert(1)</script>"

    run(test)


def test_every_page_says_its_headers(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            for path, status in (("/", 200), ("/task/nope", 404), ("/download/web-1/notes.txt", 200), ("/health", 200)):
                answer = await s.get(path, status=status)
                for name, value in HEADERS.items():
                    assert answer.headers[name] == value, path
                assert "aiohttp" not in answer.headers["Server"]

    run(test)


def test_nothing_can_be_changed(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                answer = await s.client.request(method, "/task/web-1")
                assert answer.status == 405, method
                assert answer.headers["Allow"] == "GET, HEAD"
            assert (await s.client.head("/task/web-1")).status == 200
            assert (await s.client.head("/api/v1/events")).status == 200

    run(test)


def test_refusals_are_pages_for_browsers_and_json_for_programs(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            page = await s.get("/task/nope", status=404, headers=HTML)
            assert page.content_type == "text/html"
            program = await s.get("/j/task/nope", status=404, headers=HTML)
            assert json.loads(await program.read())["error"]["title"] == "Not found"

    run(test)


def test_an_internal_error_is_one_line(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            fired = []

            async def burst(*_: object, **__: object) -> None:
                fired.append(1)
                raise ZeroDivisionError("secret")

            monkeypatch.setattr(s.host, "index", burst)
            answer = await s.get("/api/v1/tasks", status=500)
            assert fired
            text = await answer.text()
            assert "ZeroDivisionError" in text
            assert "secret" not in text
            assert "Traceback" not in text

    run(test)


def test_every_page_is_rendered(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root, render=render) as s:
            for path in (
                "/", "/main", "/main/active", "/main/finished/0/5", "/task/web-1", "/task/web-1?at=3", "/task/old-1",
                "/rawtask/web-1", "/process/web-1/serve", "/logs/web-1/serve/0/stdout", "/logs/web-1/serve/0/stderr",
                "/logs/web-1/serve/0/stdout?q=world", "/file/web-1/notes.txt", "/browse/web-1", "/browse/web-1/.logs",
                "/?fragment=1", "/task/web-1?fragment=1",
            ):  # fmt: skip
                answer = await s.get(path)
                assert answer.content_type == "text/html", path
            assert "hello &lt;b&gt;" in await (await s.get("/logs/web-1/serve/0/stdout")).text()
            for path in ("/assets/style.css", "/assets/live.js", "/favicon.ico"):
                await s.get(path)

    run(test)


def test_two_roots_with_the_same_id(builder: Builder, tmp_path: Path) -> None:
    other = Builder(tmp_path / "other")
    other.task("old-1").start("main")

    async def test() -> None:
        async with serving(builder.root, other.root) as s:
            newest = await s.json("/api/v1/tasks/old-1")
            assert newest["head"]["root"] == str(other.root)
            assert "the same id exists under 1 other root" in newest["notes"][0]["text"]
            keys = [row["key"] for row in (await s.json("/api/v1/tasks?q=old-1"))["rows"]]
            roots = {(await s.json(f"/api/v1/tasks/{key}"))["head"]["root"] for key in keys}
            assert roots == {str(builder.root), str(other.root)}
            assert (await s.json("/j/task/old-1"))["old-1"]["other_roots"] == [
                key for key in keys if key != newest["head"]["key"]
            ]

    run(test)


def test_a_sandbox_that_has_gone_is_a_note(builder: Builder, tmp_path: Path) -> None:
    (tmp_path / "root-sandboxes").rename(tmp_path / "elsewhere")

    async def test() -> None:
        async with serving(builder.root) as s:
            notes = [note["text"] for note in (await s.json("/api/v1/tasks/web-1"))["notes"]]
            assert any("its sandbox is gone" in text for text in notes)
            assert "Sandbox does not exist." in await (await s.get("/browse/web-1", status=404)).text()
            await s.get("/logs/web-1/serve/0/stdout", status=404)

    run(test)


def test_corrupt_checkpoints_have_pages_with_a_note(builder: Builder) -> None:
    bad = builder.task("bad")
    bad.paths.runner.write_bytes(b"nonsense\n")
    gone = builder.task("gone-old").run("main").finish()
    gone.paths.runner.unlink()
    torn = builder.task("torn")
    torn.paths.active.write_text('{"name": ')

    async def test() -> None:
        async with serving(builder.root) as s:
            for ref, text in (("bad", "corrupt"), ("gone-old", "cannot read"), ("torn", "cannot read")):
                told = await s.json(f"/api/v1/tasks/{ref}")
                assert any(text in note["text"] for note in told["notes"]), ref
                await s.get(f"/j/task/{ref}")
                await s.get(f"/task/{ref}")
            assert (await s.json("/api/v1/tasks"))["total"] == 5

    run(test)


def test_names_may_hold_anything_that_a_file_name_may(tmp_path: Path) -> None:
    name = 'a?b#c%2e"<ü> &d'
    made = Builder(tmp_path / "root")
    task = made.task("t", processes=(name,)).start(name)
    task.log(name, 0, "stdout", "text")

    async def test() -> None:
        async with serving(made.root) as s:
            from urllib.parse import quote

            told = await s.json(f"/api/v1/tasks/t/processes/{quote(name, safe='')}")
            assert told["process"]["name"] == name
            log = await s.json(f"/logdata/t/{quote(name, safe='')}/0/stdout?offset=0")
            assert log["data"] == "text"

    run(test)


def test_file_names_that_are_not_utf_8(tmp_path: Path) -> None:
    made = Builder(tmp_path / "root")
    task = made.task("t")
    (task.sandbox / "bad\udcff.txt").write_text("found")

    async def test() -> None:
        async with serving(made.root) as s:
            told = await s.json("/api/v1/tasks/t/files")
            entry = next(e for e in told["entries"] if e["name"].startswith("bad"))
            assert entry["href"] == "bad%FF.txt"
            assert await (await s.get(f"/download/t/{entry['href']}")).text() == "found"

    run(test)


def test_the_openapi_document_lists_what_is_routed(builder: Builder) -> None:
    document = openapi_document()
    assert set(document["paths"]) == {route.path for route in ROUTES}

    async def test() -> None:
        async with serving(builder.root) as s:
            assert await s.json("/api/v1/openapi.json") == json.loads(json.dumps(document))
            routed = {resource.canonical for resource in s.client.app.router.resources()}  # type: ignore[union-attr]
            assert routed == set(document["paths"])

    run(test)


def test_finished_tasks_cost_nothing_until_opened(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    from observer.task import Task

    for number in range(30):
        builder.task(f"done-{number}").run("main").finish()
    read: list[str] = []
    load = Task.load

    def count(self: Task, kernel: object) -> object:
        read.append(self.task_id)
        return load(self, kernel)  # type: ignore[arg-type]

    monkeypatch.setattr(Task, "load", count)

    async def test() -> None:
        async with serving(builder.root) as s:
            await s.get("/metrics")
            assert read == []
            await s.get("/main/finished/0/5")
            assert len(read) == 5
            await s.get("/main/finished/0/5")
            assert len(read) == 5, "rows that were made are kept"
            await s.get("/task/old-1")
            await s.get("/task/old-1")
            assert len(read) == 6

    run(test)


class TestAuth:
    def test_users_and_tokens(self, builder: Builder, tmp_path: Path) -> None:
        users, tokens = tmp_path / "users", tmp_path / "tokens"
        users.write_text("# comment\nanna:s3cret\n")
        tokens.write_text("tok-1\n")
        for file in (users, tokens):
            file.chmod(0o600)
        guard = load_guard(str(users), str(tokens), frozenset())

        async def test() -> None:
            async with serving(builder.root, guard=guard) as s:
                refused = await s.get("/task/web-1", status=401)
                assert refused.headers["WWW-Authenticate"].startswith("Basic")
                await s.get("/health")
                good = {"Authorization": "Basic YW5uYTpzM2NyZXQ="}
                await s.get("/task/web-1", headers=good)
                await s.get("/metrics", headers={"Authorization": "Bearer tok-1"})
                for wrong in (
                    "Basic YW5uYTp3cm9uZw==",
                    "Bearer anna:s3cret",
                    "Bearer ",
                    "Basic %%%",
                    "Basic",
                    "Digest x",
                    "",
                ):
                    await s.get("/metrics", status=401, headers={"Authorization": wrong})

        run(test)

    def test_files_that_do_not_serve(self, tmp_path: Path) -> None:
        file = tmp_path / "users"
        with pytest.raises(HostError, match="cannot read"):
            load_guard(str(file), None, frozenset())
        file.write_text("anna:x\n")
        file.chmod(0o644)
        with pytest.raises(UserError, match="others may read"):
            load_guard(str(file), None, frozenset())
        file.chmod(0o600)
        file.write_text("anna\n")
        with pytest.raises(UserError, match="user:password"):
            load_guard(str(file), None, frozenset())
        file.write_text("\n# nobody\n")
        with pytest.raises(UserError, match="nobody may ask"):
            load_guard(str(file), None, frozenset())

    def test_a_foreign_name_is_not_answered_to(self, builder: Builder) -> None:
        guard = Guard(hosts=frozenset({"127.0.0.1", "localhost", "[::1]"}))

        async def test() -> None:
            async with serving(builder.root, guard=guard) as s:
                await s.get("/")
                await s.get("/", headers={"Host": "LOCALHOST:1338"})
                await s.get("/", headers={"Host": "[::1]:1338"})
                for name in ("evil.example", "evil.example:1338", "localhost.evil.example", ""):
                    await s.get("/", status=421, headers={"Host": name})

        run(test)


def test_too_long_a_url_is_refused(builder: Builder) -> None:
    async def test() -> None:
        async with serving(builder.root) as s:
            answer = await raw_get(s.client, "/task/" + "x" * 20_000)
            assert answer.status in (400, 414)
            await s.get("/api/v1/tasks?q=" + "x" * 2000, status=400)
            await s.get("/task/" + "x" * 5000, status=404)

    run(test)
