"""`aurora update …` against a scheduler that does what the test says."""

from __future__ import annotations

import getpass
import re
from typing import Any

import pytest

from tests.client.aurora.desk import CONFIG, Desk
from tests.client.aurora.fake_scheduler import FakeScheduler, refusal
from tests.client.aurora_update.fake_updates import ID, WEB, FakeUpdates

KEY = "rz1/www/test/web"
NONE = f"aurora: No active update found for this job: {KEY}"


def url(fake: FakeScheduler) -> str:
    return f"{fake.url}/scheduler/www/test/web/update/{ID}"


# --- start -----------------------------------------------------------------------------------------------------------


def test_start(desk: Desk, fake: FakeScheduler, updates: FakeUpdates) -> None:
    done = desk.aurora("update", "start", "-m", "new logo", "--bind", "profile.word=hi", KEY, "web.aurora")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "This job update will:\nadd instances: [0-1]\n"
        f"Job update has started. View your update progress at {url(fake)}\n"
    )
    (body,) = updates.asked
    assert (body["message"], body["instanceCount"], body["taskConfig"]["owner"]) == (
        "new logo", 2, {"user": getpass.getuser()},
    )  # fmt: skip
    assert "echo hi" in body["taskConfig"]["executorConfig"]["data"]
    assert body["settings"]["updateOnlyTheseInstances"] == []
    (pair,) = body["metadata"]
    assert pair["key"] == "org.apache.aurora.client.update_id"
    desk.aurora("update", "start", KEY, "web.aurora")
    assert updates.asked[1]["metadata"][0]["value"] != pair["value"], "another start is another update"


def test_start_of_some_instances_of_an_old_production_job(
    desk: Desk, fake: FakeScheduler, updates: FakeUpdates
) -> None:
    tiers = {"preferred": {"preemptible": False, "revocable": False}}
    fake.on["GET", "/tiers"] = lambda query: (200, {"default": "preemptible", "tiers": tiers})
    desk.config(CONFIG.replace("instances = 2,", "instances = 2, production = True,"))
    assert desk.aurora("update", "start", f"{KEY}/0-1,4", "web.aurora").code == 0
    (body,) = updates.asked
    assert body["settings"]["updateOnlyTheseInstances"] == [{"first": 0, "last": 1}, {"first": 4, "last": 4}]
    assert body["taskConfig"]["tier"] == "preferred"
    assert dict(fake.asked("POST"))[f"{WEB}/diff"]["onlyInstances"] == [0, 1, 4]


def test_start_with_a_deadline(desk: Desk, updates: FakeUpdates) -> None:
    assert desk.aurora("update", "start", "--progress-deadline", "90", KEY, "web.aurora").code == 0
    assert updates.asked[0]["settings"]["progressDeadlineMs"] == 90_000
    assert desk.aurora("update", "start", "--progress-deadline", "0", KEY, "web.aurora").code == 6


def test_start_in_json(desk: Desk, fake: FakeScheduler, updates: FakeUpdates) -> None:
    done = desk.aurora("update", "start", "-o", "json", KEY, "web.aurora")
    diff = {"add": [{"config": {}, "instances": [[0, 1]]}]}
    assert done.json == {"job": KEY, "started": True, "id": ID, "url": url(fake), "diff": diff}


def test_a_start_that_changes_nothing(desk: Desk, fake: FakeScheduler, updates: FakeUpdates) -> None:
    text = "Job is unchanged by proposed update."
    fake.on["POST", f"{WEB}/updates"] = lambda body: (200, {"started": False, "message": text})
    fake.on["POST", f"{WEB}/diff"] = lambda body: (200, {"unchanged": [{"config": {}, "instances": [[0, 1]]}]})
    done = desk.aurora("update", "start", "--wait", KEY, "web.aurora")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"This job update will:\nnot change instances: [0-1]\n{text}\n"
    done = desk.aurora("update", "start", "--wait", "-o", "json", KEY, "web.aurora")
    assert done.json == {"job": KEY, "started": False, "message": text}


