"""Facts of runs become words for people: how one ended, what a stop did. Pure."""

from __future__ import annotations

from thermos.core.fold import Run
from thermos.core.records import Stopped
from thermos.core.states import ProcessState
from thermos.core.words import plural, signal_name
from thermos.words import ending_of


def run_ending(run: Run) -> str:
    """How a run ended that did not succeed; "" for one that runs or did well."""
    return "" if not run.terminal or run.state is ProcessState.SUCCESS else ending_of(run)


def receipt_words(receipt: Stopped) -> str:
    """What a stop did, in one line."""
    why = {"stop": "stopped", "kill": "killed at once", "owner": "stopped: its owner died"}.get(
        receipt.why, receipt.why
    )
    parts = [why]
    if receipt.signal and receipt.signalled:
        parts.append(f"{signal_name(receipt.signal)} to {plural(receipt.signalled, 'process', 'processes')}")
    if receipt.left:
        parts.append(f"{receipt.left} left by themselves")
    killed = max(receipt.killed_count, len(receipt.killed))
    if killed:
        parts.append(f"{killed} needed SIGKILL")
    if receipt.daemons:
        parts.append(f"{len(receipt.daemons)} had daemonised")
    if receipt.refused:
        parts.append(f"{len(receipt.refused)} could not be signalled")
    return "; ".join(parts)
