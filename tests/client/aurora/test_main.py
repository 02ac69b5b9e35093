"""`aurora` itself: help for everything, quick, and completion."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from client.aurora import suggest
from client.aurora.main import ALONE, NOUN_HELP, NOUNS
from client.connection import exchange
from tests.client.aurora.desk import Desk
from tests.client.aurora.fake_scheduler import FakeScheduler

AURORA = Path(sys.executable).parent / "aurora"
VERBS = [(noun, verb) for noun, verbs in NOUNS.items() for verb in verbs]
COMMANDS = [*VERBS, *((word,) for word in ALONE)]


def command_of(words: tuple[str, ...]) -> click.Command:
    command: click.Command = importlib.import_module(f"client.aurora.{'_'.join(words)}").command
    return command


def help_of(words: tuple[str, ...]) -> str:
    command = command_of(words)
    return command.get_help(click.Context(command, info_name=" ".join(("aurora", *words))))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_verb_has_help_with_examples_and_the_words_of_the_table(words: tuple[str, ...]) -> None:
    text = help_of(words)
    assert f"Usage: aurora {' '.join(words)}" in text
    assert re.search(rf"^ *Examples?:\n(.*\n)*? *.*aurora {' '.join(words)}\b", text, re.MULTILINE)
    table = ALONE if len(words) == 1 else NOUNS[words[0]]
    assert (command_of(words).help or "").splitlines()[0] == table[words[-1]]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_has_help(words: tuple[str, ...]) -> None:
    options = [each for each in command_of(words).params if isinstance(each, click.Option)]
    for option in options:
        assert option.help, f"{words} {option.name}"
    if words != ("completion",) and words[0] != "local":  # which asks no scheduler for a job
        names = {name for option in options for name in option.opts}
        assert {"-o", "--verbose", "--skip-hooks", "--write-json"} <= names


def test_every_noun_is_told(bare_desk: Desk) -> None:
    assert list(NOUNS) == list(NOUN_HELP)
    for noun, verbs in NOUNS.items():
        done = bare_desk.aurora(noun)
        assert done.code == 5
        for verb, text in verbs.items():
            assert re.search(rf"^  {verb} +{re.escape(text)}$", done.err, re.MULTILINE)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, client.aurora.main as m\n"
        "try: m.cli.main(['--help'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        "heavy = {'msgspec', 'http.client', 'json', 'kazoo', 'asyncio', 'ssl'} & set(sys.modules)\n"
        "ours = [n for n in sys.modules if n.startswith(('config', 'client.api_client', 'client.aurora.hook'))]\n"
        "sys.exit(str((heavy, ours)) if heavy or ours else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command(tmp_path: Path) -> None:
    done = subprocess.run([AURORA, "--version"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.startswith("aurora "), done.stderr) == (0, True, "")


def complete(line: str) -> set[str]:
    """What bash is offered for the last word."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_AURORA_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run([AURORA], capture_output=True, text=True, timeout=30, env=environment)
    return {each.partition(",")[2] for each in done.stdout.splitlines() if each}


def test_completion_of_keys(desk: Desk, fake: FakeScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggest, "_hurried", exchange)  # a busy machine may take its time here
    parameter = next(each for each in command_of(("job", "status")).params if each.name == "key")
    context = click.Context(command_of(("job", "status")))

    def keys(begun: str) -> set[str]:
        return {item.value for item in suggest.keys(context, parameter, begun)}

    for job in ("www/test/web", "www/test/wiki", "www/prod/web", "ads/test/web"):
        fake.add(job, 0)
    desk.clusters({"name": "rz1", "scheduler_uri": fake.url}, {"name": "gone", "scheduler_uri": "http://127.0.0.1:1"})
    assert keys("r") == {"rz1/"}
    assert keys("rz1/") == {"rz1/www/", "rz1/ads/"}
    assert keys("rz1/www/t") == {"rz1/www/test/"}
    assert keys("rz1/www/test/w") == {"rz1/www/test/web", "rz1/www/test/wiki"}
    assert keys("rz1/www/test/web/") == keys("gone/") == keys("nowhere/") == set()
    assert {item.value for item in parameter.shell_complete(context, "rz")} == {"rz1/"}


def test_bash_puts_no_blank_behind_a_slash(desk: Desk) -> None:
    script = f"""
        PATH={AURORA.parent}:$PATH
        source <(aurora completion bash)
        compopt() {{ echo "compopt $@"; }}
        COMP_WORDS=(aurora job list rz); COMP_CWORD=3; _aurora_completion aurora; echo "${{COMPREPLY[@]}}"
        COMPREPLY=(); COMP_WORDS=(aurora job li); COMP_CWORD=2; _aurora_completion aurora; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("compopt -o nospace\nrz1/\nlist\n", "")


def test_completion(bare_desk: Desk) -> None:
    assert {"job", "task", "local", "version"} <= complete("aurora ")
    assert complete("aurora job k") == {"kill", "killall"}
    assert complete("aurora job restart --watch") == {"--watch-secs"}
    for shell in ("bash", "zsh", "fish"):
        assert "_AURORA_COMPLETE" in bare_desk.aurora("completion", shell).out