def test_a_second_update_is_refused_with_the_first_ones_key(
    desk: Desk, fake: FakeScheduler, updates: FakeUpdates
) -> None:
    text = f"www/test/web is being updated already: {ID}, by joe; wait for it or abort it"
    fake.on["POST", f"{WEB}/updates"] = lambda body: refusal(409, "JOB_UPDATING", text)
    done = desk.aurora("update", "start", KEY, "web.aurora")
    assert done.code == 10
    assert "started" not in done.out
    assert done.err.startswith(f"aurora: {text}\n")
    assert "Run 'aurora update abort'" in done.err


def test_cron_jobs_are_not_updated(desk: Desk, fake: FakeScheduler, updates: FakeUpdates) -> None:
    for verb in ("start", "plan"):
        done = desk.aurora("update", verb, "rz1/www/test/nightly", "web.aurora")
        assert done.code == 4
        assert done.err == 'aurora: Cron jobs may only be updated with "aurora cron schedule" command\n'
    assert not fake.requests


HOOKED = """
class Hook(object):
    def pre_start_job_update(self, config, message, instances = None):
        print('asked: %s %s' % (message, instances))
        return message != 'no'
hooks = [Hook()]
"""


def test_hooks(desk: Desk, updates: FakeUpdates) -> None:
    desk.config(CONFIG.replace("instances = 2,", "instances = 2, enable_hooks = True,") + HOOKED)
    done = desk.aurora("update", "start", "-m", "yes", f"{KEY}/1", "web.aurora")
    assert (done.code, done.err) == (0, "asked: yes [1]\n")
    done = desk.aurora("update", "start", "-m", "no", KEY, "web.aurora")
    assert (done.code, len(updates.asked)) == (4, 1)
    assert "asked: no None\n" in done.err
    assert "Pre hooks stopped call to start_job_update" in done.err


# --- start --wait, wait ----------------------------------------------------------------------------------------------


def go_forward(updates: FakeUpdates) -> None:
    updates.steps = [
        lambda: updates.instance(0, "INSTANCE_UPDATING"),
        lambda: (updates.instance(0, "INSTANCE_UPDATED"), updates.instance(1, "INSTANCE_UPDATING")),
        lambda: (updates.instance(1, "INSTANCE_UPDATED"), updates.state("ROLLED_FORWARD")),
    ]


def go_back(updates: FakeUpdates) -> None:
    updates.steps = [
        lambda: (updates.instance(0, "INSTANCE_UPDATING"), updates.instance(0, "INSTANCE_UPDATE_FAILED", "Too bad")),
        lambda: updates.state("ROLLING_BACK", "Latest failure: instance 0 exited."),
        lambda: (updates.instance(0, "INSTANCE_ROLLED_BACK"), updates.state("ROLLED_BACK")),
    ]


def without_clock(lines: list[str]) -> list[str]:
    return [line.split(" ", 1)[1] if line[2:3] == ":" else line for line in lines]


def test_start_and_wait_tells_every_change(desk: Desk, updates: FakeUpdates) -> None:
    go_forward(updates)
    done = desk.aurora("update", "start", "--wait", KEY, "web.aurora")
    assert (done.code, done.err) == (0, "")
    assert without_clock(done.lines[3:]) == [
        "Current state ROLLING_FORWARD",
        f"{KEY}/0 INSTANCE_UPDATING",
        f"{KEY}/0 INSTANCE_UPDATED",
        f"{KEY}/1 INSTANCE_UPDATING",
        f"{KEY}/1 INSTANCE_UPDATED",
        "Current state ROLLED_FORWARD",
    ]


def test_a_start_that_is_rolled_back_fails(desk: Desk, updates: FakeUpdates) -> None:
    go_back(updates)
    done = desk.aurora("update", "start", "--wait", KEY, "web.aurora")
    assert done.code == 4
    assert f"{KEY}/0 INSTANCE_UPDATE_FAILED: Too bad" in without_clock(done.lines)
    assert "Current state ROLLING_BACK: Latest failure: instance 0 exited." in done.lines
    why = "Latest failure: instance 0 exited."
    assert done.err == f"aurora: update {ID} of {KEY} ended as ROLLED_BACK: {why}\n"


def test_start_and_wait_in_json_says_how_it_ended(desk: Desk, updates: FakeUpdates) -> None:
    go_back(updates)
    done = desk.aurora("update", "start", "--wait", "-o", "json", KEY, "web.aurora")
    assert done.code == 4
    assert (done.json["status"], done.json["message"]) == ("ROLLED_BACK", "Latest failure: instance 0 exited.")


