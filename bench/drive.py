"""The runner as a library, driven by the small loop and nothing else: `python -m bench.drive --root=… TASK.json`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from thermos import clock
from thermos.clock import Now
from thermos.core.states import TaskState
from thermos.host.kernel import Kernel
from thermos.host.loop import Loop
from thermos.host.spawn import Settings
from thermos.host.users import current_user
from thermos.model import decode_task
from thermos.paths import TaskPaths, log_dir
from thermos.recovery import own_task


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--task_id", required=True)
    parser.add_argument("--sandbox", type=Path, required=True)
    parser.add_argument("task", type=Path)
    given = parser.parse_args()
    path = os.environ.get("PATH", os.defpath)
    settings = Settings(given.sandbox, log_dir(given.sandbox), user=current_user(), hostname="localhost", path=path)
    spec = decode_task(given.task.read_bytes())
    runner = own_task(spec, TaskPaths(given.root, given.task_id), settings, Kernel(), clock.now())
    loop = Loop(runner, clock.now)

    def on_stop(now: Now) -> None:
        runner.kill(now)

    with loop.signals({signal.SIGTERM: on_stop}):
        loop.run()
    return 0 if runner.state is TaskState.SUCCESS else 1


if __name__ == "__main__":
    sys.exit(main())
