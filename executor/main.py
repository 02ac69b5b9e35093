"""`thermos_executor`: one task under a Mesos agent, from LAUNCH to its last status.

It is started by an agent, with MESOS_… in the environment, and ends by itself when the last status is acknowledged.
What it has to say to people goes to stderr, which the agent keeps in the run directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from executor.core.lifecycle import Waits
from executor.executor import TaskExecutor
from executor.host import HostMachinery
from executor.options import ExecutorFlags, parse_flags
from mesos.executor_driver import ExecutorDriver, ExecutorListener
from mesos.executor_environment import ExecutorEnvironment
from thermos.clock import Now, now
from thermos.errors import Exit, ThermosError
from thermos.host.loop import PlainLoop

#: `pgrep thermos` finds it; 15 bytes at most.
_NAME = b"thermos-exec"
_PR_SET_NAME = 15

JOURNAL = "executor.journal"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code. Never raises for what people can mend: that is one line on stderr."""
    try:
        flags = parse_flags(sys.argv[1:] if argv is None else argv)
        environment = ExecutorEnvironment.read(os.environ)
        return run(flags, environment)
    except ThermosError as error:
        sys.stderr.write(f"thermos_executor: {error}\n")
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        sys.stderr.write(f"thermos_executor: internal error: {error!r}; please report it with the lines above\n")
        return Exit.INTERNAL


def run(flags: ExecutorFlags, environment: ExecutorEnvironment) -> int:
    """Until the task is over. Raises ThermosError when it can't even begin."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, _NAME)
    with contextlib.closing(PlainLoop(now)) as loop:
        return _run_in(loop, flags, environment)


def _run_in(loop: PlainLoop, flags: ExecutorFlags, environment: ExecutorEnvironment) -> int:
    machinery = HostMachinery(flags, environment, loop, lambda text, moment: log(moment, text))

    def make_driver(listener: ExecutorListener) -> ExecutorDriver:
        return ExecutorDriver(environment, loop, listener, journal=Path(environment.directory) / JOURNAL)

    waits = Waits(idle_s=flags.idle_timeout_secs, stop_s=flags.stop_timeout_in_secs)
    executor = TaskExecutor(environment, loop, machinery, make_driver, log, waits)
    gc.collect()
    gc.freeze()
    with loop.signals(dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), executor.terminate)):
        executor.start(now())
        loop.run()
    return executor.exit_code


def log(moment: Now, text: str) -> None:
    """One line on stderr."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment.wall))
    try:
        sys.stderr.write(f"{stamp}.{int(moment.wall % 1 * 1000):03} {text}\n")
        sys.stderr.flush()
    except OSError:
        pass  # a full disk must not end a task


if __name__ == "__main__":
    sys.exit(main())