@pytest.mark.parametrize("with_id", [True, False])
def test_wait_tells_what_comes_and_not_what_was(desk: Desk, updates: FakeUpdates, with_id: bool) -> None:
    updates.instance(0, "INSTANCE_UPDATING")
    updates.steps = [lambda: None, lambda: None, lambda: updates.state("ROLLED_FORWARD")]
    done = desk.aurora("update", "wait", KEY, *([ID] if with_id else []))
    assert (done.code, done.err) == (0, "")
    assert done.lines == ["Current state ROLLING_FORWARD", "Current state ROLLED_FORWARD"]


@pytest.mark.parametrize(
    ("status", "code"), [("ROLLED_FORWARD", 0), ("ROLLED_BACK", 4), ("ABORTED", 20), ("FAILED", 20), ("ERROR", 20)]
)
def test_how_wait_ends(desk: Desk, updates: FakeUpdates, status: str, code: int) -> None:
    updates.state(status, "that is why")
    done = desk.aurora("update", "wait", KEY, ID)
    assert (done.code, done.out) == (code, f"Current state {status}: that is why\n")
    assert done.err == ("" if not code else f"aurora: update {ID} of {KEY} ended as {status}: that is why\n")
    done = desk.aurora("update", "wait", "-o", "json", KEY, ID)
    assert (done.code, done.json) == (code, {"job": KEY, "id": ID, "status": status, "message": "that is why"})


# --- pause, resume, abort, rollback ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "past"), [("pause", "paused"), ("resume", "resumed"), ("abort", "aborted")])
def test_wishes(desk: Desk, updates: FakeUpdates, verb: str, past: str) -> None:
    done = desk.aurora("update", verb, "-m", "let us see", KEY)
    assert (done.code, done.out, done.err) == (0, f"Update has been {past}.\n", "")
    assert updates.wishes == [(verb, {"message": "let us see"})]
    assert desk.aurora("update", verb, "-o", "json", KEY).json == {"job": KEY, "id": ID, "status": f"{verb} it is"}


def test_rollback(desk: Desk, updates: FakeUpdates) -> None:
    done = desk.aurora("update", "rollback", "-m", "bad", KEY)
    assert (done.code, done.out, done.err) == (0, "Update rollback has started.\n", "")
    assert updates.wishes == [("rollback", {"message": "bad"})]
    assert desk.aurora("update", "rollback", "-o", "json", KEY).json["id"] == ID


@pytest.mark.parametrize(("status", "code"), [("ROLLED_BACK", 0), ("ROLLED_FORWARD", 4), ("FAILED", 20)])
def test_rollback_and_wait(desk: Desk, updates: FakeUpdates, status: str, code: int) -> None:
    updates.steps = [lambda: None, lambda: updates.state(status)]
    done = desk.aurora("update", "rollback", "--wait", KEY)
    assert (done.code, done.lines[0], done.lines[-1]) == (
        code, "Update rollback has started.", f"Current state {status}",
    )  # fmt: skip


@pytest.mark.parametrize("verb", ["pause", "resume", "abort", "rollback", "wait", "info"])
def test_no_active_update(desk: Desk, updates: FakeUpdates, verb: str) -> None:
    updates.told = {}
    done = desk.aurora("update", verb, KEY)
    hint = f"; `aurora update list {KEY}` shows all\n" if verb in ("wait", "info") else "\n"
    assert (done.code, done.out, done.err) == (6, "", NONE + hint)


@pytest.mark.parametrize("verb", ["wait", "info"])
def test_an_unknown_id(desk: Desk, fake: FakeScheduler, updates: FakeUpdates, verb: str) -> None:
    done = desk.aurora("update", verb, KEY, "abc")
    text = f"aurora: No update abc found for this job: {KEY}; `aurora update list {KEY}` shows all\n"
    assert (done.code, done.err) == (6, text)
    asked = len(fake.requests)
    done = desk.aurora("update", verb, KEY, "a/b")
    assert (done.code, done.err) == (6, "aurora: bad update id 'a/b': `aurora update list` shows ids\n")
    assert len(fake.requests) == asked


