"""`thermos run` in small: a config file, run by the library. The scenarios can be run with it or with the command.

It shows what an embedder writes: load, check, compile, own, loop. Exit codes and signals are those of the command.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

from config.check import check, raise_errors
from config.core.compile import compile_task
from config.loader import load_tasks
from tests.e2e.harness import EXITS
from thermos import clock
from thermos.clock import Now
from thermos.errors import Exit, ThermosError
from thermos.host.kernel import Kernel
from thermos.host.loop import Loop
from thermos.host.spawn import Settings
from thermos.host.users import current_user, resolve_user
from thermos.model import TaskSpec
from thermos.paths import TaskPaths, log_dir
from thermos.recovery import own_task
from thermos.runner import Runner


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="drive")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--task_id", required=True)
    parser.add_argument("--sandbox", type=Path, required=True)
    parser.add_argument("--user")
    parser.add_argument("--preserve-env", action="store_true")
    parser.add_argument("--enable-chroot", action="store_true")
    parser.add_argument("--run-limit", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("-P", "--port", action="append", default=[])
    parser.add_argument("-E", "--environment", action="append", default=[])
    parser.add_argument("config")
    return parser.parse_args(argv)


def read_spec(options: argparse.Namespace, settings: Settings) -> TaskSpec:
    """The task of the config, bound. Raises ConfigError."""
    loaded = load_tasks(options.config, binds=options.environment)
    bound, problems = compile_task(
        loaded.pick(),
        ports=settings.ports,
        task_id=options.task_id,
        user=settings.user.name,
        hostname=settings.hostname,
    )
    raise_errors(problems)
    if bound is None:
        raise_errors(check(loaded))
    assert bound is not None
    return bound


def settings_of(options: argparse.Namespace) -> Settings:
    user = resolve_user(options.user) if options.user else current_user()
    ports = dict(pair.split(":") for pair in options.port)
    return Settings(
        sandbox=options.sandbox,
        log_dir=log_dir(options.sandbox),
        user=user,
        hostname=socket.gethostname(),
        ports={name: int(port) for name, port in ports.items()},
        setuid=user.uid != os.geteuid(),
        base_env=dict(os.environ) if options.preserve_env else None,
        chroot=options.enable_chroot,
        path=os.environ["PATH"],
        run_limit=options.run_limit,
    )


def drive(runner: Runner) -> int:
    """Until the task is terminal; the exit code."""
    loop = Loop(runner, clock.now)
    asked: list[int] = []

    def interrupt(now: Now) -> None:
        asked.append(signal.SIGINT)
        runner.kill(now, 0 if len(asked) > 1 else None)

    calls = dict.fromkeys((signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP), runner.kill)
    with loop.signals({**calls, signal.SIGINT: interrupt, signal.SIGUSR2: runner.lose}):
        loop.run()
    loop.close()
    if len(asked) > 1:
        return Exit.INTERRUPTED
    assert runner.state is not None
    return EXITS[runner.state]


def become() -> None:
    """Go on as another user: an interpreter below root's home could not be started by that user."""
    if "E2E_BECOME" in os.environ:
        uid, gid = map(int, os.environ["E2E_BECOME"].split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def main() -> int:
    options = parse(sys.argv[1:])
    become()
    try:
        settings = settings_of(options)
        spec = read_spec(options, settings)
        runner = own_task(spec, TaskPaths(options.root, options.task_id), settings, Kernel(), clock.now())
    except ThermosError as error:
        print(f"thermos: {error}", file=sys.stderr)
        return error.exit_code
    return drive(runner)


if __name__ == "__main__":
    sys.exit(main())
