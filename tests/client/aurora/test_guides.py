"""What the README and the guides tell people to type is understood; the example they show is the one that is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from client.aurora.main import cli

ROOT = Path(__file__).parents[3]
GUIDES = ("README.md", "docs/updates.md", "docs/local-cluster.md")

#: Words of the guides for what is everybody's own.
WORDS = {"KEY": "rz1/www/test/web", "KEY/0-1": "rz1/www/test/web/0-1", "KEY/INSTANCE": "rz1/www/test/web/0"}

LINE = re.compile(r"^(?:\$ | {4})?(aurora .*)$", re.MULTILINE)
IN_PROSE = re.compile(r"`(aurora [^`]+)`")


def commands(guide: str) -> list[str]:
    """As they are typed, without what is said beside them."""
    text = (ROOT / guide).read_text()
    found = [re.split(r"\s{3,}", line)[0] for line in LINE.findall(text)]
    return found + [" ".join(line.split()) for line in IN_PROSE.findall(text)]


@pytest.mark.parametrize(("guide", "line"), [(guide, line) for guide in GUIDES for line in commands(guide)])
def test_commands_are_understood(guide: str, line: str) -> None:
    given = [WORDS.get(word, word) for word in shlex.split(line)[1:]]
    command: click.Command = cli
    context = click.Context(cli, info_name="aurora")
    while isinstance(command, click.Group):
        if not given:
            return  # prose speaks of the noun
        name, found, given = command.resolve_command(context, given)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    try:
        command.make_context(context.info_name, given, parent=context.parent)
    except click.MissingParameter:
        assert f"`{line}`" in " ".join((ROOT / guide).read_text().split()), "prose names the verb, lines are complete"


def test_every_guide_has_commands() -> None:
    assert all(len(commands(guide)) >= 5 for guide in GUIDES)


def test_the_example_is_the_one_that_is_shown() -> None:
    shown = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert (ROOT / "examples/webserver.aurora").read_text() in shown
