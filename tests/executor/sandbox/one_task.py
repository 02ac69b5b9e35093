"""An executor's bare bones in a process of its own: a sandbox made in a worker, then one task owned and driven.

Arguments: the plan and the task as JSON, the checkpoint root. Prints the task's last state.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from executor.sandbox import SandboxPlan, Volume, make_sandbox
from executor.workers import Workers
from thermos import clock
from thermos.clock import Now
from thermos.host.kernel import Kernel
from thermos.host.loop import PlainLoop
from thermos.host.spawn import Settings
from thermos.model import TaskSpec
from thermos.paths import TaskPaths, log_dir
from thermos.recovery import own_task


def main() -> None:
    plan, spec, root = sys.argv[1:]
    fields = json.loads(plan)
    fields["volumes"] = tuple(Volume(**volume) for volume in fields.get("volumes", ()))
    sandbox = make_sandbox(SandboxPlan(**fields))
    task = msgspec.json.decode(spec, type=TaskSpec)
    loop = PlainLoop(clock.now)

    def begin(outcome: object, now: Now) -> None:
        if isinstance(outcome, Exception):
            print(outcome)
            loop.stop()
            return
        sandbox.enter()
        settings = Settings(
            sandbox=sandbox.path,
            log_dir=log_dir(sandbox.path),
            user=sandbox.user,
            hostname="h",
            setuid=sandbox.setuid,
            image=sandbox.image,
            path="/bin:/usr/bin",
            on_owner_death="stop",
        )
        runner = own_task(task, TaskPaths(Path(root), "task-1"), settings, Kernel(), now)
        loop.drive(runner)

        def look(_: Now) -> None:
            if runner.done:
                print(runner.task.state)
                loop.stop()

        loop.on_turn = look

    Workers(loop).submit(sandbox.create, begin)
    loop.run()


if __name__ == "__main__":
    main()
