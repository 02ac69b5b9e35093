"""An executor whose tasks only sleep: a real child process of whatever agent is tested, on our own driver.

TaskInfo.data is a JSON object that says what a task does besides running until it is killed:

    {"starting": true}       TASK_STARTING first
    {"finish": s}            TASK_FINISHED after s seconds
    {"fail": true}           TASK_FAILED at once
    {"updates": n}           n times TASK_RUNNING, message "update 1" to "update n"
    {"message": text}        a framework message
    {"ignore_kill": true}    KILL changes nothing
    {"exit": n}              the whole executor ends with this code when its updates are acknowledged

TASK_RUNNING says "pid N" in its message and the working directory in its data. TASK_KILLED's message is the kill policy
as JSON. A framework message comes back with "echo " before it. SHUTDOWN kills everything and ends the executor.

Written as plainly as an executor can be with this driver.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from mesos.core.executor_api import Subscribed
from mesos.core.messages import KillPolicy, TaskGroupInfo, TaskID, TaskInfo, TaskState, TaskStatus
from mesos.core.wire import encode
from mesos.executor_driver import ExecutorDriver
from mesos.executor_environment import ExecutorEnvironment
from thermos.clock import Now, now
from thermos.errors import ThermosError
from thermos.host.loop import PlainLoop

#: How often a task that is to end its executor looks whether everything was acknowledged.
LOOK_S = 0.02


class Sleeper:
    """All tasks of one executor."""

    def __init__(self, environment: ExecutorEnvironment, loop: PlainLoop) -> None:
        self.environment = environment
        self.loop = loop
        self.driver = ExecutorDriver(environment, loop, self, journal=Path(environment.directory) / "executor.journal")
        self.tasks: dict[str, dict[str, Any]] = {}  # scripts of those that run
        self.code = 0

    def subscribed(self, event: Subscribed, again: bool, now: Now) -> None:
        log(now, "subscribed", "again" if again else "for the first time")

    def launch(self, task: TaskInfo, now: Now) -> None:
        log(now, "launch", task.task_id.value)
        script = json.loads(task.data) if task.data else {}
        self.tasks[task.task_id.value] = script
        if script.get("starting"):
            self.say(task.task_id, TaskState.STARTING, now)
        self.say(task.task_id, TaskState.RUNNING, now, f"pid {os.getpid()}", os.fsencode(Path.cwd()))
        for number in range(1, script.get("updates", 0) + 1):
            self.say(task.task_id, TaskState.RUNNING, now, f"update {number}")
        if "message" in script:
            self.driver.message(script["message"].encode())
        if script.get("fail"):
            self.end(task.task_id, TaskState.FAILED, now, "as asked")
        elif "finish" in script:
            self.loop.call_at(now.mono + script["finish"], partial(self.end, task.task_id, TaskState.FINISHED))
        elif "exit" in script:
            self.exit(script["exit"], now)

    def launch_group(self, group: TaskGroupInfo, now: Now) -> None:
        for task in group.tasks:
            self.launch(task, now)

    def kill(self, task_id: TaskID, policy: KillPolicy | None, now: Now) -> None:
        log(now, "kill", task_id.value)
        if not self.tasks.get(task_id.value, {}).get("ignore_kill"):
            self.end(task_id, TaskState.KILLED, now, encode(policy).decode() if policy is not None else "{}")

    def message(self, data: bytes, now: Now) -> None:
        self.driver.message(b"echo " + data)

    def shutdown(self, reason: str, now: Now) -> None:
        log(now, "shutdown:", reason)
        for task_id in list(self.tasks):
            self.end(TaskID(value=task_id), TaskState.KILLED, now, "shutdown")
        self.driver.stop(now, flush_s=min(2.0, self.environment.shutdown_grace_period_s / 2))

    def disconnected(self, reason: str, now: Now) -> None:
        log(now, "disconnected:", reason)

    def problem(self, text: str, now: Now) -> None:
        log(now, "problem:", text)

    def ended(self, reason: str, now: Now) -> None:
        log(now, "ended:", reason)
        self.loop.stop()

    def end(self, task_id: TaskID, state: TaskState, now: Now, message: str = "") -> None:
        if self.tasks.pop(task_id.value, None) is not None:
            self.say(task_id, state, now, message)

    def say(self, task_id: TaskID, state: TaskState, now: Now, message: str = "", data: bytes = b"") -> None:
        self.driver.update(TaskStatus(task_id=task_id, state=state, message=message, data=data), now)

    def exit(self, code: int, now: Now) -> None:
        if self.driver.pending:
            self.loop.call_at(now.mono + LOOK_S, partial(self.exit, code))
            return
        self.code = code
        self.loop.stop()


def log(now: Now, *words: str) -> None:
    print(f"{now.wall:.3f}", *words, flush=True)


def main() -> int:
    loop = PlainLoop(now)
    sleeper = Sleeper(ExecutorEnvironment.read(os.environ), loop)
    with loop.signals({signal.SIGTERM: partial(sleeper.shutdown, "SIGTERM")}):
        sleeper.driver.start(now())
        loop.run()
    loop.close()
    return sleeper.code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ThermosError as error:
        sys.exit(str(error))
