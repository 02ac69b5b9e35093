"""A framework over plain HTTP, and its tasks in real executors: what a LocalCluster is tested with."""

from __future__ import annotations

import asyncio
import base64
import getpass
import json
import sys
from typing import Any

from tests.mesos.conformance.target import ROOT, SLEEPER
from tests.mesos.local.rim.wire import JSON, Answer, Open, ask, open_request

PATH = "/api/v1/scheduler"
CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE", "RESERVATION_REFINEMENT")
FAST = {"agent_ping_timeout_s": 0.4, "max_agent_ping_timeouts": 3, "allocation_interval_s": 0.1}


def val(text: str) -> dict[str, str]:
    return {"value": text}


def amount(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": "*"}}


def basic(principal: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{principal}:{secret}".encode()).decode()}


class Framework:
    """Acknowledges what it hears, unless told not to; keeps offers and statuses."""

    def __init__(self, port: int, headers: dict[str, str] | None = None, checkpoint: bool = True) -> None:
        self.port = port
        self.headers = headers or {}
        self.checkpoint = checkpoint
        self.id: dict[str, str] | None = None
        self.stream: Open | None = None
        self.acknowledges = True
        self.statuses: list[dict[str, Any]] = []
        self.offers: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.ended = False

    async def subscribe(self, port: int | None = None) -> None:
        """Also again, elsewhere, with the same id."""
        self.close()
        self.port = port or self.port
        info: dict[str, Any] = {
            "user": getpass.getuser(),
            "name": "test",
            "roles": ["*"],
            "checkpoint": self.checkpoint,
            "failover_timeout": 3600,
            "capabilities": [{"type": name} for name in CAPABILITIES],
        }
        call: dict[str, Any] = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        if self.id is not None:
            info["id"] = call["framework_id"] = self.id
        self.stream = await open_request(self.port, "POST", PATH, json.dumps(call), JSON | self.headers)
        assert self.stream.status == 200, self.stream.status
        self.offers.clear()
        self.ended = False
        self.id = (await self.stream.next("SUBSCRIBED"))["subscribed"]["framework_id"]

    async def call(self, kind: str, **payload: Any) -> Answer:
        assert self.stream is not None
        headers = self.headers | {"Mesos-Stream-Id": self.stream.headers["Mesos-Stream-Id"]}
        return await ask(self.port, "POST", PATH, {"type": kind, "framework_id": self.id, **payload}, headers)

    async def pump(self) -> None:
        """What was read already, or one chunk of the stream."""
        assert self.stream is not None
        if not self.stream.events and not await self.stream.read():
            self.ended = True
            return
        events = list(self.stream.events)
        self.stream.events.clear()
        for event in events:
            if event["type"] == "OFFERS":
                self.offers += event["offers"]["offers"]
            elif event["type"] == "RESCIND":
                gone = event["rescind"]["offer_id"]
                self.offers = [offer for offer in self.offers if offer["id"] != gone]
            elif event["type"] == "FAILURE":
                self.failures.append(event["failure"])
            elif event["type"] == "UPDATE":
                await self._status(event["update"]["status"])

    async def _status(self, status: dict[str, Any]) -> None:
        self.statuses.append(status)
        if status.get("uuid") and self.acknowledges:
            await self.acknowledge(status)

    async def acknowledge(self, status: dict[str, Any]) -> None:
        payload = {key: status[key] for key in ("agent_id", "task_id", "uuid")}
        assert (await self.call("ACKNOWLEDGE", acknowledge=payload)).status == 202

    async def offer(self, agent: int | None = None) -> dict[str, Any]:
        async with asyncio.timeout(40):
            while True:
                for offer in self.offers:
                    if agent is None or offer["hostname"] == f"agent{agent}":
                        self.offers.remove(offer)
                        return offer
                await self.pump()

    async def launch(self, name: str, agent: int | None = None, **script: Any) -> dict[str, Any]:
        """One task in an executor of its own, of its name; the offer that it is on."""
        offer = await self.offer(agent)
        task = {
            "name": name,
            "task_id": val(name),
            "agent_id": offer["agent_id"],
            "data": base64.b64encode(json.dumps(script).encode()).decode(),
            "resources": [amount("cpus", 0.1), amount("mem", 32)],
            "executor": {
                "executor_id": val(name),
                "framework_id": self.id,
                "command": {
                    "value": f"exec {sys.executable} {SLEEPER}",
                    "environment": {"variables": [{"name": "PYTHONPATH", "value": str(ROOT)}]},
                },
                "resources": [amount("cpus", 0.1), amount("mem", 32)],
            },
        }
        operation = {"type": "LAUNCH", "launch": {"task_infos": [task]}}
        accept = {"offer_ids": [offer["id"]], "operations": [operation], "filters": {"refuse_seconds": 0}}
        assert (await self.call("ACCEPT", accept=accept)).status == 202
        return offer

    async def kill(self, name: str) -> None:
        assert (await self.call("KILL", kill={"task_id": val(name)})).status == 202

    async def status(self, name: str, state: str, patience_s: float = 40) -> dict[str, Any]:
        """The first one of this task and state that was not taken yet."""
        async with asyncio.timeout(patience_s):
            while True:
                for status in self.statuses:
                    if status["task_id"]["value"] == name and status["state"] == state:
                        self.statuses.remove(status)
                        return status
                await self.pump()

    async def end(self) -> None:
        async with asyncio.timeout(40):
            while not self.ended:
                await self.pump()

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()


def pid_in(status: dict[str, Any]) -> int:
    """The sleeper says its process id."""
    return int(status["message"].split()[1])