@pytest.mark.parametrize("verb", ["start", "plan", "wait", "info", "list", "pause", "resume", "abort", "rollback"])
@pytest.mark.parametrize("key", ["", "rz1//test/web", "rz1/a/b/c/d/e", "rz9/www/test/web"])
def test_bad_keys(desk: Desk, fake: FakeScheduler, verb: str, key: str) -> None:
    desk.config(CONFIG.replace("rz1", "rz9"))
    done = desk.aurora("update", verb, key, *(["web.aurora"] if verb in ("start", "plan") else []))
    assert (done.code, done.out, done.err.count("\n")) == (6, "", 1)
    assert not fake.requests


# --- list, info ------------------------------------------------------------------------------------------------------


def test_list(desk: Desk, updates: FakeUpdates) -> None:
    done = desk.aurora("update", "list", "rz1/www")
    assert done.lines == [
        "JOB" + " " * 45 + "UPDATE ID" + " " * 28 + "STATUS          CREATED BY  STARTED             LAST MODIFIED",
        f"{KEY:47} {ID:36} ROLLING_FORWARD joe         1970-01-01T00:01:00 1970-01-01T00:01:00",
    ]
    query = updates.asked[0]
    assert {name: query.get(name) for name in ("role", "environment", "name", "user", "statuses")} == {
        "role": "www", "environment": None, "name": None, "user": None, "statuses": None,
    }  # fmt: skip
    entry = desk.aurora("update", "list", "-o", "json", "rz1").json[0]
    assert (entry["job"], entry["id"], entry["user"], entry["status"]) == (KEY, ID, "joe", "ROLLING_FORWARD")
    assert (entry["started"], entry["startedMs"]) == ("1970-01-01T00:01:00", 60_000)
    updates.told = {}
    done = desk.aurora("update", "list", "rz1")
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "statuses"),
    [
        (("blocked",), "ROLL_BACK_AWAITING_PULSE,ROLL_FORWARD_AWAITING_PULSE"),
        (("failed", "paused"), "ERROR,FAILED,ROLLED_BACK,ROLL_BACK_PAUSED,ROLL_FORWARD_PAUSED"),
        (("succeeded",), "ROLLED_FORWARD"),
        (("inactive",), "ABORTED,ERROR,FAILED,ROLLED_BACK,ROLLED_FORWARD"),
        (("aborted",), "ABORTED"),
        (("all",), None),
        (("active", "inactive"), None),
    ],
)
def test_list_by_status(desk: Desk, updates: FakeUpdates, words: tuple[str, ...], statuses: str | None) -> None:
    options = [option for word in words for option in ("--status", word)]
    assert desk.aurora("update", "list", *options, "--user", "joe", "rz1").code == 0
    assert (updates.asked[0].get("statuses"), updates.asked[0]["user"]) == (statuses, "joe")


@pytest.mark.parametrize(
    ("word", "statuses"),
    [
        ("failed", "ERROR,FAILED,ROLLED_BACK"),
        ("Failed", "ERROR,FAILED,ROLLED_BACK"),
        ("FAILED", "FAILED"),
        ("rolled_back", "ROLLED_BACK"),
        ("PAUSED", "ROLL_BACK_PAUSED,ROLL_FORWARD_PAUSED"),
    ],
)
def test_list_by_a_word_and_by_the_status_of_that_name(
    desk: Desk, updates: FakeUpdates, word: str, statuses: str
) -> None:
    assert desk.aurora("update", "list", "--status", word, "rz1").code == 0
    assert updates.asked[0]["statuses"] == statuses


def test_list_by_a_status_that_is_none(desk: Desk, updates: FakeUpdates) -> None:
    done = desk.aurora("update", "list", "--status", "happy", "rz1")
    assert (done.code, updates.asked) == (6, [])
    assert "'happy' is not one of 'active', 'all', 'blocked'" in done.err


def test_info_of_many_that_wait_for_the_same(desk: Desk, updates: FakeUpdates) -> None:
    updates.told["waitsFor"] = [
        {"instance": number, "kind": "STOP", "what": "it is stopping" if number != 3 else "it is starting"}
        for number in range(4_000)
    ]
    lines = desk.aurora("update", "info", KEY).lines
    at = lines.index("Waits for:")
    assert lines[at + 1 : at + 3] == ["  Instances 0-2,4-3999: it is stopping", "  Instance 3: it is starting"]
    assert not lines[at + 3].startswith("  ")


