"""`aurora job …` against a scheduler that does what the test says."""

from __future__ import annotations

import getpass

import pytest

from client.aurora import batches
from tests.client.aurora.desk import Desk
from tests.client.aurora.fake_scheduler import FakeScheduler, refusal

WEB = "www/test/web"
KEY = f"rz1/{WEB}"


def up(fake: FakeScheduler, job: str, *instances: int, status: str = "RUNNING") -> list[str]:
    return [fake.add(job, number, status, slaveHost=f"host{number}") for number in instances]


# --- create, run, add ------------------------------------------------------------------------------------------------


def test_create(desk: Desk, fake: FakeScheduler) -> None:
    done = desk.aurora("job", "create", "--bind", "profile.word=hi", KEY, "web.aurora")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"Job create succeeded: job url={fake.url}/scheduler/{WEB}\n"
    path, body = fake.asked("POST")[0]
    assert path == "/jobs"
    assert body["key"] == {"role": "www", "environment": "test", "name": "web"}
    assert body["owner"] == {"user": getpass.getuser()}
    assert body["instanceCount"] == 2
    assert "echo hi" in body["taskConfig"]["executorConfig"]["data"]
    again = desk.aurora("job", "create", KEY, "web.aurora")
    assert (again.code, again.out, again.err) == (10, "", f"aurora: Job {WEB} already exists\n")


def test_create_follows_the_events(desk: Desk, fake: FakeScheduler) -> None:
    def come_up() -> None:
        for number in (0, 1):
            fake.move(fake.of(WEB, number), "ASSIGNED", "STARTING", "RUNNING", host=f"host{number}")

    fake.steps = [lambda: None, come_up]  # the second look is made when the stream is open
    done = desk.aurora("job", "create", "--wait-until", "RUNNING", KEY, "web.aurora")
    assert (done.code, done.err) == (0, "")
    changes = [line.split(" ", 1)[1] for line in done.lines[:-1]]
    assert [change for change in changes if "/0 " in change] == [
        f"{KEY}/0 PENDING", f"{KEY}/0 ASSIGNED on host0", f"{KEY}/0 STARTING on host0", f"{KEY}/0 RUNNING on host0",
    ]  # fmt: skip
    assert len(changes) == 8
    assert ("/events", {"role": "www", "environment": "test", "name": "web"}) in fake.asked("GET")
    assert done.lines[-1].startswith("Job create succeeded")


def test_an_instance_that_will_not_run_ends_the_wait(desk: Desk, fake: FakeScheduler) -> None:
    def fail() -> None:
        fake.move(fake.of(WEB, 0), "RUNNING")
        fake.move(fake.of(WEB, 1), "FAILED", message="exit code 3")

    fake.steps = [lambda: None, fail]
    done = desk.aurora("job", "create", "--wait-until", "RUNNING", KEY, "web.aurora")
    assert done.code == 4
    assert done.err == f"aurora: {KEY}: instance 1 FAILED: exit code 3\n"
    assert "succeeded" not in done.out


def test_a_failed_instance_with_a_successor_goes_on(desk: Desk, fake: FakeScheduler) -> None:
    """Its successor is known to the scheduler, but the event of it has not come: a look tells."""
    job = "www/test/once"

    def fail() -> None:
        old = fake.of(job, 0)
        fake.move(old, "RUNNING", "FAILED")
        tell, fake._tell = fake._tell, lambda name, data: None  # type: ignore[method-assign]
        fake.add(job, 0, "PENDING")
        fake._tell = tell  # type: ignore[method-assign]

    fake.steps = [lambda: None, fail, lambda: fake.move(fake.of(job, 0), "RUNNING", "FINISHED")]
    done = desk.aurora("job", "run", f"rz1/{job}", "web.aurora")
    assert (done.code, done.err) == (0, "")
    assert done.lines[-1] == f"Job rz1/{job} finished"


