"""`thermos` itself: help for everything, quick, and errors that are lines."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import click
import pytest

from client.exits import guard
from client.thermos.main import VERBS
from tests.client.room import THERMOS, Room
from thermos.errors import ConfigError, Exit, HostError


def command_of(verb: str) -> click.Command:
    command: click.Command = importlib.import_module(f"client.thermos.{verb}").command
    return command


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples_and_the_words_of_the_table(room: Room, verb: str) -> None:
    done = room.thermos(verb, "--help")
    assert done.code == 0
    assert f"Usage: thermos {verb}" in done.out
    assert re.search(rf"^ *Examples:\n *thermos {verb} ", done.out, re.MULTILINE)
    assert (command_of(verb).help or "").splitlines()[0] == VERBS[verb]
    assert verb in room.thermos("--help").out


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_help(verb: str) -> None:
    for parameter in command_of(verb).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{verb} {parameter.name}"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, client.thermos.main as m\n"
        "try: m.cli.main(['--help'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'msgspec', 'rich', 'psutil', 'asyncio'} & set(sys.modules)\n"
        "ours = [n for n in sys.modules if n.startswith(('config', 'thermos.core', 'thermos.host'))]\n"
        "sys.exit(str((heavy, ours)) if heavy or ours else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_words_show_the_help_and_version_is_said(room: Room) -> None:
    done = room.thermos()
    assert done.code == 2
    assert "Commands:" in done.err
    assert room.thermos("--version").out.startswith("thermos ")


def test_root_may_stand_before_the_verb(room: Room) -> None:
    config = room.task("Process(name = 'p', cmdline = 'true')")
    assert room.thermos("--root", str(room.root), "run", "--task-id", "x", config).code == 0
    assert "  x [" in room.thermos("--root", str(room.root), "status").out


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("a\nb"), Exit.BAD_CONFIG, "thermos: a\nb\n"),
        (HostError("cannot x"), Exit.FAILED, "thermos: cannot x\n"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "thermos: interrupted\n"),
        (
            ValueError("odd\nthing"),
            Exit.INTERNAL,
            "thermos: internal error: ValueError: odd thing; set THERMOS_TRACEBACK=1 to see it\n",
        ),
    ],
)
def test_errors_are_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: Exit, text: str
) -> None:
    monkeypatch.delenv("THERMOS_TRACEBACK", raising=False)

    def fail() -> None:
        raise error

    assert guard("thermos", fail) is code
    assert capsys.readouterr().err == text


def test_a_traceback_is_shown_to_who_wants_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THERMOS_TRACEBACK", "1")

    def fail() -> None:
        raise ValueError("odd")

    guard("thermos", fail)
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_silent(room: Room) -> None:
    room.run(room.task("Process(name = 'p', cmdline = 'true')"))
    done = room.shell(f"thermos status --root {room.root} -v 3 | true; echo ${{PIPESTATUS[0]}}")
    assert (done.out, done.err) == ("0\n", "")
    assert THERMOS.exists()
