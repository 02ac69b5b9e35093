"""The signals that a running task listens to. Blocked before the task is owned and let in when the loop is ready for
them, so that none of them can end us in between."""

from __future__ import annotations

import signal

#: Ask for the end politely. SIGINT does too, the first time.
POLITE = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

OURS = frozenset({*POLITE, signal.SIGINT, signal.SIGUSR2, signal.SIGWINCH})


def block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, OURS)


def unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