@pytest.mark.parametrize(("end", "code"), [("FINISHED", 0), ("FAILED", 4), ("KILLED", 4), ("LOST", 4)])
def test_run_ends_as_the_job_ends(desk: Desk, fake: FakeScheduler, end: str, code: int) -> None:
    fake.steps = [lambda: None, lambda: fake.move(fake.of("www/test/once", 0), "RUNNING", end, message="m")]
    done = desk.aurora("job", "run", "-o", "json", "rz1/www/test/once", "web.aurora")
    assert done.code == code
    assert done.json["ok"] is (code == 0)
    assert done.json["failed"] == ({} if code == 0 else {"0": f"{end}: m"})


def test_run_waits_no_longer_than_it_may(desk: Desk, fake: FakeScheduler) -> None:
    done = desk.aurora("job", "run", "--wait", "0", "rz1/www/test/once", "web.aurora")
    assert (done.code, done.err) == (9, "aurora: rz1/www/test/once is still under way\n")
    assert fake.active("www/test/once") == [0], "the job goes on"


@pytest.mark.parametrize("words", [("job", "run"), ("job", "create", "--wait-until", "FINISHED")])
def test_a_service_never_ends(desk: Desk, fake: FakeScheduler, words: tuple[str, ...]) -> None:
    done = desk.aurora(*words, KEY, "web.aurora")
    assert done.code == 6
    assert "a service, which never finishes" in done.err
    assert not fake.requests


def test_a_cron_job_is_not_created(desk: Desk, fake: FakeScheduler) -> None:
    done = desk.aurora("job", "create", "rz1/www/test/nightly", "web.aurora")
    assert done.code == 4
    assert 'made with "aurora cron schedule"' in done.err
    assert not fake.requests


def test_add(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0, 3)
    fake.steps = [lambda: None, lambda: [fake.move(fake.of(WEB, n), "RUNNING") for n in (4, 5)] and None]
    done = desk.aurora("job", "add", "--wait-until", "RUNNING", f"{KEY}/3", "2")
    assert (done.code, done.err, done.lines[-1]) == (0, "", "Job add succeeded: instances 4-5")
    assert fake.asked("POST") == [(f"/jobs/{WEB}/instances", {"template": 3, "count": 2})]
    assert not any("/0 " in line for line in done.lines), "only what is new is followed"


# --- kill, restart ---------------------------------------------------------------------------------------------------


def end_of_kills(fake: FakeScheduler, job: str = WEB) -> None:
    """Every look finds what was being killed ended."""

    def step() -> None:
        for task_id, task in list(fake.tasks.items()):
            if task["status"] == "KILLING":
                fake.move(task_id, "KILLED")
        fake.steps.append(step)

    real = fake._change

    def change(job: str, verb: str, given: dict[str, object]) -> object:
        answer = real(job, verb, given)
        step()
        return answer

    fake._change = change  # type: ignore[assignment,method-assign]


def test_kill_in_batches(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0, 1, 2, 3)
    end_of_kills(fake)
    done = desk.aurora("job", "kill", "--batch-size", "2", "-m", "why", f"{KEY}/0-2,7")
    assert (done.code, done.lines[-1]) == (0, "Job kill succeeded")
    assert done.err == "aurora: not active, and left alone: instances 7\n"
    assert fake.asked("POST") == [
        (f"/jobs/{WEB}/kill", {"instances": [0, 1], "message": "why"}),
        (f"/jobs/{WEB}/kill", {"instances": [2], "message": "why"}),
    ]
    assert fake.active(WEB) == [3]


def test_killall_at_once(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0, 1)
    end_of_kills(fake)
    done = desk.aurora("job", "killall", "--no-batching", "-o", "json", KEY)
    assert done.code == 0
    assert done.json == {"job": KEY, "ok": True, "killed": [0, 1], "failed": {}, "left": []}
    assert fake.asked("POST") == [(f"/jobs/{WEB}/kill", {"instances": None, "message": ""})]


def test_a_pending_task_that_is_killed_is_gone(desk: Desk, fake: FakeScheduler) -> None:
    task_id = fake.add(WEB, 0)

    def delete(given: dict[str, object]) -> tuple[int, dict[str, object]]:
        fake.move(task_id, "DELETED")
        return 200, {"instances": [0]}

    fake.on["POST", f"/jobs/{WEB}/kill"] = delete
    assert desk.aurora("job", "killall", KEY).code == 0


