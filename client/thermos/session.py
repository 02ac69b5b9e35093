"""One `thermos run` from owning the task to its end: signals, the loop, the display.

SIGTERM, SIGINT, SIGUSR1 and SIGHUP ask for the end politely; a second SIGINT ends it now; SIGUSR2
gives the task up as lost.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from dataclasses import dataclass

from client.thermos.displays import Display, Live
from client.thermos.signals import POLITE, unblock_signals
from client.thermos.view import View
from thermos.clock import Now, now
from thermos.core.fold import TaskRecord
from thermos.host.loop import Call, Loop
from thermos.runner import Runner


@dataclass(slots=True)
class Ended:
    """How a session ended."""

    task: TaskRecord
    interrupted: bool  # by a second SIGINT
    let_go: bool  # not terminal: somebody asked us to detach


class Session:
    """Drives one owned task to its end and shows it."""

    def __init__(self, runner: Runner, display: Display, view: View, *, on_terminal: bool = True) -> None:
        """`on_terminal` False: SIGHUP tells of no terminal that has gone, so it means nothing."""
        self._runner = runner
        self._display = display
        self._on_terminal = on_terminal
        self._interrupts = 0
        self._trouble = ""
        self._look_at: float | None = None  # a timer of the loop is set for then
        self._loop = Loop(runner, now)
        display.attach(lambda: runner.task, view)
        if display.watch is not None and display.watch.fileno() >= 0:
            self._loop.add_reader(display.watch.fileno(), self._on_files)

    def run(self) -> Ended:
        """To be called with signals blocked."""
        self._loop.on_turn = self._on_turn
        self._on_turn(now())
        gc.collect()
        gc.freeze()
        try:
            with self._loop.signals(self._calls()):
                unblock_signals()
                self._loop.run()
        finally:
            self._loop.close()
        self._display.close(now())
        task = self._runner.task
        return Ended(task, self._interrupts > 1, not task.terminal)

    def _calls(self) -> dict[int, Call]:
        calls: dict[int, Call] = {signum: self._polite(signum) for signum in POLITE}
        calls[signal.SIGINT] = self._on_interrupt
        if not self._on_terminal:
            calls[signal.SIGHUP] = self._on_look
        calls[signal.SIGUSR2] = lambda at: self._runner.lose(at, reason="SIGUSR2")
        if isinstance(self._display, Live):
            calls[signal.SIGWINCH] = self._display.redraw
        return calls

    def _polite(self, signum: signal.Signals) -> Callable[[Now], None]:
        def ask(at: Now) -> None:
            self._runner.kill(at, reason=signum.name)

        return ask

    def _on_interrupt(self, at: Now) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            self._display.note("stopping; interrupt again to kill everything now", at)
            self._runner.kill(at, reason="interrupted")
        else:
            self._runner.kill(at, grace=0, finalize=False, reason="interrupted twice")

    def _on_turn(self, at: Now) -> None:
        if self._runner.trouble != self._trouble:
            self._trouble = self._runner.trouble
            self._display.note(self._trouble or "can record again", at)
        self._display.on_turn(at)
        look = self._display.next_look
        if look is not None and (self._look_at is None or look < self._look_at):
            self._look_at = look
            self._loop.call_at(look, self._on_look)

    def _on_files(self, at: Now) -> None:
        """As `_on_look`."""

    def _on_look(self, at: Now) -> None:
        """The turn that this timer makes is all that is wanted."""
        self._look_at = None
