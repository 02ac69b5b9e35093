"""config list, quota get, job diff, and what every verb has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from client.aurora.core.config_diff import config_lines
from tests.client.aurora.desk import CONFIG, Desk
from tests.client.aurora.fake_scheduler import FakeScheduler
from thermos.version import VERSION

WEB = "www/test/web"
KEY = f"rz1/{WEB}"


def test_config_list(bare_desk: Desk) -> None:
    config = bare_desk.config()
    jobs = ["rz1/www/test/web", "rz1/www/test/once", "rz1/www/test/nightly"]
    done = bare_desk.aurora("config", "list", config)
    assert (done.code, done.out, done.err) == (0, f"jobs=[{', '.join(jobs)}]\n", "")
    assert bare_desk.aurora("config", "list", "-o", "json", config).json == {"jobs": jobs}
    name = bare_desk.config('{"jobs": [{"name": "j", "role": "r", "cluster": "c", "environment": "e"}]}', "j.json")
    assert bare_desk.aurora("config", "list", name).out == "jobs=[c/r/e/j]\n"
    assert bare_desk.aurora("config", "list", "--read-json", name).code == 0


def test_quota_get(desk: Desk, fake: FakeScheduler) -> None:
    answer = {
        "role": "www",
        "quota": {"cpus": 10, "ramMb": 2048, "diskMb": 1536},
        "prodShared": {"cpus": 1.5, "ramMb": 512, "diskMb": 0},
        "prodDedicated": {"cpus": 0, "ramMb": 0, "diskMb": 0},
        "nonProdShared": {},
    }
    fake.on["GET", "/quota/www"] = lambda query: (200, answer)
    done = desk.aurora("quota", "get", "rz1/www")
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        "Allocated:", "  CPU: 10", "  RAM: 2.000000 GB", "  Disk: 1.500000 GB",
        "Production shared pool resources consumed:", "  CPU: 1.5", "  RAM: 0.500000 GB", "  Disk: 0.000000 GB",
    ]  # fmt: skip
    assert desk.aurora("quota", "get", "--write-json", "rz1/www").json == answer


# --- diff ------------------------------------------------------------------------------------------------------------


def differing(fake: FakeScheduler) -> None:
    """Of three instances in use two have another command line, one is too many; a fourth is to come."""

    def diff(body: dict[str, object]) -> tuple[int, dict[str, object]]:
        new = body["taskConfig"]
        assert isinstance(new, dict)
        data = new["executorConfig"]["data"].replace("echo hello", "echo bye")
        old = {**new, "executorConfig": {**new["executorConfig"], "data": data}, "owner": {"user": "somebody"}}
        return 200, {
            "add": [{"config": new, "instances": [[3, 3]]}],
            "remove": [{"config": old, "instances": [[7, 9]]}],
            "update": [{"config": old, "instances": [[0, 1]]}],
            "unchanged": [{"config": new, "instances": [[2, 2], [4, 5]]}],
        }

    fake.on["POST", f"/jobs/{WEB}/diff"] = diff


def test_diff(desk: Desk, fake: FakeScheduler) -> None:
    differing(fake)
    done = desk.aurora("job", "diff", f"{KEY}/0-5", "web.aurora")
    assert (done.code, done.err) == (0, "")
    text = done.out.replace("            ", "")
    assert text.startswith(
        "This job update will:\nadd instances: [3]\nremove instances: [7-9]\nupdate instances: [0-1]"
    )
    assert done.out.count("remove instances") == 1
    assert '-"cmdline": "echo bye\n' in text
    assert '+"cmdline": "echo hello\n' in text
    assert "sleep 1" in text, "lines of a command are lines"
    assert "somebody" not in text, "who asks is no difference"
    assert done.lines[-1] == "not change instances: [2], [4-5]"
    assert "\x1b" not in done.out
    (_, populated), (path, asked) = fake.asked("POST")
    assert path == f"/jobs/{WEB}/diff"
    assert asked == {"taskConfig": populated["taskConfig"], "instanceCount": 2, "onlyInstances": [0, 1, 2, 3, 4, 5]}


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_diff_of_instances_that_are_nowhere(desk: Desk, fake: FakeScheduler, form: str) -> None:
    differing(fake)
    done = desk.aurora("job", "diff", "-o", form, f"{KEY}/3,6,10-11", "web.aurora")
    line = f"aurora: there is no instance 6,10-11 of {KEY}, neither now nor after the update\n"
    assert (done.code, done.out, done.err) == (6, "", line)


def test_diff_for_programs(desk: Desk, fake: FakeScheduler) -> None:
    differing(fake)
    answer = desk.aurora("job", "diff", "-o", "json", KEY, "web.aurora").json
    assert answer["job"] == KEY
    assert [group["instances"] for group in answer["update"]] == [[[0, 1]]]
    assert fake.asked("POST")[1][1]["onlyInstances"] is None


def test_diff_viewer(desk: Desk, fake: FakeScheduler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    differing(fake)
    viewer = tmp_path / "view it"
    viewer.write_text('#!/bin/sh\necho "$1" >>args; cat "$2" >now; cat "$3" >new; exit $CODE\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("DIFF_VIEWER", f"'{viewer}' -y")
    for code, expected in ((0, 0), (1, 0), (2, 4)):
        monkeypatch.setenv("CODE", str(code))
        done = desk.aurora("job", "diff", KEY, "web.aurora")
        assert done.code == expected
    assert done.err == f"aurora: DIFF_VIEWER \"'{viewer}' -y\" failed with exit code 2\n"
    assert (tmp_path / "args").read_text() == "-y\n" * 3
    assert "echo bye" in (tmp_path / "now").read_text()
    assert "echo hello" in (tmp_path / "new").read_text()
    for bad, words in (("/no/such", "cannot run DIFF_VIEWER"), ("'", "DIFF_VIEWER is no command")):
        monkeypatch.setenv("DIFF_VIEWER", bad)
        assert words in desk.aurora("job", "diff", KEY, "web.aurora").err


@pytest.mark.parametrize("words", [("--from", "rz1/www/prod/web", KEY), ("rz1/www/test/nightly",)])
def test_diff_config_by_config(desk: Desk, fake: FakeScheduler, words: tuple[str, ...]) -> None:
    other = "www/prod/web" if "--from" in words else "www/test/nightly"
    group = {"config": {"tier": "preferred"}, "instances": [[0, 3]]}
    fake.on["GET", f"/jobs/{other}"] = lambda query: (200, {"configs": [group]})
    done = desk.aurora("job", "diff", *words, "web.aurora")
    assert done.code == 0
    assert done.lines[0] == f"instances [0-3] of rz1/{other}"
    assert '-  "tier": "preferred"' in done.lines
    assert desk.aurora("job", "diff", "-o", "json", *words, "web.aurora").json["configs"] == [group]
    del fake.on["GET", f"/jobs/{other}"]
    done = desk.aurora("job", "diff", *words, "web.aurora")
    assert (done.code, done.err) == (6, f"aurora: Could not find job to diff against: rz1/{other}\n")


def test_equal_configs_are_equal_texts() -> None:
    one = {
        "resources": [{"ramMb": 1}, {"numCpus": 1.0}],
        "tier": None,
        "executorConfig": {"name": "x", "data": '{"b":1,"a":2}'},
    }
    two = {"executorConfig": {"data": '{"a":2,"b":1}', "name": "x"}, "resources": [{"numCpus": 1.0}, {"ramMb": 1}]}
    assert config_lines(one) == config_lines(two)
    assert config_lines({"executorConfig": {"name": "custom", "data": "{broken"}})


# --- every verb ------------------------------------------------------------------------------------------------------


def test_version(bare_desk: Desk) -> None:
    assert bare_desk.aurora("version").out == f"aurora {VERSION}\n"
    assert bare_desk.aurora("version", "-o", "json").json == {"version": VERSION}


@pytest.mark.parametrize("words", [("-v", "job", "list", "rz1"), ("job", "list", "--verbose", "rz1")])
def test_verbose(desk: Desk, fake: FakeScheduler, words: tuple[str, ...]) -> None:
    done = desk.aurora(*words)
    line = re.escape(f"aurora: GET {fake.url}/api/v1/jobs?limit=10000&offset=0: 200 after ")
    assert re.match(line + r"\d+\.\d", done.err)


TIERS = {
    "preemptible": {"preemptible": True, "revocable": False},
    "gold": {"preemptible": False, "revocable": False},
    "preferred": {"preemptible": False, "revocable": False},
}


@pytest.mark.parametrize(("tiers", "tier"), [(TIERS, "preferred"), ({"gold": TIERS["gold"]}, "gold")])
def test_production_is_a_tier(desk: Desk, fake: FakeScheduler, tiers: dict[str, object], tier: str) -> None:
    fake.on["GET", "/tiers"] = lambda query: (200, {"default": "preemptible", "tiers": tiers})
    desk.config(CONFIG.replace("instances = 2", "instances = 2, production = True"))
    assert desk.aurora("job", "create", KEY, "web.aurora").code == 0
    assert fake.asked("POST")[0][1]["taskConfig"]["tier"] == tier
    fake.on["GET", "/tiers"] = lambda query: (200, {"tiers": {"preemptible": TIERS["preemptible"]}})
    done = desk.aurora("job", "create", KEY, "web.aurora")
    assert done.code == 6
    assert "no tier for production jobs" in done.err


def test_a_tier_that_is_said_is_taken(desk: Desk, fake: FakeScheduler) -> None:
    desk.config(CONFIG.replace("instances = 2", "instances = 2, tier = 'gold', production = True"))
    assert desk.aurora("job", "create", KEY, "web.aurora").code == 0
    assert [path for _, path, _, _ in fake.requests] == ["/jobs"]
    assert fake.asked("POST")[0][1]["taskConfig"]["tier"] == "gold"


def test_warnings_of_a_config_are_said(desk: Desk, fake: FakeScheduler) -> None:
    fake.on["GET", "/tiers"] = lambda query: (200, {"tiers": TIERS})
    desk.config(CONFIG.replace("instances = 2", "instances = 2, production = True"))
    done = desk.aurora("job", "create", KEY, "web.aurora")
    assert done.code == 0
    assert "warning: " in done.err
    assert all(line.startswith("aurora: ") for line in done.err.splitlines())


HOOKS = """
class Hook(object):
    name = 'audit'
    def pre_command(self, noun, verb, context, commandline):
        context.print_err('%s %s %s' % (noun, verb, list(commandline)))
        return 17 if verb == 'list' else 0
    def pre_kill_job(self, job_key, instances = None, config = None):
        return False
    def pre_restart(self, job_key, instances, updater_config, health_check_interval_seconds, config = None):
        return False
    def pre_add_instances(self, job_key, count, config = None):
        return count != 3
    def pre_create_job(self, config):
        return config.name() != 'web'
