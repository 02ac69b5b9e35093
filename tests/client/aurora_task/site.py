"""A cluster `west` whose hosts are folders: what ssh is told is noted, and then run here."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from client.aurora import dispatch
from client.aurora.exits import code_of
from client.aurora.main import run
from client.exits import guard

KEY = "west/www/prod/web"

#: Notes its words, each ended by NUL, and runs the last one as a shell on the host would.
_SSH = """#!/bin/sh
note=$(mktemp {notes}/ssh.XXXXXX)
for word; do printf '%s\\0' "$word"; done > "$note"
cd {home}; exec /bin/sh -c "$word"
"""
_NOTING = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done > {notes}/{name}.words
exit {code}
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Scheduler(ThreadingHTTPServer):
    """Knows tasks; notes the query of each question."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tasks: list[dict[str, Any]] = []
        self.cluster: dict[str, Any] = {"cluster": "west", "frameworkId": "F-1"}
        self.queries: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        if path == "/api/v1/cluster":
            return 200, self.cluster
        assert path == "/api/v1/tasks"
        self.queries.append(dict(query))
        statuses = query["statuses"].split(",")
        wanted = query.get("instances")
        found = [task for task in self.tasks if task["status"] in statuses]
        if wanted is not None:
            first, _, last = wanted.partition("-")
            found = [t for t in found if int(first) <= t["assignedTask"]["instanceId"] <= int(last or first)]
        return 200, {"tasks": found, "total": len(found), "reasons": {}}


class _Handler(BaseHTTPRequestHandler):
    server: Scheduler

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        status, document = self.server.answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class Site:
    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.tmp = tmp
        self.root = tmp / "mesos"
        self.home, self.notes, self.bin = tmp / "home", tmp / "notes", tmp / "bin"
        for folder in (self.home / ".aurora", self.notes, self.bin):
            folder.mkdir(parents=True)
        self._capfd = capfd
        self._patch = monkeypatch
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("AURORA_CONFIG_ROOT", str(tmp / "none"))
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")
        self.scheduler = Scheduler()
        self._thread = threading.Thread(
            target=self.scheduler.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.entry: dict[str, Any] = {
            "name": "west",
            "scheduler_uri": self.scheduler.url,
            "slave_root": str(self.root),
            "slave_run_directory": "latest",
        }
        self.program("ssh", _SSH.format(notes=self.notes, home=self.home))
        self.program("scp", _NOTING.format(notes=self.notes, name="scp", code=0))

    def __enter__(self) -> Site:
        self._thread.start()
        dispatch.site.cache_clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.scheduler.shutdown()
        self._thread.join()
        self.scheduler.server_close()
        dispatch.site.cache_clear()

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def without_programs(self) -> None:
        self._patch.setenv("PATH", str(self.tmp / "none"))

    def task(self, instance: int, *, status: str = "RUNNING", host: str = "", **changed: Any) -> Path:
        """A task and its sandbox."""
        assigned = {
            "taskId": f"www-prod-web-{instance}-id",
            "slaveId": f"S-{instance}",
            "slaveHost": host or f"host{instance}",
            "assignedPorts": {"http": 31000 + instance},
            "instanceId": instance,
            **changed,
        }
        self.scheduler.tasks.append({"assignedTask": assigned, "status": status})
        sandbox = self.run_directory(instance, "latest") / "sandbox"
        sandbox.mkdir(parents=True)
        (sandbox / "name").write_text(f"web {instance}\n")
        return sandbox

    def run_directory(self, instance: int, run: str, root: Path | None = None) -> Path:
        executors = (root or self.root) / f"slaves/S-{instance}/frameworks/F-1/executors"
        return executors / f"thermos-www-prod-web-{instance}-id/runs/{run}"

    def aurora(self, *words: str) -> Done:
        (self.home / ".aurora/clusters.json").write_text(json.dumps([self.entry]))
        self._capfd.readouterr()
        code = guard("aurora", lambda: run(words), code_of)
        return Done(code, *self._capfd.readouterr())

    def told(self, program: str) -> list[list[str]]:
        """What a program was called with, each time."""
        notes = [note.read_text().split("\0")[:-1] for note in sorted(self.notes.glob(f"{program}.*"))]
        return sorted(notes)
