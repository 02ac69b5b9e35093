"""The runner of a soak: the library with low bounds, so that compaction, inbox renewal and forgetting happen often.

    python -m tests.soak.drive ROOT TASK_ID SANDBOX

The task stands in SANDBOX/spec. Beside it `deeds` gets a letter for each thing that was done (see DEEDS), and `belief`,
at the end, what the last owner believed of the task.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import thermos.core.fold
import thermos.runner
from thermos import clock
from thermos.errors import Exit, ThermosError
from thermos.host.checkpoint import Checkpoint
from thermos.host.kernel import Kernel
from thermos.host.loop import Loop
from thermos.host.spawn import Settings
from thermos.host.users import current_user
from thermos.model import decode_task
from thermos.paths import TaskPaths, log_dir
from thermos.recovery import own_task

MAX_RUNNER_FILE = 64 * 1024
MAX_INBOX_FILE = 8 * 1024
KEEP_RUNS = 10

DEEDS = {"o": "owned", "c": "compactions", "i": "inboxes renewed"}

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)


class Marking(Kernel):
    """Nonces begin with the task's id."""

    token = ""

    def nonce(self) -> str:
        return f"{self.token}-{super().nonce()}"


def lower_bounds() -> None:
    thermos.runner.MAX_RUNNER_FILE = MAX_RUNNER_FILE
    thermos.runner.MAX_INBOX_FILE = MAX_INBOX_FILE
    thermos.core.fold.KEEP_RUNS = KEEP_RUNS


def count_deeds(fd: int) -> None:
    """A letter for each compaction and each inbox that was renewed."""

    def counted(letter: bytes, method: Callable[..., None]) -> Callable[..., None]:
        def act(*arguments: Any) -> None:
            method(*arguments)
            os.write(fd, letter)

        return act

    setattr(Checkpoint, "replace", counted(b"c", Checkpoint.replace))  # noqa: B010 - mypy minds a method
    setattr(Checkpoint, "drop_inbox", counted(b"i", Checkpoint.drop_inbox))  # noqa: B010


def main() -> int:
    root, task_id, place = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    os.nice(5)
    lower_bounds()
    deeds = os.open(place / "deeds", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
    count_deeds(deeds)
    kernel = Marking()
    kernel.token = task_id
    settings = Settings(
        sandbox=place, log_dir=log_dir(place), user=current_user(), hostname="h", path=os.environ["PATH"]
    )
    try:
        spec = decode_task((place / "spec").read_bytes())
        runner = own_task(spec, TaskPaths(root, task_id), settings, kernel, clock.now())
    except ThermosError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    os.write(deeds, b"o")
    loop = Loop(runner, clock.now)
    with loop.signals({signal.SIGTERM: runner.kill, signal.SIGUSR2: runner.lose}):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        loop.run()
    (place / "belief").write_bytes(msgspec.json.encode(runner.task))
    return Exit.KILLED


if __name__ == "__main__":
    sys.exit(main())