hooks = [Hook()]
"""


def test_hooks_of_the_site(desk: Desk, fake: FakeScheduler) -> None:
    (desk.path / "hooks.py").write_text(HOOKS)
    done = desk.aurora("job", "list", "rz1")
    assert done.code == 17
    assert done.err.startswith("job list ['job', 'list', 'rz1']\n")
    assert desk.aurora("job", "list", "--skip-hooks", "audit", "rz1").code == 0
    fake.add(WEB, 0, "RUNNING")
    for words in (("kill", f"{KEY}/0"), ("killall", KEY), ("restart", KEY), ("add", f"{KEY}/0", "3"),
                  ("create", KEY, "web.aurora")):  # fmt: skip
        done = desk.aurora("job", *words)
        assert (done.code, words) == (4, words)
        assert "Pre hooks stopped call to" in done.err
    assert not fake.asked("POST")
    assert desk.aurora("job", "add", f"{KEY}/0", "1").code == 0
    assert desk.aurora("job", "create", "rz1/www/test/once", "web.aurora").code == 0


def test_hooks_of_a_config(desk: Desk, fake: FakeScheduler) -> None:
    """They run if the job wants them; other verbs get them with --config."""
    hooks = "class Never(object):\n    def pre_kill_job(self, job_key, instances = None, config = None): return False\n"
    enabled = CONFIG.replace("instances = 2", "instances = 2, enable_hooks = True")
    desk.config(f"{hooks}{enabled}\nhooks = [Never()]")
    fake.add(WEB, 0, "RUNNING")
    done = desk.aurora("job", "kill", "--config", "web.aurora", f"{KEY}/0")
    assert done.code == 4
    assert "Pre hooks stopped call to kill_job: Never.pre_kill_job returned False" in done.err
    assert not fake.asked("POST")
