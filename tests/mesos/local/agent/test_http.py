"""An agent's HTTP: an executor's whole life, and every refusal in the words of a real agent."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mesos.core.executor_api import Event
from mesos.core.messages import CommandURI, TaskID
from mesos.core.recordio import RecordReader
from mesos.core.wire import decode
from mesos.local.agent_files import FileInfo, OpenFile
from mesos.local.agent_operator import file_info
from mesos.local.core.agent_config import AgentOptions
from mesos.local.core.agent_token import sign
from mesos.local.core.protocol import (
    ExecutorExited,
    ExecutorMessage,
    KillTask,
    MessageExecutor,
    ShutdownExecutor,
    StatusUpdate,
)
from mesos.local.faults import Way
from mesos.local.http_words import Refusal
from tests.mesos.local.agent.harness import FRAMEWORK, executor_info
from tests.mesos.local.agent.live import EXECUTOR, Live

CALL = {"framework_id": {"value": "m-0000"}, "executor_id": {"value": "ex"}}
EX = executor_info().executor_id
UUID = base64.b64encode(b"u" * 16).decode()


def play(scenario: Coroutine[Any, Any, None]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await scenario

    asyncio.run(main())


def status(**changes: Any) -> dict[str, Any]:
    given = {"task_id": {"value": "t1"}, "state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR", "uuid": UUID}
    given |= {"executor_id": {"value": "ex"}}
    return {"update": {"status": {key: value for key, value in (given | changes).items() if value is not None}}}


class Stream:
    """An executor's subscription, read by hand."""

    def __init__(self, live: Live, **headers: str) -> None:
        self.live = live
        self.headers = headers
        self.reader = RecordReader()
        self.events: list[Event] = []
        self.session = aiohttp.ClientSession()
        self.response: aiohttp.ClientResponse | None = None

    async def open(self, **subscribe: Any) -> Stream:
        body = {"type": "SUBSCRIBE", **CALL, "subscribe": subscribe}
        self.response = await self.session.post(self.live.url + "/api/v1/executor", json=body, headers=self.headers)
        return self

    async def next(self) -> Event | None:
        """None at the end."""
        assert self.response is not None
        while not self.events:
            try:
                data = await self.response.content.readany()
            except aiohttp.ClientError:
                return None
            if not data:
                return None
            self.events += [decode(record, Event) for record in self.reader.feed(data)]
        return self.events.pop(0)

    async def kinds(self, count: int) -> list[str]:
        events = [await self.next() for _ in range(count)]
        return [str(event.type) if event is not None else "END" for event in events]

    async def close(self) -> None:
        if self.response is not None:
            self.response.close()
        await self.session.close()


# --- lives --------------------------------------------------------------------------------------------------------


