"""The examples of docs/hooks.md do what they say there, and its table is what the code has."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest

from client.aurora.command_hooks import CommandCall, run_hooked
from client.aurora.hook_sources import SiteHooks, load_site_hooks
from client.aurora.hooks import _ARGUMENTS, ApiMethod, PreHooksStoppedCall, hooked_job, with_hooks
from config.core.rules import check_job
from config.loader import load_jobs

ROOT = Path(__file__).parents[3]
DOC = (ROOT / "docs/hooks.md").read_text()
CONFIG, SITE = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
KEY = "rz1/www/prod/web"


@pytest.fixture
def site(tmp_path: Path) -> SiteHooks:
    (tmp_path / "hooks.py").write_text(SITE)
    return load_site_hooks({"AURORA_CONFIG_ROOT": str(tmp_path), "HOME": str(tmp_path / "none")})


@pytest.mark.parametrize(("answer", "goes_on"), [("yes", True), ("no", False)])
def test_it_asks_first(answer: str, goes_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web.aurora").write_text(CONFIG)
    loaded = load_jobs(tmp_path / "web.aurora")
    data = check_job(loaded.jobs[0]).data
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or answer)
    hooked = hooked_job(KEY, job=loaded.jobs[0], data=data, hooks=loaded.hooks)
    try:
        assert with_hooks(hooked, ApiMethod.KILL_JOB, lambda: True, instances=[0]) is goes_on
    except PreHooksStoppedCall:
        assert not goes_on
    assert asked == [f"Kill instances [0] of {KEY}? (yes/no) "]


@pytest.mark.parametrize(("day", "code"), [(4, 4), (3, 0)])
def test_it_freezes(site: SiteHooks, day: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Date(dt.date):
        @classmethod
        def today(cls) -> Any:
            return cls(2026, 11, 23 + day)

    monkeypatch.setattr(dt, "date", Date)
    assert run_hooked(site, CommandCall("job", "killall", (KEY,)), None, lambda: 0) == code
    assert run_hooked(site, CommandCall("update", "start", (KEY,)), None, lambda: 0) == code
    assert run_hooked(site, CommandCall("job", "killall", (KEY,)), "freeze", lambda: 0) == 0
    assert run_hooked(site, CommandCall("job", "status", (KEY,)), None, lambda: 0) == 0


def test_it_audits(site: SiteHooks, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("syslog.syslog", logged.append)
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    with_hooks(hooked_job(KEY, site=site.api), ApiMethod.START_CRONJOB, lambda: None)
    assert logged == [f"me start_cronjob {KEY}: post"]


def test_the_table_of_arguments() -> None:
    rows = {
        method: arguments.split(", ")
        for method, arguments in re.findall(r"^\| `([a-z_]+)` \| ([a-z_=, ]+) \|", DOC, re.MULTILINE)
    }
    assert rows == {
        method: [*by_position, *(f"{name}=" for name in by_name)]
        for method, (by_position, by_name) in _ARGUMENTS.items()
    }


def test_the_table_knows_which_verbs_there_are() -> None:
    """A method that no verb calls is told as such, and no other."""
    verbs = dict(re.findall(r"^\| `([a-z_]+)` \| [a-z_=, ]+ \| (.*) \|$", DOC, re.MULTILINE))
    sources = [path.read_text() for path in (ROOT / "client/aurora").glob("*.py")]
    called = {name.lower() for source in sources for name in re.findall(r"[\s(]ApiMethod\.([A-Z_]+), ?", source)}
    assert {method for method, told in verbs.items() if told != "(no verb yet)"} == called
