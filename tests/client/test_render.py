"""Words for people."""

from __future__ import annotations

import pytest

from client.render import fit, pad, running_clock, width_of
from thermos.core.words import countdown, duration, ending_words, plural, signal_name, some_of
from thermos.words import printable, setup_words


@pytest.mark.parametrize(
    ("code", "signum", "words"),
    [
        (0, None, "exit code 0"),
        (3, None, "exit code 3"),
        (126, None, "exit code 126 (found, but it can't be executed)"),
        (127, None, "exit code 127 (command not found)"),
        (128, None, "exit code 128"),
        (137, None, "exit code 137 (a command in it was killed by SIGKILL)"),
        (255, None, "exit code 255"),
        (None, 9, "killed by SIGKILL (signal 9)"),
        (None, 35, "killed by signal 35"),
        (None, None, "end unknown"),
    ],
)
def test_how_a_command_ended(code: int | None, signum: int | None, words: str) -> None:
    assert ending_words(code, signum) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.00 s"), (0, "0.00 s"), (0.004, "0.00 s"), (0.5, "0.50 s"), (0.996, "1.0 s"), (3.14, "3.1 s"),
        (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (3725, "1 h 2 min"),
        (86400, "1 d"), (100000, "1 d 3 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3, "0 s"), (0, "0 s"), (0.1, "1 s"), (3, "3 s"), (9.5, "10 s"), (61, "1 min 1 s")]
)
def test_countdowns_never_promise_less_than_is_left(seconds: float, words: str) -> None:
    assert countdown(seconds) == words


def test_running_clocks_show_whole_seconds() -> None:
    assert [running_clock(s) for s in (0.9, 1.99, 59.9, 61.5)] == ["0 s", "1 s", "59 s", "1 min 1 s"]


def test_why_a_command_was_never_executed() -> None:
    assert setup_words("cwd", 2, "") == "could not start (cwd: No such file or directory)"
    assert setup_words("user", 0, "unknown user x") == "could not start (user: unknown user x)"
    assert setup_words("fork", 0, "") == "could not start (fork)"


def test_lists_and_numbers() -> None:
    assert some_of([]) == ""
    assert some_of(["a", "b", "c"]) == "a, b, c"
    assert some_of(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert [plural(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert signal_name(15) == "SIGTERM"


def test_what_others_wrote_can_not_steer_a_terminal() -> None:
    assert printable("a\tb\x1b[31mred\x07\x00ü\u202e") == "a b?[31mred??ü?"


def test_text_is_cut_to_columns_not_characters() -> None:
    assert fit("abc", 3) == "abc"
    assert fit("abcd", 3) == "ab…"
    assert fit("日本語", 5) == "日本…"
    assert width_of("e\u0301") == 1
    assert pad("ü", 3) == "ü  "
    assert fit("abc", 0) == ""
