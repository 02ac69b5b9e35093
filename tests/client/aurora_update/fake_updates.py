"""The updates of a fake scheduler: one of `www/test/web`, as a test moves it.

Before each look at the update the next of `steps` happens, which moves it on; the one after is told of by an event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.client.aurora.fake_scheduler import Body, FakeScheduler, Reply, refusal

KEY = {"role": "www", "environment": "test", "name": "web"}
ID = "0b1c-7"
WEB = "/jobs/www/test/web"
ENDED = ("ROLLED_FORWARD", "ROLLED_BACK", "ABORTED", "ERROR", "FAILED")


def update(
    *,
    before: tuple[int, int] | None = None,
    after: tuple[int, int] | None = (0, 1),
    strategy: Mapping[str, Any] | None = None,
    status: str = "ROLLING_FORWARD",
) -> Body:
    """`before`, `after`: first and last instance that has a configuration to lose, to get."""
    groups = [None if span is None else {"task": {}, "instances": [{"first": span[0], "last": span[1]}]}
              for span in (before, after)]  # fmt: skip
    numbers = {number for span in (before, after) if span is not None for number in range(span[0], span[1] + 1)}
    return {
        "key": {"job": KEY, "id": ID}, "user": "joe", "status": status, "createdMs": 60_000, "modifiedMs": 60_000,
        "metadata": [{"key": "ticket", "value": "OPS-1"}], "progress": {"done": 0, "total": len(numbers)},
        "instructions": {
            "settings": {"updateStrategy": strategy or {"queueStrategy": {"groupSize": 1}}},
            "initialState": [groups[0]] if groups[0] else [],
            "desiredState": groups[1],
        },
        "updateEvents": [{"status": status, "timestampMs": 60_000, "user": "joe"}],
        "instanceEvents": [],
        "waitsFor": [],
    }  # fmt: skip


class FakeUpdates:
    def __init__(self, fake: FakeScheduler) -> None:
        self.fake = fake
        self.now_ms = 60_000
        self.told: Body = update()
        self.steps: list[Callable[[], object]] = []
        self.wishes: list[tuple[str, Body]] = []
        self.asked: list[Body] = []
        fake.on["POST", f"{WEB}/diff"] = lambda body: (200, {"add": [{"config": {}, "instances": [[0, 1]]}]})
        fake.on["POST", f"{WEB}/updates"] = self._start
        fake.on["GET", "/updates"] = self._list
        for name in ("active", ID):
            fake.on["GET", f"{WEB}/updates/{name}"] = self._look
        for verb in ("pause", "resume", "abort", "rollback"):
            fake.on["POST", f"{WEB}/updates/active/{verb}"] = lambda body, verb=verb: self._wish(verb, body)

    # --- what tests do -----------------------------------------------------------------------------------------------

    def state(self, status: str, message: str = "") -> None:
        self.now_ms += 1_000
        self.told["status"], self.told["modifiedMs"] = status, self.now_ms
        self.told["updateEvents"].append({"status": status, "timestampMs": self.now_ms, "message": message})

    def instance(self, number: int, action: str, message: str = "") -> None:
        self.now_ms += 1_000
        event = {"instanceId": number, "timestampMs": self.now_ms, "action": action, "message": message}
        self.told["instanceEvents"].append(event)
        done = {e["instanceId"] for e in self.told["instanceEvents"] if not e["action"].endswith("ING")}
        self.told["progress"]["done"] = len(done)

    # --- what it answers ---------------------------------------------------------------------------------------------

    def _look(self, _query: Body) -> Reply:
        if self.steps:
            self.steps.pop(0)()
        reply = json.loads(json.dumps(self.told))
        if self.steps:
            self.fake._tell("update", {"key": self.told["key"], "status": self.told["status"]})
        return (200, reply) if reply else self.none()

    @staticmethod
    def none() -> Reply:
        return refusal(404, "NOT_FOUND", "Job www/test/web is not being updated")

    def _start(self, body: Body) -> Reply:
        self.asked.append(body)
        return 201, {"started": True, "key": self.told["key"], "update": self.told, "message": ""}

    def _list(self, query: Body) -> Reply:
        self.asked.append(query)
        return 200, {"updates": [self.told] if self.told else [], "total": int(bool(self.told))}

    def _wish(self, verb: str, body: Body) -> Reply:
        self.wishes.append((verb, body))
        if not self.told or self.told["status"] in ENDED:
            return self.none()
        return 200, {"key": self.told["key"], "status": f"{verb} it is"}
