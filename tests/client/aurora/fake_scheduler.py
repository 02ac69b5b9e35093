"""A scheduler that does what a test says: the API's paths over real sockets, tasks that change when they are looked at.

Every look at tasks is answered with what is there; then the next of `steps` happens, which may `move` tasks. Changes
are told to whoever listens to the events.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Body = dict[str, Any]
Reply = tuple[int, Body]

ENDED = ("FINISHED", "FAILED", "KILLED", "LOST")


def refusal(status: int, code: str, detail: str, *problems: tuple[str, str]) -> Reply:
    error: Body = {"status": status, "code": code, "title": "Refused", "detail": detail}
    if problems:
        error["problems"] = [{"field": field, "text": text} for field, text in problems]
    return status, {"error": error}


class FakeScheduler:
    """`streams` False: there is no event stream. `on[(method, path)]` answers instead of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.streams = True
        self.on: dict[tuple[str, str], Callable[[Body], Reply]] = {}
        self.requests: list[tuple[str, str, dict[str, str], Body]] = []
        self.headers: list[Mapping[str, str]] = []
        self.tasks: dict[str, Body] = {}
        self.reasons: dict[str, str] = {}
        self.steps: list[Callable[[], None]] = []
        self._readers: list[queue.SimpleQueue[bytes | None]] = []
        self._moment = 1_000
        self._lock = threading.RLock()

    # --- what tests do ---------------------------------------------------------------------------------------------

    def asked(self, method: str) -> list[tuple[str, Body]]:
        """(path, body or query) of all requests of a method."""
        return [(path, body or query) for each, path, query, body in self.requests if each == method]

    def add(self, job: str, instance: int, status: str = "PENDING", *, config: Body | None = None, **more: Any) -> str:
        """A new task; its id."""
        with self._lock:
            role, environment, name = job.split("/")
            task_id = f"{role}-{environment}-{name}-{instance}-{len(self.tasks)}"
            key = {"role": role, "environment": environment, "name": name}
            ancestors = [t["assignedTask"] for t in self._matching(job)]
            self.tasks[task_id] = {
                "ancestorId": next((t["taskId"] for t in reversed(ancestors) if t["instanceId"] == instance), None),
                "assignedTask": {
                    "taskId": task_id, "instanceId": instance, "task": {"job": key, **(config or {})}, **more,
                },
                "status": "INIT",
                "taskEvents": [],
            }  # fmt: skip
            self.move(task_id, status)
            return task_id

    def move(self, task_id: str, *statuses: str, host: str = "", message: str = "") -> None:
        """Through these states; "DELETED" deletes it."""
        with self._lock:
            for status in statuses:
                task = self.tasks[task_id]
                self._moment += 1
                assigned = task["assignedTask"]
                key = assigned["task"]["job"]
                if status == "DELETED":
                    del self.tasks[task_id]
                    self._tell("deleted", {"key": key, "taskIds": [task_id]})
                    continue
                old, task["status"] = task["status"], status
                assigned["slaveHost"] = host or assigned.get("slaveHost", "")
                task["taskEvents"].append({"timestamp": self._moment, "status": status, "message": message})
                news = {
                    "taskId": task_id, "key": key, "instance": assigned["instanceId"], "status": status, "old": old,
                    "host": assigned["slaveHost"], "message": message, "timestamp": self._moment,
                }  # fmt: skip
                self._tell("task", news)

    def of(self, job: str, instance: int) -> str:
        """The id of the newest task of an instance."""
        with self._lock:
            return [
                task_id
                for task_id, task in self.tasks.items()
                if "/".join(task["assignedTask"]["task"]["job"].values()) == job
                and task["assignedTask"]["instanceId"] == instance
            ][-1]

    def active(self, job: str) -> list[int]:
        with self._lock:
            return [task["assignedTask"]["instanceId"] for task in self._matching(job) if task["status"] not in ENDED]

    def hang_up(self) -> None:
        """End all event streams."""
        with self._lock:
            for reader in self._readers:
                reader.put(None)
            self._readers.clear()

    def _tell(self, name: str, data: Body) -> None:
        frame = f"id: fake-{self._moment}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
        for reader in self._readers:
            reader.put(frame)

    # --- what it answers -------------------------------------------------------------------------------------------

    def _matching(self, job: str) -> list[Body]:
        return [t for t in self.tasks.values() if "/".join(t["assignedTask"]["task"]["job"].values()) == job]

    def answer(self, method: str, path: str, given: Body) -> Reply:
        with self._lock:
            special = self.on.get((method, path))
            if special is not None:
                return special(given)
            match (method, *path.strip("/").split("/")):
                case ("GET", "tasks"):
                    job = "/".join(given[name] for name in ("role", "environment", "name"))
                    found = [task for task in self._matching(job) if given.get("active") != "true" or _is_active(task)]
                    ids = {task["assignedTask"]["taskId"] for task in found}
                    reasons = {task_id: why for task_id, why in self.reasons.items() if task_id in ids}
                    return 200, json.loads(json.dumps({"tasks": found, "total": len(found), "reasons": reasons}))
                case ("GET", "jobs"):
                    return 200, self._jobs(given)
                case ("POST", "jobs"):
                    return self._create(given)
                case ("POST", "config", "populate"):
                    return 200, {"job": given}
                case ("POST", "jobs", role, env, name, verb):
                    return self._change(f"{role}/{env}/{name}", verb, given)
        return refusal(404, "NOT_FOUND", f"There is no {path}")

    def _jobs(self, given: Body) -> Body:
        keys = {tuple(task["assignedTask"]["task"]["job"].items()): None for task in self.tasks.values()}
        found = [
            {"key": dict(key), "kind": "service"}
            for key in keys
            if all(fnmatchcase(value, given.get(name, "*")) for name, value in key)
        ]
        return {"jobs": found, "total": len(found)}

    def _create(self, given: Body) -> Reply:
        job = "/".join(given["key"].values())
        if self.active(job):
            return refusal(409, "ALREADY_EXISTS", f"Job {job} already exists")
        instances = list(range(given["instanceCount"]))
        for number in instances:
            self.add(job, number, config={"resources": given["taskConfig"]["resources"]})
        return 201, {"key": given["key"], "instances": instances, "url": "http://elsewhere"}

    def _change(self, job: str, verb: str, given: Body) -> Reply:
        active = self.active(job)
        if verb == "instances":
            if given["template"] not in active:
                text = f"No active task found for a given instance ID: {job}/{given['template']}"
                return refusal(404, "NOT_FOUND", text)
            added = [max(active) + 1 + number for number in range(given["count"])]
            for number in added:
                self.add(job, number)
            return 200, {"instances": added}
        chosen = active if given["instances"] is None else given["instances"]
        if verb == "restart" and set(chosen) - set(active):
            return refusal(400, "INVALID_REQUEST", "Not all requested shards are active.")
        for number in chosen:
            if number in active:
                self.move(self.of(job, number), "RESTARTING" if verb == "restart" else "KILLING")
        return 200, {"instances": chosen, "taskIds": [], "message": ""}

    def after(self, method: str, path: str) -> None:
        """What happens when an answer is out."""
        if (method, path) == ("GET", "/tasks"):
            with self._lock:
                if self.steps:
                    self.steps.pop(0)()

    def read_events(self) -> queue.SimpleQueue[bytes | None]:
        with self._lock:
            reader: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            self._readers.append(reader)
            return reader