def test_what_is_not_killed_in_time_is_a_failure(
    desk: Desk, fake: FakeScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(fake, WEB, 0, 1, 2)
    monkeypatch.setattr(batches, "KILL_WAIT_S", 0.0)
    done = desk.aurora("job", "killall", "--max-total-failures", "1", KEY)
    assert done.code == 4
    assert f"killall failed for instances 0-1 of {KEY}; instances 2 were left alone" in done.err
    assert len(fake.asked("POST")) == 2


def test_kill_warns_of_policies_that_count_instances(desk: Desk, fake: FakeScheduler) -> None:
    fake.add(WEB, 0, "RUNNING", config={"slaPolicy": {"countSlaPolicy": {"count": 1, "durationSecs": 1}}})
    end_of_kills(fake)
    assert "Killing instances without updating SlaPolicy." in desk.aurora("job", "killall", KEY).err


def test_strict_does_nothing_unless_all_are_active(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0)
    for verb in ("kill", "restart"):
        done = desk.aurora("job", verb, "--strict", f"{KEY}/0,1,4")
        assert (done.code, done.err) == (6, f"aurora: {KEY}: these instances are not active: 1,4\n")
    assert not fake.asked("POST")


def restarts(fake: FakeScheduler, *ends: str) -> None:
    """What is restarted has a successor, which comes to the next of `ends`, RUNNING after the last."""
    left = list(ends)
    real = fake._change

    def change(job: str, verb: str, given: dict[str, list[int]]) -> object:
        answer = real(job, verb, given)
        for number in given["instances"]:
            fake.move(fake.of(job, number), "KILLED")
            status = left.pop(0) if left else "RUNNING"
            new = fake.add(job, number, "PENDING")
            fake.move(new, "ASSIGNED", "STARTING", status, host=f"host{number}")
            if status == "FAILED":
                fake.add(job, number, "THROTTLED")
        return answer

    fake._change = change  # type: ignore[assignment,method-assign]


def test_restart(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0, 1, 2)
    restarts(fake)
    done = desk.aurora("job", "restart", "--batch-size", "2", "--watch-secs", "0", KEY)
    assert (done.code, done.err, done.lines[-1]) == (0, "", "Job restart succeeded")
    assert fake.asked("POST") == [
        (f"/jobs/{WEB}/restart", {"instances": [0, 1]}),
        (f"/jobs/{WEB}/restart", {"instances": [2]}),
    ]


def test_a_restart_without_an_event_stream(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0)
    fake.streams = False
    restarts(fake, "STARTING")
    fake.steps = [lambda: None] * 3 + [lambda: fake.move(fake.of(WEB, 0), "RUNNING")]
    done = desk.aurora("job", "restart", "--watch-secs", "0", "--healthcheck-interval-seconds", "0.1", KEY)
    assert (done.code, done.err, done.lines[-1]) == (0, "", "Job restart succeeded")
    assert f"{KEY}/0 STARTING on host0" in done.out


def test_a_restart_that_fails_says_so_and_ends_with_4(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0, 1, 2)
    restarts(fake, "RUNNING", "FAILED")
    done = desk.aurora("job", "restart", "--watch-secs", "0", "-o", "json", KEY)
    assert done.code == 4
    assert (done.json["restarted"], list(done.json["failed"]), done.json["left"]) == ([0], ["1"], [2])
    assert f"restart failed for instances 1 of {KEY}; instances 2 were left alone" in done.err


def test_an_instance_may_fail_so_often(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0, 1)
    restarts(fake, "FAILED", "RUNNING", "RUNNING")
    done = desk.aurora("job", "restart", "--watch-secs", "0", "--max-per-instance-failures", "1", KEY)
    assert done.code == 0
    assert [body["instances"] for _path, body in fake.asked("POST")] == [[0], [1], [0]]


def test_what_is_refused_ends_it(desk: Desk, fake: FakeScheduler) -> None:
    up(fake, WEB, 0, 1)
    fake.on["POST", f"/jobs/{WEB}/restart"] = lambda body: refusal(409, "JOB_UPDATING", "It is being updated")
    done = desk.aurora("job", "restart", KEY)
    assert done.code == 10
    assert "aurora: stopped: instances restarted: none, 0-1 left; the job goes on" in done.err
    assert "It is being updated\nError: job is locked by an active update." in done.err


# --- looking ---------------------------------------------------------------------------------------------------------


def test_status(desk: Desk, fake: FakeScheduler) -> None:
    config = {
        "resources": [{"numCpus": 0.5}, {"ramMb": 16}, {"diskMb": 32}, {"namedPort": "http"}],
        "maxTaskFailures": 3,
        "metadata": [{"key": "a", "value": "b\x1b[31m"}],
    }
    old = fake.add(WEB, 0, "RUNNING", config=config)
    fake.move(old, "FAILED", message="exit code 3\x07")
    fake.add(WEB, 0, "RUNNING", config=config, slaveHost="host0", assignedPorts={"http": 31000})
    waiting = fake.add(WEB, 1)
    fake.reasons[waiting] = "Insufficient: CPU"
    done = desk.aurora("job", "status", KEY)
    assert (done.code, done.err) == (0, "")
    assert done.lines[:8] == [
        "Active tasks (2):",
        "\tTask role: www, env: test, name: web, instance: 0, status: RUNNING on host0",
        "\t  cpus: 0.5, ram: 16 MB, disk: 32 MB",
        "\t  ports: http: 31000",
        "\t  failure count: 0 (max 3)",
        "\t  events:",
        done.lines[6],
        "\t  metadata:",
    ]
    assert "\t   (key: 'a', value: 'b?[31m')" in done.lines
    assert "\t  reason: Insufficient: CPU" in done.lines
    assert "Inactive tasks (1):" in done.lines
    assert done.lines[-3].endswith("FAILED: exit code 3?")

    answer = desk.aurora("job", "status", "--write-json", KEY).json
    assert answer == desk.aurora("job", "status", "-o", "json", KEY).json
    assert [job["job"] for job in answer] == [KEY]
    assert answer[0]["active"][0] == fake.tasks[fake.of(WEB, 0)]
    assert (len(answer[0]["inactive"]), answer[0]["reasons"]) == (1, {waiting: "Insufficient: CPU"})


def test_status_and_list_with_globs(desk: Desk, fake: FakeScheduler) -> None:
    for job in ("www/test/web", "www/prod/web", "ads/test/web"):
        fake.add(job, 0)
    assert desk.aurora("job", "list", "rz1/www").lines == ["rz1/www/test/web", "rz1/www/prod/web"]
    assert desk.aurora("job", "list", "rz1/*/test/w*").lines == ["rz1/www/test/web", "rz1/ads/test/web"]
    assert [job["job"] for job in desk.aurora("job", "list", "-o", "json", "rz1/ads").json] == ["rz1/ads/test/web"]
    assert desk.aurora("job", "status", "rz1/*/test").out.count("Active tasks (1):") == 2
    assert (desk.aurora("job", "list", "rz1/nobody").code, desk.aurora("job", "list", "rz1/nobody").out) == (0, "")


def test_status_of_no_job(desk: Desk) -> None:
    for key in (KEY, "rz1/w*"):
        done = desk.aurora("job", "status", key)
        assert (done.code, done.out, done.err) == (6, "", f"aurora: Found no jobs matching {key}\n")
        answer = desk.aurora("job", "status", "-o", "json", key)
        assert (answer.code, answer.json) == (0, {"jobspec": key, "error": "No matching jobs found"})


WHY = {
    "taskId": "t", "instance": f"{WEB}/0", "status": "PENDING", "since": 1, "reason": "None of 3 hosts takes it",
    "attempts": 4, "nextAttemptS": 12.5, "hostCount": 3, "fitting": [], "byReason": {"Insufficient: CPU": 3},
    "smallest": {"host": "b", "reasons": ["Insufficient: CPU"], "change": "with CPU at most 4 (2 less)"},
    "smallestOfTask": {"host": "c", "reasons": [], "change": "with CPU at most 3"},
    "hosts": [
        {"host": "b", "fits": False, "reasons": ["Insufficient: CPU"], "change": "with CPU at most 4 (2 less)"},
        {"host": "long-name\x1b", "fits": True, "reasons": [], "change": ""},
    ],
}  # fmt: skip


def test_why(desk: Desk, fake: FakeScheduler) -> None:
    fake.on["GET", f"/jobs/{WEB}/instances/0/why"] = lambda query: (200, WHY)
    done = desk.aurora("job", "why", "--hosts", "2", f"{KEY}/0")
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].startswith(f"{KEY}/0 PENDING for ")
    assert done.lines[1:] == [
        "  None of 3 hosts takes it",
        "  4 attempts so far; the next one in 13 s",
        "",
        "Reasons, of 3 hosts:",
        "       3  Insufficient: CPU",
        "",
        "Smallest change: with CPU at most 4 (2 less) (host b)",
        "Smallest change of the job alone: with CPU at most 3 (host c)",
        "",
        "HOST        FITS  REASONS            CHANGE",
        "b           no    Insufficient: CPU  with CPU at most 4 (2 less)",
        "long-name?  yes   -",
        "… 1 more host; --hosts N shows more",
    ]
    assert fake.requests[0][1:3] == (f"/jobs/{WEB}/instances/0/why", {"hosts": "2"})
    assert desk.aurora("job", "why", "-o", "json", f"{KEY}/0").json == WHY