def test_info(desk: Desk, updates: FakeUpdates) -> None:
    updates.instance(0, "INSTANCE_UPDATING", "Checking SLA before continuing.")
    updates.state("ROLL_FORWARD_PAUSED", "coffee")
    updates.told["waitsFor"] = [{"instance": None, "kind": "RESUME", "what": "it is paused", "sinceMs": 0}]
    lines = desk.aurora("update", "info", KEY).lines
    assert lines[0] == f"Job: {KEY}, UpdateID: {ID}"
    clock = r"[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [0-9:]{8} 19(69|70)"
    assert re.fullmatch(f"Started {clock}, last activity: {clock}", lines[1])
    assert lines[2:6] == [
        "Current status: ROLL_FORWARD_PAUSED",
        "Progress: 0 of 2 instances",
        "Waits for:",
        "  it is paused",
    ]
    assert [line.split(" at ")[0] for line in lines[6:]] == [
        "Update events:",
        "  Status: ROLLING_FORWARD",
        "  Status: ROLL_FORWARD_PAUSED",
        "      message: coffee",
        "Instance events:",
        "  Instance 0",
        "Metadata:",
        "  ticket: OPS-1",
    ]
    assert lines[7].endswith(" by joe")
    assert lines[11].endswith(": INSTANCE_UPDATING (Checking SLA before continuing.)")


def test_info_says_why_an_instance_finds_no_host(desk: Desk, fake: FakeScheduler, updates: FakeUpdates) -> None:
    known = fake.add("www/test/web", 0, "PENDING")
    fake.reasons[known] = "Insufficient: CPU"
    fake.add("www/test/web", 1, "PENDING")
    wait = {"kind": "PLACEMENT", "what": "no host was found for it yet", "sinceMs": 60_000}
    watched = {"instance": 2, "kind": "WATCH", "what": "it is watched", "sinceMs": 60_000}
    updates.told["waitsFor"] = [{"instance": 0, **wait}, {"instance": 1, **wait}, watched]
    waits = desk.aurora("update", "info", "-o", "json", KEY).json["waits_for"]
    assert [each["what"] for each in waits] == [
        "no host was found for it yet: Insufficient: CPU", "no host was found for it yet", "it is watched",
    ]  # fmt: skip
    asked = len(fake.asked("GET"))
    updates.told["waitsFor"] = [watched, {"instance": 0, **wait, "sinceMs": 10**14}]
    assert desk.aurora("update", "info", KEY).code == 0
    assert len(fake.asked("GET")) == asked + 1, "one that has just begun to wait is not asked about"


def test_info_in_json_has_the_old_names(desk: Desk, updates: FakeUpdates) -> None:
    updates.instance(1, "INSTANCE_UPDATING")
    updates.told["waitsFor"] = [{"instance": 1, "kind": "START", "what": "it is starting", "sinceMs": 61_000}]
    assert desk.aurora("update", "info", "--write-json", KEY, ID).json == {
        "updateId": ID, "job": KEY, "started": 60_000, "last_updated": 60_000, "status": "ROLLING_FORWARD",
        "user": "joe", "progress": {"done": 0, "total": 2},
        "waits_for": [
            {"instance": 1, "kind": "START", "what": "it is starting", "sinceMs": 61_000, "untilMs": None}
        ],
        "update_events": [{"status": "ROLLING_FORWARD", "timestampMs": 60_000, "user": "joe"}],
        "instance_update_events": [{"instance": 1, "timestamp": 61_000, "action": "INSTANCE_UPDATING"}],
        "metadata": [{"key": "ticket", "value": "OPS-1"}],
    }  # fmt: skip


# --- plan ------------------------------------------------------------------------------------------------------------


