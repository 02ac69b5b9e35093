"""How things ended, in words for people: exit codes, signals, set-ups that failed. Pure."""

from __future__ import annotations

import errno as errnos
import os
import signal

from thermos.core.fold import Run
from thermos.core.states import ProcessState

#: What a shell means by these exit codes.
_SHELL_CODES = {126: "found, but it can't be executed", 127: "command not found"}


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def ending_words(code: int | None, signum: int | None) -> str:
    """How a command ended: `exit code 3`, `killed by SIGKILL (signal 9)`."""
    if signum is not None:
        return f"killed by {signal_name(signum)} (signal {signum})"
    if code is None:
        return "end unknown"
    if code in _SHELL_CODES:
        return f"exit code {code} ({_SHELL_CODES[code]})"
    if 128 < code < 128 + 65:
        return f"exit code {code} (a command in it was killed by {signal_name(code - 128)})"
    return f"exit code {code}"


def setup_words(stage: str, errno: int, detail: str) -> str:
    """Why a command was never executed."""
    reason = detail or (os.strerror(errno) if errno else "")
    if errno and not reason:
        reason = errnos.errorcode.get(errno, str(errno))
    return f"could not start ({stage}{': ' if reason else ''}{reason})"


def ending_of(run: Run) -> str:
    """How a run that did not succeed ended."""
    if run.stage:
        return setup_words(run.stage, run.errno, run.detail)
    if run.state is ProcessState.LOST:
        return f"lost: {run.detail}" if run.detail else "lost"
    return ending_words(run.code, run.signal)


def printable(text: str) -> str:
    """What others wrote, made harmless for a terminal: tabs are blanks, control characters `?`."""
    return "".join(" " if c == "\t" else c if c.isprintable() else "?" for c in text)