def test_why_of_one_that_does_not_wait(desk: Desk, fake: FakeScheduler) -> None:
    answer = {"status": "RUNNING", "since": 0, "reason": "It is RUNNING on b: it waits for no host", "hosts": []}
    fake.on["GET", f"/jobs/{WEB}/instances/0/why"] = lambda query: (200, answer)
    assert desk.aurora("job", "why", f"{KEY}/0").lines == [f"{KEY}/0 RUNNING", f"  {answer['reason']}"]


def test_inspect(desk: Desk, fake: FakeScheduler) -> None:
    done = desk.aurora("job", "inspect", KEY, "web.aurora")
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        "Job level information", "  name:       'web'", "  role:       'www'", "  contact:    'me@example.org'",
        "  cluster:    'rz1'", "  instances:  '2'", "  service:    True", "  production: False", "",
        "Task level information", "  name: 'hello'", "  resources: cpu 0.5, ram 16 MB, disk 32 MB", "",
        "Process 'hello':", "  cmdline:", "    echo hello", "    sleep 1",
    ]  # fmt: skip
    assert "Job(name=web," in desk.aurora("job", "inspect", "--raw", KEY, "web.aurora").out
    answer = desk.aurora("job", "inspect", "--write-json", "--bind", "profile.word=hi", KEY, "web.aurora").json
    assert answer["job"]["task"]["processes"][0]["cmdline"] == "echo hi\nsleep 1"
    assert answer["configuration"]["instanceCount"] == 2
    assert "  cron:" in desk.aurora("job", "inspect", "rz1/www/test/nightly", "web.aurora").lines
    assert not fake.requests, "nothing is asked"