def test_a_real_executor_from_launch_to_shutdown(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1")
            running = await live.status("t1", "TASK_RUNNING")
            _, pid, directory = running.message.split()
            assert running.container_status is not None
            assert running.container_status.executor_pid == int(pid)
            live.run("t2", data=b'{"finish": 0.01}')
            await live.status("t2", "TASK_FINISHED")
            live.say(MessageExecutor(framework_id=FRAMEWORK, executor_id=EX, data=b"hello"))
            echo = await live.until(lambda: [m for m in live.seen if isinstance(m, ExecutorMessage)])
            assert echo[0].data == b"hello"
            live.say(KillTask(framework_id=FRAMEWORK, task_id=TaskID(value="t1")))
            await live.status("t1", "TASK_KILLED")
            live.say(ShutdownExecutor(framework_id=FRAMEWORK, executor_id=EX))
            exited = await live.until(lambda: [m for m in live.seen if isinstance(m, ExecutorExited)])
            assert exited[0].status == 0
            out = (Path(directory) / "stdout").read_text().split()
            assert out[:2] == ["SUBSCRIBED", "LAUNCH"]
            assert out[-1] == "SHUTDOWN"

    play(scenario())


def test_the_environment_is_that_of_a_real_agent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", command="env -0 > environ.new; mv environ.new environ; exec sleep 1000")
            found = await live.until(lambda: list(tmp_path.glob("slaves/*/frameworks/*/executors/ex/runs/*")) or None)
            real = next(path for path in found if not path.is_symlink())
            await live.until((real / "environ").exists)
            text = (real / "environ").read_text()
            environ = dict(line.split("=", 1) for line in text.split("\0") if line)
            names = {
                "LIBPROCESS_IP", "LIBPROCESS_PORT", "MESOS_AGENT_ENDPOINT", "MESOS_CHECKPOINT", "MESOS_DIRECTORY",
                "MESOS_EXECUTOR_ID", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "MESOS_FRAMEWORK_ID",
                "MESOS_HTTP_COMMAND_EXECUTOR", "MESOS_RECOVERY_TIMEOUT", "MESOS_SANDBOX", "MESOS_SLAVE_ID",
                "MESOS_SLAVE_PID", "MESOS_SUBSCRIPTION_BACKOFF_MAX", "PATH",
            }  # fmt: skip
            assert set(environ) - {"PWD", "OLDPWD", "SHLVL", "_"} == names
            assert environ["MESOS_DIRECTORY"] == environ["MESOS_SANDBOX"] == str(real)
            assert environ["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"] == "5secs"
            assert environ["MESOS_RECOVERY_TIMEOUT"] == "15mins"
            assert environ["MESOS_SUBSCRIPTION_BACKOFF_MAX"] == "2secs"
            assert environ["MESOS_SLAVE_PID"] == f"slave(1)@127.0.0.1:{live.port}"

    play(scenario())


def test_the_agent_is_killed_and_its_executor_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", data=b'{"finish": 1}')
            await live.status("t1", "TASK_RUNNING")
            live.seen.clear()
            await live.kill_9()
            await asyncio.sleep(1.1)  # the task ends while there is no agent
            await live.start()
            finished = await live.status("t1", "TASK_FINISHED")
            assert finished.container_status is not None
            states = [m.status.state for m in live.seen if isinstance(m, StatusUpdate)]
            assert states.count("TASK_FINISHED") == 1

    play(scenario())


def test_an_executor_that_is_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", command=f"exec {sys.executable} {EXECUTOR}")
            running = await live.status("t1", "TASK_RUNNING")
            os.kill(int(running.message.split()[1]), signal.SIGKILL)
            failed = await live.status("t1", "TASK_FAILED")
            assert failed.reason == "REASON_EXECUTOR_TERMINATED"
            exited = await live.until(lambda: [m for m in live.seen if isinstance(m, ExecutorExited)])
            assert exited[0].status == signal.SIGKILL

    play(scenario())


def test_what_cannot_be_fetched_fails_the_task(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", uris=(CommandURI(value="/does/not/exist"),))
            failed = await live.status("t1", "TASK_FAILED")
            assert failed.reason == "REASON_CONTAINER_LAUNCH_FAILED"
            assert failed.message.startswith("Failed to launch container: Failed to fetch all URIs for container '")
            assert failed.message.endswith("': exited with status 1")
            exited = await live.until(lambda: [m for m in live.seen if isinstance(m, ExecutorExited)])
            assert exited[0].status == 256
            [stderr] = [p for p in tmp_path.glob("slaves/*/frameworks/*/executors/ex/runs/*/stderr")
                        if not p.parent.is_symlink()]  # fmt: skip
            assert "/does/not/exist" in stderr.read_text()

    play(scenario())


# --- the stream by hand -------------------------------------------------------------------------------------------


def test_a_second_subscription_ends_the_first(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", command="exec sleep 1000")
            await live.until(lambda: live.agent and live.agent.executors_by_container)
            first = await Stream(live).open()
            assert await first.kinds(2) == ["SUBSCRIBED", "LAUNCH"]
            task = {"name": "t1", "task_id": {"value": "t1"}, "agent_id": {"value": "m-S0"}}
            second = await Stream(live).open(unacknowledged_tasks=[task])
            assert await first.kinds(1) == ["END"]
            assert await second.kinds(1) == ["SUBSCRIBED"]
            live.say(KillTask(framework_id=FRAMEWORK, task_id=TaskID(value="t1")))
            assert await second.kinds(1) == ["KILL"]  # the end of the first is not taken for its end
            await first.close()
            await second.close()

    play(scenario())


def test_a_stream_that_ends_is_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", command="exec sleep 1000")
            await live.until(lambda: live.agent and live.agent.executors_by_container)
            stream = await Stream(live).open()
            assert await stream.kinds(2) == ["SUBSCRIBED", "LAUNCH"]
            executor = live.agent.executor(FRAMEWORK.value, "ex") if live.agent is not None else None
            assert executor is not None
            assert executor.is_connected
            await stream.close()
            async with asyncio.timeout(10):
                while executor.is_connected:
                    await asyncio.sleep(0.01)

    play(scenario())


def test_faults_on_the_way_to_and_from_executors(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", command="exec sleep 1000")
            await live.until(lambda: live.agent and live.agent.executors_by_container)
            lost = live.faults.drop(Way.TO_EXECUTOR, kind="LAUNCH")
            stream = await Stream(live).open()
            assert await stream.kinds(1) == ["SUBSCRIBED"]
            assert lost.fired == 1
            live.faults.clear()
            broken = live.faults.drop(Way.FROM_EXECUTOR, kind="UPDATE")
            with pytest.raises(aiohttp.ClientError):
                await live.request("POST", "/api/v1/executor", {"type": "UPDATE", **CALL, **status()})
            assert broken.fired == 1
            live.faults.clear()
            twice = live.faults.duplicate(Way.FROM_EXECUTOR, kind="UPDATE")
            code, _, _ = await live.request("POST", "/api/v1/executor", {"type": "UPDATE", **CALL, **status()})
            assert (code, twice.fired) == (202, 1)
            assert await stream.kinds(2) == ["ACKNOWLEDGED", "ACKNOWLEDGED"]
            assert len([m for m in live.seen if isinstance(m, StatusUpdate)]) == 1
            await stream.close()

    play(scenario())


# --- refusals -----------------------------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}
INVALID = "Failed to validate Executor::Call: "
CONVERT = "Failed to convert JSON into Call protobuf: "

#: name -> (body, headers, status, text); as seen on a real agent 1.11
REFUSED: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "other type": ("{}", {"Content-Type": "text/plain"}, 415,
                   "Expecting 'Content-Type' of application/json or application/x-protobuf"),
    "no type": ("{}", {}, 400, "Expecting 'Content-Type' to be present"),
    "no JSON": ("{", JSON, 400, "Failed to parse body into JSON: syntax error at line 1 near: "),
    "no object": ("[]", JSON, 400, CONVERT + "Expecting a JSON object"),
    "nothing": ("{}", JSON, 400, CONVERT + "Missing required fields: executor_id, framework_id"),
    "no call": ({**CALL}, {}, 400, INVALID + "Expecting 'type' to be present"),
    "other call": ({"type": "FOO", **CALL}, {}, 400, INVALID + "Expecting 'type' to be present"),
    "no update": ({"type": "UPDATE", **CALL}, {}, 400, INVALID + "Expecting 'update' to be present"),
    "no message": ({"type": "MESSAGE", **CALL}, {}, 400, INVALID + "Expecting 'message' to be present"),
    "no subscribe": ({"type": "SUBSCRIBE", **CALL}, {}, 400, INVALID + "Expecting 'subscribe' to be present"),
    "no uuid": ({"type": "UPDATE", **CALL, **status(uuid=None)}, {}, 400, INVALID + "Expecting 'uuid' to be present"),
    "short uuid": ({"type": "UPDATE", **CALL, **status(uuid="YWJj")}, {}, 400, INVALID + "Not a valid UUID"),
    "no source": ({"type": "UPDATE", **CALL, **status(source=None)}, {}, 400, INVALID +
                  "Received Call from executor ex of framework m-0000 with invalid source, "
                  "expecting 'SOURCE_EXECUTOR'"),
    "other source": ({"type": "UPDATE", **CALL, **status(source="SOURCE_AGENT")}, {}, 400, INVALID +
                     "Received Call from executor ex of framework m-0000 with invalid source, "
                     "expecting 'SOURCE_EXECUTOR'"),
    "other executor": ({"type": "UPDATE", **CALL, **status(executor_id={"value": "other"})}, {}, 400, INVALID +
                       "ExecutorID in Call: ex does not match ExecutorID in TaskStatus: other"),
    "staging": ({"type": "UPDATE", **CALL, **status(state="TASK_STAGING")}, {}, 400, INVALID +
                "Received TASK_STAGING from executor ex of framework m-0000 which is not allowed"),
    "unknown framework": ({"type": "MESSAGE", **CALL, "framework_id": {"value": "x"}, "message": {}}, {}, 400,
                          "Framework cannot be found"),
    "unknown executor": ({"type": "MESSAGE", **CALL, "executor_id": {"value": "x"}, "message": {}}, {}, 400,
                         "Executor cannot be found"),
    "not subscribed": ({"type": "MESSAGE", **CALL, "message": {}}, {}, 403, "Executor is not subscribed"),
    "Accept": ({"type": "SUBSCRIBE", **CALL, "subscribe": {}}, {"Accept": "text/html"}, 406,
               "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"),
}  # fmt: skip


def test_refusals_of_executors_calls(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1", command="exec sleep 1000")
            await live.until(lambda: live.agent and live.agent.executors_by_container)
            for name, (body, headers, code, text) in REFUSED.items():
                got, data, _ = await live.request("POST", "/api/v1/executor", body, headers)
                assert (name, got, data.decode()) == (name, code, text)
            got, data, fields = await live.request("GET", "/api/v1/executor")
            assert (got, fields["Allow"]) == (405, "POST")
            assert data == b"405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."

    play(scenario())


def test_recovery_is_said_with_503(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1")
            await live.status("t1", "TASK_RUNNING")
            await live.kill_9()
            await live.start()
            body = {"type": "MESSAGE", **CALL, "message": {}}
            code, data, _ = await live.request("POST", "/api/v1/executor", body)
            assert (code, data) == (503, b"Agent has not finished recovery")

    play(scenario())


def test_large_bodies_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            code, _, _ = await live.request("POST", "/api/v1/executor", io.BytesIO(b" " * (16 << 20) + b" "), JSON)
            assert code == 413

    play(scenario())


def test_tokens_of_executors(tmp_path: Path) -> None:
    options = AgentOptions(
        registration_backoff_factor_s=0.01, jwt_secret_key=b"secret", authenticate_http_executors=True
    )

    async def scenario() -> None:
        async with Live(tmp_path, options) as live:
            live.run("t1")
            await live.status("t1", "TASK_RUNNING")  # the executor shows its token
            assert live.agent is not None
            executor = live.agent.executor(FRAMEWORK.value, "ex")
            assert executor is not None
            container = executor.container_id.value
            body = {"type": "MESSAGE", **CALL, "message": {}}

            async def ask(token: str | None) -> tuple[int, str, str]:
                headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
                code, data, fields = await live.request("POST", "/api/v1/executor", body, headers)
                return code, data.decode(), fields.get("WWW-Authenticate", "")

            realm = 'Bearer realm="mesos-agent-executor"'
            error = realm + ', error="invalid_token", error_description="Invalid JWT: '
            assert await ask(sign(b"secret", "m-0000", "ex", container)) == (202, "", "")
            assert await ask(None) == (401, "401 Unauthorized.", realm)
            assert await ask("abc") == (
                401, "401 Unauthorized.", error + 'Expected 3 components in token, got 1"',
            )  # fmt: skip
            header = base64.urlsafe_b64encode(b'{"alg":"a\\r\\nX: y"}').decode()
            code, _, shown = await ask(f"{header}.e30.AAAA")  # what it holds stays on one line
            assert (code, '"a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}X: y"' in shown) == (401, True)
            wrong = sign(b"other", "m-0000", "ex", container)
            assert await ask(wrong) == (401, "401 Unauthorized.", error + 'Token signature does not match"')
            code, text, _ = await ask(sign(b"secret", "m-0000", "ex", "other"))
            assert (code, text.startswith("Authenticated principal '{")) == (403, True)
            assert text.endswith("does not contain a 'cid' claim with the correct active ContainerID")
            code, text, _ = await ask(sign(b"secret", "other", "ex", container))
            assert (code, "an 'fid' claim with the framework ID m-0000" in text) == (403, True)
            code, text, _ = await ask(sign(b"secret", "m-0000", "other", container))
            assert (code, "an 'eid' claim with the executor ID ex" in text) == (403, True)

    play(scenario())


# --- operators ----------------------------------------------------------------------------------------------------


def test_endpoints_that_tools_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1")
            await live.status("t1", "TASK_RUNNING")
            state = await live.get("/slave(1)/state")
            assert state["id"] == "m-S0"
            assert state["version"] == "1.11.0"
            assert state["attributes"] == {"rack": "a"}
            assert state["resources"]["ports"] == "[31000-31099]"
            [executor] = state["frameworks"][0]["executors"]
            [task] = executor["tasks"]
            assert (task["id"], task["state"]) == ("t1", "TASK_RUNNING")
            assert executor["directory"].startswith(str(tmp_path))
            [container] = await live.get("/containers")
            assert container["executor_id"] == "ex"
            assert container["statistics"]["mem_rss_bytes"] > 0
            [statistics] = await live.get("/monitor/statistics")
            assert "container_id" not in statistics
            metrics = await live.get("/metrics/snapshot")
            assert metrics["slave/registered"] == 1.0
            assert metrics["slave/tasks_running"] == 1.0
            assert (await live.get("/version"))["version"] == "1.11.0"
            assert (await live.get("/flags"))["flags"]["work_dir"] == str(tmp_path)
            assert (await live.request("GET", "/health"))[:2] == (200, b"")
            assert (await live.request("GET", "/nope"))[:2] == (404, b"404 Not Found.")

            assert (await live.api("GET_HEALTH"))["get_health"] == {"healthy": True}
            tasks = (await live.api("GET_TASKS"))["get_tasks"]
            assert [t["task_id"]["value"] for t in tasks["launched_tasks"]] == ["t1"]
            assert (await live.api("GET_STATE"))["get_state"]["get_tasks"] == tasks
            executors = (await live.api("GET_EXECUTORS"))["get_executors"]["executors"]
            assert executors[0]["executor_info"]["executor_id"] == {"value": "ex"}
            agent = (await live.api("GET_AGENT"))["get_agent"]["agent_info"]
            assert agent["id"] == {"value": "m-S0"}
            containers = (await live.api("GET_CONTAINERS"))["get_containers"]["containers"]
            assert containers[0]["container_status"]["executor_pid"] > 0
            for kind in ("GET_FLAGS", "GET_VERSION", "GET_FRAMEWORKS", "GET_OPERATIONS", "GET_LOGGING_LEVEL"):
                assert (await live.api(kind))["type"] == kind
            assert (await live.api("GET_METRICS", get_metrics={}))["get_metrics"]["metrics"]

    play(scenario())


API_REFUSED: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "no type": ("", {}, 400, "Expecting 'Content-Type' to be present"),
    "no JSON": ("{", JSON, 400, "Failed to parse body into JSON: syntax error at line 1 near: "),
    "no object": ("[]", JSON, 400, "Expecting a JSON object"),
    "no call": ("{}", JSON, 400, "Failed to validate agent::Call: Expecting 'type' to be present"),
    "operand": ('{"type":"READ_FILE"}', JSON, 400,
                "Failed to validate agent::Call: Expecting 'read_file' to be present"),
    "number": ('{"type":"READ_FILE","read_file":{"path":5}}', JSON, 400,
               "Not expecting a JSON number for field 'path'"),
    "path": ('{"type":"READ_FILE","read_file":{"offset":5}}', JSON, 400, "Missing required fields: read_file.path"),
    "accept": ('{"type":"GET_STATE"}', {**JSON, "Accept": "text/html"}, 406,
               "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio"),
    "type": ("{}", {"Content-Type": "text/plain"}, 415,
             "Expecting 'Content-Type' of application/json or application/x-protobuf or application/recordio"),
    "nowhere": ('{"type":"READ_FILE","read_file":{"path":"/nope","offset":0}}', JSON, 404, ""),
}  # fmt: skip


def test_refusals_of_operators_calls(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            for name, (body, headers, code, text) in API_REFUSED.items():
                got, data, _ = await live.request("POST", "/api/v1", body, headers)
                assert (name, got, data.decode()) == (name, code, text)

    play(scenario())


def test_credentials_of_operators(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Live(tmp_path, credentials={"me": "pw"}) as live:
            code, _, fields = await live.request("GET", "/state")
            assert (code, fields["WWW-Authenticate"]) == (401, 'Basic realm="mesos-agent-readonly"')
            for pair in ("me:other", "you:pw", "", ":"):
                header = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
                assert (await live.request("GET", "/state", None, header))[0] == 401
            header = {"Authorization": "Basic " + base64.b64encode(b"me:pw").decode()}
            assert (await live.request("GET", "/state", None, header))[0] == 200
            assert (await live.request("GET", "/health"))[0] == 200
            live.run("t1")  # executors have no credentials and need none
            await live.status("t1", "TASK_RUNNING")

    play(scenario())


def test_files_of_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")

    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1")
            running = await live.status("t1", "TASK_RUNNING")
            box = Path(running.message.split()[2])
            (box / "data").write_bytes(b"0123456789" + b"\xff\xfe" + b"x" * 100_000)
            (box / "out").symlink_to(tmp_path / "secret")
            (box / "in").symlink_to("data")
            os.mkfifo(box / "fifo")
            (box / "loop").symlink_to("loop")
            (box / "dir").mkdir()
            latest = "/frameworks/m-0000/executors/ex/runs/latest"

            async def read(path: str, query: str = "&offset=0&length=5") -> tuple[int, bytes]:
                code, body, _ = await live.request("GET", f"/files/read?path={path}{query}")
                return code, body

            for place in (str(box), latest, str(box.parent / "latest")):
                assert await read(f"{place}/data") == (200, b'{"data": "01234", "offset": 0}')
                assert await read(f"{place}/in") == (200, b'{"data": "01234", "offset": 0}')
            assert await read(f"{box}/data", "") == (200, b'{"data":"","offset":100012}')
            assert await read(f"{box}/data", "&offset=10&length=2") == (200, b'{"data": "\xff\xfe", "offset": 10}')
            _, body = await read(f"{box}/data", "&offset=12")
            assert len(json.loads(body)["data"]) == 65536  # bounded
            assert (await read(f"{box}/data", "&offset=1000000"))[1] == b'{"data": "", "offset": 1000000}'
            inaccessible = f"'{box}/out' is inaccessible.\n".encode()
            assert await read(f"{box}/out") == (400, inaccessible)
            assert (await read(f"{box}/../{box.name}/out"))[0] == 400
            assert (await read(f"{box}/../../../x"))[0] in (400, 404)
            assert (await read(f"{box}/fifo"))[0] == 400
            assert (await read(f"{box}/loop"))[0] == 404
            assert await read(f"{box}/dir") == (400, b"Cannot read a directory.\n")
            assert await read(f"{tmp_path}/secret") == (404, b"")
            assert (await read(f"{box}-12/x"))[0] == 404  # a neighbour whose name begins alike
            assert await read(f"{box}/data", "&offset=x") == (
                400, b"Failed to parse offset: Failed to convert 'x' to number.\n",
            )  # fmt: skip
            assert await read(f"{box}/data", "&offset=-5") == (400, b"Negative offset provided: -5.\n")
            assert (await live.request("GET", "/files/read"))[:2] == (400, b"Expecting 'path=value' in query.\n")

            listed = {Path(info["path"]).name: info for info in await live.get(f"/files/browse?path={latest}")}
            assert set(listed) == {"stdout", "stderr", "data", "out", "in", "fifo", "dir"}
            assert listed["data"]["size"] == 100_012
            assert listed["out"]["mode"].startswith("l")  # not what it leads to
            code, body, fields = await live.request("GET", f"/files/download?path={box}/data")
            assert (code, len(body)) == (200, 100_012)
            assert fields["Content-Disposition"] == 'attachment; filename="data"'
            assert (await live.get("/files/debug"))[latest] == str(box)

            got = await live.api("READ_FILE", read_file={"path": f"{box}/data", "offset": 1, "length": 3})
            assert got["read_file"] == {"size": 100_012, "data": base64.b64encode(b"123").decode()}
            infos = (await live.api("LIST_FILES", list_files={"path": latest}))["list_files"]["file_infos"]
            assert len(infos) == 7

    play(scenario())


def test_whatever_a_task_names_its_files_they_are_shown(tmp_path: Path) -> None:
    """A name may hold any bytes but a slash and a null byte; an offset may be any number."""

    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1")
            box = Path((await live.status("t1", "TASK_RUNNING")).message.split()[2])
            names = (b"bad\xff\xfe", b"new\nline", b"cr\rX: y", b'quo"te\\', "é".encode())
            for name in names:
                Path(os.fsdecode(os.fsencode(box) + b"/" + name)).write_text("x")
            wanted = {name.decode(errors="replace") for name in names} | {"stdout", "stderr"}
            assert {info["path"].rpartition("/")[2] for info in await live.get(f"/files/browse?path={box}")} == wanted
            listed = (await live.api("LIST_FILES", list_files={"path": str(box)}))["list_files"]["file_infos"]
            assert {info["path"].rpartition("/")[2] for info in listed} == wanted
            for name, shown in (("new%0Aline", "newline"), ("cr%0DX:%20y", "crX: y"), ("quo%22te%5C", "quote")):
                code, body, fields = await live.request("GET", f"/files/download?path={box}/{name}")
                assert (code, body, fields["Content-Disposition"]) == (200, b"x", f'attachment; filename="{shown}"')
            for offset in (2**62 - 1, 2**63 - 1, 2**63, 10**30):
                got = await live.api("READ_FILE", read_file={"path": f"{box}/stdout", "offset": offset})
                assert got["read_file"].get("data", "") == ""
            code, body, _ = await live.request("GET", f"/files/read?path={box}/stdout&offset={2**62 - 1}")
            assert (code, json.loads(body)["data"]) == (200, "")

    play(scenario())


def test_a_folder_that_a_task_locked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with Live(tmp_path) as live:
            live.run("t1")
            box = Path((await live.status("t1", "TASK_RUNNING")).message.split()[2])
            (box / "locked").mkdir()
            asked = []

            def scandir(path: Path) -> None:  # what it says to who is not root
                asked.append(path.name)
                raise PermissionError(13, "Permission denied", str(path))

            monkeypatch.setattr("mesos.local.agent_files.os.scandir", scandir)
            assert (await live.request("GET", f"/files/browse?path={box}/locked"))[0] == 403
            assert asked == ["locked"]
            monkeypatch.undo()

    play(scenario())


@pytest.mark.parametrize(("mtime", "shown"), [(1e12, 2**63 - 1), (-1e12, -(2**63)), (1.0, 10**9)])
def test_times_of_files_that_no_64_bits_hold(mtime: float, shown: int) -> None:
    assert file_info(FileInfo("x", 1, 2, mtime, 0o100644, "u", "g"))["mtime"] == {"nanoseconds": shown}


def test_what_was_put_in_the_place_of_a_file_meanwhile_is_not_opened(tmp_path: Path) -> None:
    """Between the look at a path and its opening a task may have swapped it."""
    (tmp_path / "secret").write_text("secret")
    box = tmp_path / "box"
    box.mkdir()
    (box / "file").symlink_to("inside")
    (box / "inside").write_text("x")
    (box / "folder").symlink_to(tmp_path)
    for swapped, status in ((box / "file", 403), (box / "folder" / "secret", 400)):
        with pytest.raises(Refusal) as caught:
            OpenFile(swapped, box)
        assert caught.value.status == status
    with OpenFile(box / "inside", box) as file:
        assert file.read(10) == b"x"