def _is_active(task: Body) -> bool:
    return task["status"] not in ENDED


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeScheduler

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path, query = parts.path.removeprefix("/api/v1"), dict(parse_qsl(parts.query))
        self.fake.headers.append(self.headers)  # type: ignore[arg-type]
        self.fake.requests.append(("GET", path, query, {}))
        if path == "/events" and self.fake.streams:
            self._stream()
            return
        self._reply("GET", path, query)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.removeprefix("/api/v1")
        self.fake.headers.append(self.headers)  # type: ignore[arg-type]
        self.fake.requests.append(("POST", path, {}, body))
        self._reply("POST", path, body)

    def _reply(self, method: str, path: str, given: Body) -> None:
        status, document = self.fake.answer(method, path, given)
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
        self.fake.after(method, path)

    def _stream(self) -> None:
        reader = self.fake.read_events()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while (frame := reader.get()) is not None:
                self.wfile.write(frame)
                self.wfile.flush()
        except OSError:  # the reader is gone
            return

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is said."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""


@contextmanager
def fake_scheduler() -> Iterator[FakeScheduler]:
    handler: Any = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        fake = FakeScheduler(f"http://127.0.0.1:{server.server_address[1]}")
        handler.fake = fake
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            fake.hang_up()
            server.shutdown()
            thread.join(10)
