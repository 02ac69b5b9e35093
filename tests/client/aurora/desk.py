"""A desk for tests of `aurora`: a clusters.json, configs, and the command called in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from client.aurora import dispatch
from client.aurora.exits import code_of
from client.aurora.main import run
from client.exits import guard

CONFIG = """
process = Process(name = 'hello', cmdline = 'echo {{profile.word}}\\nsleep 1')
class Profile(Struct):
    word = Default(String, 'hello')
task = Task(name = 'hello', processes = [process], resources = Resources(cpu = 0.5, ram = 16*MB, disk = 32*MB))
common = dict(cluster = 'rz1', role = 'www', environment = 'test', task = task)
jobs = [
    Service(name = 'web', instances = 2, contact = 'me@example.org', **common).bind(profile = Profile()),
    Job(name = 'once', **common).bind(profile = Profile()),
    Job(name = 'nightly', cron_schedule = '0 3 * * *', **common).bind(profile = Profile()),
]
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys

    def clusters(self, *entries: dict[str, Any]) -> None:
        (self.path / "clusters.json").write_text(json.dumps(entries))

    def config(self, text: str = CONFIG, name: str = "web.aurora") -> str:
        (self.path / name).write_text(text)
        return str(self.path / name)

    def aurora(self, *words: str) -> Done:
        self._capsys.readouterr()
        dispatch.site.cache_clear()
        code = guard("aurora", lambda: run(words), code_of)
        captured = self._capsys.readouterr()
        return Done(int(code), captured.out, captured.err)
