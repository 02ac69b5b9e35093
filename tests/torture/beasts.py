"""Commands that do all they can to survive a stop. Each says `up` in a file of its own once it is in its worst shape.

What the receipt of a polite stop has to say of each stands beside it: whether somebody needed SIGKILL, and whether
somebody had daemonised (left the session of its process).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Beast:
    """One process of the torture task."""

    cmdline: str
    killed: bool | None  # somebody of its tree needs SIGKILL; None: as it happens
    daemons: bool | None  # somebody of its tree has left the session; None: maybe, it does so while it is stopped
    logger: str = "Logger()"


_DAEMON = r"""
import os, signal, sys
if os.fork():
    signal.pause()
os.setsid()
if os.fork():
    os._exit(0)
{setup}
print("up", file=open("{name}.up", "w"))
while True:
    signal.pause()
"""

_BOMB = r"""
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
begun = os.open("bomb.count", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
while os.write(begun, b".") and os.fstat(begun).st_size < 150:
    if not os.fork():
        if os.fstat(begun).st_size % 3 == 0:
            os.setsid()
else:
    print("up", file=open("fork_bomb.up", "w"))
while True:
    signal.pause()
"""

#: For every one that is told to go, another one comes, in a session of its own: twenty times.
_HYDRA = r"""
import os, signal
heads = 20
def grow(*_):
    global heads
    heads -= 1
    if heads < 0 or os.fork():
        os._exit(0)
    os.setsid()
signal.signal(signal.SIGTERM, grow)
print("up", file=open("hydra.up", "w"))
while True:
    signal.pause()
"""

_RENAMED = r"""
import ctypes, os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
libc = ctypes.CDLL(None)
libc.prctl(15, b') Z 1 1 (\n"\\')
print("up", file=open("renamed.up", "w"))
while True:
    signal.pause()
"""

#: Blocks everything that can be blocked, and closes its output.
_BLOCKING = r"""
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.closerange(0, 3)
print("up", file=open("blocking.up", "w"))
while True:
    signal.sigwait([signal.SIGUSR1])
"""


def python(program: str) -> str:
    """Run by a python3 that reads it from its standard input, beside a shell that waits."""
    return f"python3 - <<'PYTHON'\n{program}\nPYTHON\ntrue"


def daemon(name: str, setup: str) -> str:
    return python(_DAEMON.replace("{name}", name).replace("{setup}", setup))


LOOP = "while :; do sleep 0.2; done"

BEASTS = {
    "obedient": Beast("echo up > obedient.up; exec sleep 3600", killed=False, daemons=False),
    "double_fork": Beast(daemon("double_fork", "pass"), killed=False, daemons=True),
    "stubborn_daemon": Beast(
        daemon("stubborn_daemon", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"), killed=True, daemons=True
    ),
    "setsid": Beast(
        "setsid bash -c 'echo up > setsid.up; exec sleep 3600' & sleep 3600; true", killed=False, daemons=True
    ),
    "nameless": Beast(
        f"env -i setsid -f bash -c 'trap \"\" TERM; echo up > nameless.up; {LOOP}'; sleep 3600",
        killed=True,
        daemons=True,
    ),
    "ignoring": Beast(f'trap "" TERM INT HUP QUIT; echo up > ignoring.up; {LOOP}', killed=True, daemons=False),
    "trapping": Beast(
        f'trap "echo again" TERM; trap "sleep 1" EXIT; echo up > trapping.up; {LOOP}', killed=True, daemons=False
    ),
    "stopped": Beast("echo up > stopped.up; kill -STOP $$; exec sleep 3600", killed=False, daemons=False),
    "stopped_stubborn": Beast(
        f'(trap "" TERM; echo up > stopped_stubborn.up; kill -STOP $BASHPID; {LOOP}) & wait; sleep 3600',
        killed=True,
        daemons=False,
    ),
    "fork_bomb": Beast(python(_BOMB), killed=True, daemons=True),
    "hydra": Beast(python(_HYDRA), killed=None, daemons=None),
    "holding": Beast(
        f"(trap '' TERM; exec setsid bash -c 'echo up > holding.up; {LOOP}') & echo said; wait",
        killed=True,
        daemons=True,
        logger="Logger(mode = 'rotate')",
    ),
    "nested": Beast(
        """bash -c 'bash -c "bash -c \\"echo up > nested.up; sleep 3600; true\\"; true"; true'; true""",
        killed=False,
        daemons=False,
    ),
    "nohup": Beast(
        f"nohup bash -c 'trap \"\" TERM; echo up > nohup.up; {LOOP}' > /dev/null 2>&1 & disown; sleep 3600",
        killed=True,
        daemons=False,
    ),
    "renamed": Beast(python(_RENAMED), killed=True, daemons=False),
    "disguised": Beast("echo up > disguised.up; exec -a '[kworker/0:0]' sleep 3600", killed=False, daemons=False),
    "blocking": Beast(python(_BLOCKING), killed=True, daemons=False),
}


#: Empty environment, session of its own, parents gone: once its coordinator is dead too, nothing verifiable ties it to
#: its run any more (but a cgroup would), and what can't be verified is never signalled.
TRACELESS = "nameless"


def config(names: Iterable[str], wait: int) -> str:
    """Those beasts in one task. None is repeated while the test looks."""
    processes = ",\n".join(
        f"Process(name = {name!r}, cmdline = {beast.cmdline!r}, min_duration = 3600, logger = {beast.logger})"
        for name, beast in ((name, BEASTS[name]) for name in names)
    )
    return f"export(Task(name = 'torture', processes = [{processes}], finalization_wait = {wait}))"
