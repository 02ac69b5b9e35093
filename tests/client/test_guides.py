"""The guides are true: their configs pass `thermos check`, their commands parse, the short ones run."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest

from client.thermos.main import VERBS, cli
from tests.client.room import Room

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ["user-guide.md", "from-supervisord.md", "from-apache-thermos.md"]


def configs(guide: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (DOCS / guide).read_text(), re.MULTILINE | re.DOTALL)


def commands(guide: str) -> list[str]:
    text = (DOCS / guide).read_text()
    lines = re.findall(r"^    (thermos .*)$", text, re.MULTILINE) + re.findall(r"`(thermos [^`]+)`", text)
    return [line.partition(" | ")[0] for line in lines if "(" not in line]


@pytest.mark.parametrize("guide", GUIDES)
def test_configs_are_good(room: Room, guide: str) -> None:
    assert configs(guide)
    for text in configs(guide):
        done = room.thermos("check", room.config(text))
        assert (done.code, done.out) == (0, done.out), done.out


@pytest.mark.parametrize(("guide", "line"), [(guide, line) for guide in GUIDES for line in commands(guide)])
def test_commands_are_understood(guide: str, line: str) -> None:
    words = shlex.split(line)[1:]
    above = click.Context(cli, info_name="thermos")
    if words == ["observer"]:
        return
    if words[0].startswith("--root="):
        words = words[1:]
    assert words[0] in VERBS, line
    command: click.Command = importlib.import_module(f"client.thermos.{words[0]}").command
    try:
        command.make_context(words[0], list(words[1:]), parent=above)
    except click.MissingParameter:  # prose names the options only
        some = "bash" if words[0] == "completion" else "x"
        command.make_context(words[0], [*words[1:], some], parent=above)


def test_the_task_of_the_user_guide_runs(room: Room) -> None:
    [config] = configs("user-guide.md")
    done = room.run(room.config(config))
    assert done.code == 0, done.out
    assert "count[0] SUCCESS" in done.out
    assert not (room.root / "sandboxes/t/numbers").exists(), "tidy ran"


def test_the_task_of_the_apache_guide_runs(room: Room) -> None:
    [config] = configs("from-apache-thermos.md")
    assert room.run(room.config(config)).code == 0
    assert (room.root / "sandboxes/t/.logs/hello/0/stdout").read_text() == "hello you\n"


def test_the_task_of_the_supervisord_guide_does_what_it_says(room: Room) -> None:
    """With programs that are at hand in place of its own."""
    [config] = configs("from-supervisord.md")
    web = "trap 'echo stopped > done; exit' TERM; echo $MODE; while :; do read -t 1000 < <(:); sleep 1000 & wait; done"
    (room.path / "server").write_text(web)
    text = config.replace("/srv/bin/migrate", "true").replace("cd /srv/www && ", "")
    text = text.replace("exec python3 -m http.server 8080", f"exec bash {room.path}/server")
    run = room.start(room.config(text))
    migrated = run.wait_for(lambda e: e["kind"] == "exited")
    assert migrated["process"] == "migrate"
    run.running("web")
    assert room.kill("t").code == 0
    assert run.end()[1]["state"] == "KILLED"
