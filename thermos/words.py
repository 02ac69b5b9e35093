"""How runs ended, and what others wrote, in words for people."""

from __future__ import annotations

import errno as errnos
import os

from thermos.core.fold import Run
from thermos.core.states import ProcessState
from thermos.core.words import ending_words


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
