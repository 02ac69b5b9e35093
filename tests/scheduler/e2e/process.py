"""A scheduler as a process of its own, which can be killed; asked over HTTP, as clients do."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from scheduler.core.model import JobKey
from tests.mesos.conformance import asking as waiting
from tests.mesos.conformance.target import ROOT, Target
from tests.scheduler.e2e.scheduled import configuration

FLAGS = (
    "--cluster_name=rz1", "--http_port=0", "--thermos_executor_flags=--nosetuid", "--thermos_executor_cpu=0.1",
    "--thermos_executor_ram=32MB", "--offer_filter_duration=200ms", "--initial_schedule_penalty=200ms",
    "--max_schedule_penalty=500ms", "--max_reschedule_task_delay_on_startup=100ms", "--flapping_task_threshold=0secs",
    "--framework_failover_timeout=60secs",
)  # fmt: skip


class SchedulerProcess:
    """Runs inside `async with`; at its end it is told to stop, if it still runs."""

    def __init__(self, mesos: Target, store: Path, *flags: str) -> None:
        self._mesos = mesos
        self._command = (
            sys.executable, "-m", "scheduler.main", *FLAGS, f"--store={store}",
            f"-mesos_master_address={mesos.leader_text}",
            *flags,
        )  # fmt: skip
        self.lines: list[str] = []

    async def __aenter__(self) -> SchedulerProcess:
        self.child = await asyncio.create_subprocess_exec(*self._command, stderr=asyncio.subprocess.PIPE, cwd=ROOT)
        self._reading = asyncio.create_task(self._read())
        self.url = (await self._said(r"serving cluster \S+ at (\S+)/")).group(1)
        self.framework = (await self._said(r"registered as framework (\S+)")).group(1)
        return self

    async def run(self) -> tuple[int, list[str]]:
        """Of one that ends by itself: its exit code, and what it said."""
        self.child = await asyncio.create_subprocess_exec(*self._command, stderr=asyncio.subprocess.PIPE, cwd=ROOT)
        await self._read()
        return await self.child.wait(), self.lines

    async def __aexit__(self, *exc: object) -> None:
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGTERM)
        await self.child.wait()
        await self._reading

    async def kill(self) -> None:
        """As kill -9."""
        self.child.kill()
        await self.child.wait()

    async def forget(self) -> None:
        """End the framework with all its tasks, as an operator would."""
        await waiting.post(self._mesos.master_url, "/teardown", f"frameworkId={self.framework}".encode())

    async def _read(self) -> None:
        assert self.child.stderr is not None
        async for line in self.child.stderr:
            self.lines.append(line.decode().rstrip())

    async def _said(self, pattern: str) -> re.Match[str]:
        async def look() -> re.Match[str] | None:
            assert self.child.returncode is None, "\n".join(self.lines)
            return next((found for line in self.lines if (found := re.search(pattern, line))), None)

        found: re.Match[str] = await waiting.until(look, f"line with {pattern!r}")
        return found

    # -- asking

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        headers = {"Idempotency-Key": str(uuid.uuid4())} if body is not None else {}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers) as answer,
        ):
            content = await answer.json()
            assert answer.status == status, (answer.status, content)
            return content

    async def create(self, job: Any) -> JobKey:
        wanted = configuration(job)
        await self.ask("POST", "/jobs", msgspec.to_builtins(wanted), status=201)
        return wanted.key

    async def tasks(self, key: JobKey, *, active: bool = True) -> list[Any]:
        """By instance."""
        query = f"role={key.role}&environment={key.environment}&name={key.name}"
        found = await self.ask("GET", f"/tasks?{query}{'&active=true' if active else ''}")
        tasks: list[Any] = found["tasks"]
        return tasks

    async def running(
        self, key: JobKey, count: int, until: Callable[[dict[int, str]], bool] = lambda _: True
    ) -> dict[int, str]:
        """Task ids by instance, when so many run and nothing else is active, and these are the right ones."""

        async def look() -> dict[int, str]:
            tasks = await self.tasks(key)
            runs = [task["assignedTask"] for task in tasks if task["status"] == "RUNNING"]
            ids = {task["instanceId"]: task["taskId"] for task in runs}
            return ids if len(runs) == len(tasks) == count and until(ids) else {}

        found: dict[int, str] = await waiting.until(look, f"{count} running tasks of {key}", 60)
        return found