PLAN: dict[str, Any] = {
    "diff": {"add": [{"config": {}, "instances": [[4, 5]]}], "unchanged": [{"config": {}, "instances": [[0, 1]]}]},
    "batches": [
        {"instances": [[4, 5]], "kinds": {"add": 2, "replace": 0, "remove": 0}, "lowestRunning": 4, "beginsSeconds": 0},
        {"instances": [[0, 0], [2, 3]], "kinds": {"add": 0, "replace": 2, "remove": 1}, "lowestRunning": 3,
         "beginsSeconds": 12.2, "pausesBefore": True},
    ],
    "runningBefore": 4, "runningAfter": 5, "lowestRunning": 3, "floor": 2, "secondsAtLeast": 6, "usualSeconds": 20,
    "slowSeconds": 31, "startSeconds": {"median": 3.5, "slow": 8, "samples": 12},
}  # fmt: skip


def test_plan(desk: Desk, fake: FakeScheduler) -> None:
    fake.on["POST", f"{WEB}/updates/plan"] = lambda body: (200, PLAN)
    done = desk.aurora("update", "plan", f"{KEY}/0-5", "web.aurora")
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        "This job update will:",
        "add instances: [4-5]",
        "not change instances: [0-1]",
        "  batch  instances  does                 fewest running  begins",
        "      1  4-5        add 2                4               at once",
        "      2  0,2-3      replace 2, remove 1  3               after 12 s, when you resume it",
        "At least 3 instances running all the time (4 now, 5 at the end).",
        "If some start much slower than others, at least 2.",
        "It takes at least 6.0 s: so long is what has to be watched.",
        "It will usually take 20 s, 31 s if all of them are slow (from 12 starts, 3.5 s each).",
    ]
    body = dict(fake.asked("POST"))[f"{WEB}/updates/plan"]
    assert body["settings"]["updateOnlyTheseInstances"] == [{"first": 0, "last": 5}]
    assert (body["instanceCount"], body["metadata"], body["message"]) == (2, [], "")
    assert desk.aurora("update", "plan", "-o", "json", KEY, "web.aurora").json == {"job": KEY, **PLAN}
    fake.on["POST", f"{WEB}/updates/plan"] = lambda body: (200, {**PLAN, "stopSamples": 0})
    never_stopped = "None of its instances was stopped yet: the time that takes comes on top."
    assert desk.aurora("update", "plan", KEY, "web.aurora").lines == [*done.lines, never_stopped]
    only_new = {**PLAN, "batches": PLAN["batches"][:1], "stopSamples": 0}
    fake.on["POST", f"{WEB}/updates/plan"] = lambda body: (200, only_new)
    assert "stopped yet" not in desk.aurora("update", "plan", KEY, "web.aurora").out
    fake.on["POST", f"{WEB}/updates/plan"] = lambda body: (200, {**PLAN, "secondsAtLeast": 0})
    done = desk.aurora("update", "plan", KEY, "web.aurora")
    assert done.lines[-1].startswith("It will usually take"), "nothing is watched"
    assert "has to be watched" not in done.out


def test_plan_without_a_past_and_with_many_batches(desk: Desk, fake: FakeScheduler) -> None:
    batches = [{"instances": [[n, n]], "kinds": {"add": 1}, "lowestRunning": n} for n in range(1000)]
    fake.on["POST", f"{WEB}/updates/plan"] = lambda body: (200, {"batches": batches, "lowestRunning": 0})
    lines = desk.aurora("update", "plan", KEY, "web.aurora").lines
    assert len([line for line in lines if " add 1 " in line]) == 40
    assert "  … 960 more" in lines
    assert lines[-1] == "Nothing is known of how long its instances take to start."


def test_plan_of_nothing(desk: Desk, fake: FakeScheduler) -> None:
    fake.on["POST", f"{WEB}/updates/plan"] = lambda body: (200, {"diff": {}, "batches": []})
    lines = desk.aurora("update", "plan", KEY, "web.aurora").lines
    assert lines == ["This job update will:", "Job is unchanged by proposed update."]


def test_what_the_scheduler_says_of_a_bad_request(desk: Desk, fake: FakeScheduler, updates: FakeUpdates) -> None:
    refused = refusal(400, "INVALID_REQUEST", "Bad", ("settings", "no"), ("taskConfig", "neither"))
    for verb, path in (("start", "updates"), ("plan", "updates/plan")):
        fake.on["POST", f"{WEB}/{path}"] = lambda body: refused
        done = desk.aurora("update", verb, KEY, "web.aurora")
        assert (done.code, done.err) == (10, "aurora: Bad\n  settings: no\n  taskConfig: neither\n")
