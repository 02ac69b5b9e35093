"""Amounts and ends in words for people: durations, counts, lists, exit codes, signals. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: Linux signals by number (x86, arm): a pure module can't ask the `signal` module.
SIGNALS: dict[int, str] = {
    1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 10: "USR1",
    11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 16: "STKFLT", 17: "CHLD", 18: "CONT", 19: "STOP",
    20: "TSTP", 21: "TTIN", 22: "TTOU", 23: "URG", 24: "XCPU", 25: "XFSZ", 26: "VTALRM", 27: "PROF", 28: "WINCH",
    29: "IO", 30: "PWR", 31: "SYS",
}  # fmt: skip

#: What a shell means by these exit codes.
_SHELL_CODES = {126: "found, but it can't be executed", 127: "command not found"}


def signal_name(number: int) -> str:
    name = SIGNALS.get(number)
    return f"SIG{name}" if name else f"signal {number}"


def ending_words(code: int | None, signum: int | None) -> str:
    """How a command ended: `exit code 3`, `killed by SIGKILL (signal 9)`."""
    if signum is not None:
        name = signal_name(signum)
        return f"killed by {name} (signal {signum})" if name.startswith("SIG") else f"killed by {name}"
    if code is None:
        return "end unknown"
    if code in _SHELL_CODES:
        return f"exit code {code} ({_SHELL_CODES[code]})"
    if 128 < code < 128 + 65:
        return f"exit code {code} (a command in it was killed by {signal_name(code - 128)})"
    return f"exit code {code}"


def duration(seconds: float) -> str:
    """`0.42 s`, `3.1 s`, `42 s`, `3 min 5 s`, `2 h 7 min`, `3 d 4 h`."""
    seconds = max(0.0, seconds)
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, below, smaller in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def countdown(seconds: float) -> str:
    """Whole seconds, rounded up: what is left of something."""
    whole = max(0, -int(-min(seconds, 1e9) // 1))
    return duration(float(whole)) if whole >= 10 else f"{whole} s"


def plural(count: int, noun: str, nouns: str = "") -> str:
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"


def some_of(names: Sequence[str], limit: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