def test_inspect_needs_no_cluster(bare_desk: Desk) -> None:
    assert bare_desk.aurora("job", "inspect", KEY, bare_desk.config()).code == 0


# --- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "path"),
    [("rz1", ""), ("rz1/www", "/www"), ("rz1/www/test", "/www/test"), (KEY, f"/{WEB}")],
)
def test_open(desk: Desk, fake: FakeScheduler, monkeypatch: pytest.MonkeyPatch, key: str, path: str) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open_new_tab", lambda url: opened.append(url) is None)
    done = desk.aurora("job", "open", key)
    assert (done.code, done.out, done.err) == (0, f"{fake.url}/scheduler{path}\n", "")
    assert opened == [f"{fake.url}/scheduler{path}"]


def test_pages_behind_a_proxy_and_no_browser(desk: Desk, fake: FakeScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.clusters({"name": "rz1", "scheduler_uri": fake.url, "proxy_url": "https://aurora.example/"})
    monkeypatch.setattr("webbrowser.open_new_tab", lambda url: False)
    done = desk.aurora("job", "open", "rz1/www")
    assert done.out == "https://aurora.example/scheduler/www\n"
    assert done.err == "aurora: no browser could be started\n"
    done = desk.aurora("job", "create", "--open-browser", KEY, "web.aurora")
    assert done.out == f"Job create succeeded: job url=https://aurora.example/scheduler/{WEB}\n"
    assert done.err == "aurora: no browser could be started\n"
