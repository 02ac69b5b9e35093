"""Whatever a scheduler answers, newer, older or broken: a documented exit code and a line, never an internal error."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest

from client.api_client import ApiClient
from client.api_errors import TimedOut
from client.aurora.exits import Exit
from client.aurora.update_watch import UpdateWatch
from client.aurora.watch import Watch
from client.connection import Answer, Origin
from tests.client.aurora.desk import Desk

WEB = "rz1/www/test/web"
KEY = {"role": "www", "environment": "test", "name": "web"}
CONFIG = {
    "job": KEY, "resources": [{"numCpus": 0.5}, {"ramMb": 16}], "metadata": [{"key": "k", "value": "v"}],
    "executorConfig": {"name": "AuroraExecutor", "data": '{"a": "b\\nc"}'},
    "slaPolicy": {"countSlaPolicy": {"count": 1}},
}  # fmt: skip
TASK = {
    "assignedTask": {
        "taskId": "t", "instanceId": 0, "slaveHost": "h", "assignedPorts": {"http": 1}, "task": CONFIG,
    },
    "status": "KILLED", "failureCount": 1, "taskEvents": [{"timestamp": 1, "status": "KILLED", "message": "m"}],
}  # fmt: skip
CHANGE = {"host": "h", "reasons": ["r"], "change": "c"}
GROUP = {"config": CONFIG, "instances": [[0, 1], [3, 3]]}
UPDATE = {
    "key": {"job": KEY, "id": "u"}, "user": "me", "status": "ROLLED_FORWARD", "createdMs": 5, "modifiedMs": 9,
    "metadata": [{"key": "k", "value": "v"}], "progress": {"done": 1, "total": 3},
    "instructions": {
        "settings": {"updateStrategy": {"varBatchStrategy": {"groupSizes": [1, 2]}}},
        "initialState": [{"task": CONFIG, "instances": [{"first": 0, "last": 1}]}],
        "desiredState": {"task": CONFIG, "instances": [{"first": 1, "last": 2}]},
    },
    "updateEvents": [{"status": "ROLLING_FORWARD", "timestampMs": 5, "user": "me", "message": "m"}],
    "instanceEvents": [{"instanceId": 1, "timestampMs": 6, "action": "INSTANCE_UPDATED", "message": "m"}],
    "waitsFor": [{"instance": 1, "kind": "PLACEMENT", "what": "w", "sinceMs": 5, "untilMs": None}],
}  # fmt: skip

#: verb -> what it is called with, and what it is answered, path by path.
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "status": (("job", "status", WEB), {"/tasks": {"tasks": [TASK], "total": 1, "reasons": {"t": "r"}}}),
    "list": (("job", "list", "rz1"), {"/jobs": {"jobs": [{"key": KEY, "kind": "service"}], "total": 1}}),
    "globs": (
        ("job", "status", "rz1/w*"),
        {"/jobs": {"jobs": [{"key": KEY}], "total": 1}, "/tasks": {"tasks": [TASK], "total": 1}},
    ),
    "why": (
        ("job", "why", f"{WEB}/0"),
        {"/why": {
            "status": "PENDING", "since": 5, "reason": "r", "attempts": 2, "nextAttemptS": 1.5, "hostCount": 3,
            "byReason": {"r": 1}, "smallest": CHANGE, "smallestOfTask": CHANGE,
            "hosts": [{"host": "h", "fits": False, "reasons": ["r"], "change": "c"}],
        }},
    ),
    "create": (
        ("job", "run", "--wait", "0", "rz1/www/test/once", "web.aurora"),
        {"/jobs": {"key": KEY, "instances": [0, 1]}, "/tasks": {"tasks": [TASK], "total": 1, "reasons": {}}},
    ),
    "add": (("job", "add", f"{WEB}/0", "1"), {"/instances": {"instances": [1]}}),
    "killall": (
        ("job", "killall", WEB),
        {"/tasks": {"tasks": [TASK], "total": 1}, "/kill": {"instances": [0], "taskIds": ["t"], "message": ""}},
    ),
    "diff": (
        ("job", "diff", WEB, "web.aurora"),
        {"/config/populate": {"job": {"key": KEY, "taskConfig": CONFIG}},
         "/diff": {"add": [GROUP], "remove": [GROUP], "update": [GROUP], "unchanged": [GROUP]}},
    ),
    "diff from": (
        ("job", "diff", "--from", "rz1/www/prod/web", WEB, "web.aurora"),
        {"/config/populate": {"job": {"key": KEY, "taskConfig": CONFIG}}, "/web": {"configs": [GROUP]}},
    ),
    "update start": (
        ("update", "start", WEB, "web.aurora"),
        {"/config/populate": {"job": {"key": KEY, "taskConfig": CONFIG}}, "/diff": {"add": [GROUP], "update": [GROUP]},
         "/updates": {"started": True, "key": {"job": KEY, "id": "u"}}},
    ),
    "update plan": (
        ("update", "plan", WEB, "web.aurora"),
        {"/config/populate": {"job": {"key": KEY, "taskConfig": CONFIG}},
         "/plan": {"diff": {"add": [GROUP]}, "batches": [
             {"instances": [[0, 1]], "kinds": {"add": 2}, "lowestRunning": 1, "beginsSeconds": 1.5}],
             "runningBefore": 2, "runningAfter": 3, "lowestRunning": 1, "floor": 0, "secondsAtLeast": 2,
             "usualSeconds": 3, "slowSeconds": 4, "startSeconds": {"median": 1, "samples": 3}}},
    ),
    "update list": (("update", "list", "rz1"), {"/updates": {"updates": [UPDATE], "total": 1}}),
    "update info": (("update", "info", WEB), {"/updates/active": UPDATE}),
    "update wait": (("update", "wait", WEB), {"/updates/active": UPDATE, "/updates/u": UPDATE}),
    "update pause": (("update", "pause", WEB), {"/pause": {"key": {"job": KEY, "id": "u"}, "status": "s"}}),
    "quota": (("quota", "get", "rz1/www"), {"/quota/www": {"quota": {"cpus": 1}, "prodShared": {"ramMb": 2}}}),
}  # fmt: skip

CODES = (Exit.OK, Exit.FAILED, Exit.BAD_PARAMETER, Exit.NETWORK, Exit.TIMEOUT)

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2.5,
    10**30,
    "",
    "x\x1b[31m\n\ud800",
    [],
    [None],
    ["x"],
    {},
    {"x": 1},
    [[1]],
    [[1, "x"]],
)


def mutated(document: Any, chance: random.Random) -> Any:
    """The document with one thing changed, or gone."""
    if isinstance(document, dict) and document and chance.random() < 0.85:
        name = chance.choice(list(document))
        if chance.random() < 0.15:
            return {key: value for key, value in document.items() if key != name}
        return {**document, name: mutated(document[name], chance)}
    if isinstance(document, list) and document and chance.random() < 0.85:
        index = chance.randrange(len(document))
        return [mutated(each, chance) if at == index else each for at, each in enumerate(document)]
    return chance.choice(ODD)


@pytest.mark.parametrize("case", CASES)
def test_odd_answers(desk: Desk, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    words, usual = CASES[case]
    answers: dict[str, Any] = {}

    def send(origin: Origin, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        path = target.removeprefix("/api/v1").partition("?")[0]
        found = next((answer for ending, answer in answers.items() if path.endswith(ending)), {})
        return Answer(200, {}, json.dumps(found).encode())

    client = functools.partial(ApiClient, send=send, pause=lambda seconds: None)
    monkeypatch.setattr("client.aurora.context.ApiClient", client)
    monkeypatch.setattr("client.aurora.creating.Watch", functools.partial(Watch, make_stream=_none, pause=_skip))
    monkeypatch.setattr("client.aurora.batches.Watch", functools.partial(Watch, make_stream=_none, pause=_skip))
    monkeypatch.setattr("client.aurora.batches.KILL_WAIT_S", 0.0)
    monkeypatch.setattr("client.aurora.update_follow.UpdateWatch", ImpatientWatch)
    seen = set()
    chance = random.Random(case)
    for number in range(60):
        answers.clear()
        answers.update(usual if number == 0 else {path: mutated(answer, chance) for path, answer in usual.items()})
        done = desk.aurora(*words)
        seen.add(done.code)
        ended_oddly = case == "update wait" and done.code == Exit.UNKNOWN and " ended as " in done.err
        assert done.code in CODES or ended_oddly, (answers, done)
        assert "\x1b" not in done.out + done.err, (answers, done)
    assert Exit.NETWORK in seen, "nothing was odd enough"


class ImpatientWatch(UpdateWatch):
    """A status that nobody knows is not waited for."""

    def wait(self, seconds: float | None) -> None:
        raise TimedOut("it goes on")


def _none(*_given: object) -> Any:
    class Quiet:
        last_id = ""

        def next(self, seconds: float) -> None:
            return None

        def close(self) -> None:
            """Nothing was open."""

    return Quiet()


def _skip(_seconds: float) -> None:
    """No time passes."""
