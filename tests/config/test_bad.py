"""Broken configs: `bad/NAME` and every line that is said about it in `bad/NAME.expect`, in order, nothing else."""

from pathlib import Path

import pytest

from config.check import check
from config.core.problem import render_problem
from config.loader import load_jobs, load_tasks
from thermos.errors import UserError

BAD = Path(__file__).parent / "bad"
CONFIGS = sorted(p.name for p in BAD.iterdir() if p.suffix in (".aurora", ".thermos", ".json"))


def complaints(name: str) -> list[str]:
    """The lines a command prints about a config."""
    try:
        if name.endswith(".thermos"):
            tasks = load_tasks(name)
            tasks.pick()
            return [render_problem(problem) for problem in check(tasks)]
        return [render_problem(problem) for problem in check(load_jobs(name, json=name.endswith(".json")))]
    except UserError as error:
        return str(error).split("\n")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_broken_config_is_told_what_is_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    assert complaints(name) == (BAD / f"{name}.expect").read_text().splitlines()


def test_there_are_enough_and_each_says_something() -> None:
    expected = {p.name.removesuffix(".expect") for p in BAD.glob("*.expect")}
    assert expected == set(CONFIGS)
    assert len(CONFIGS) >= 60
    assert all((BAD / f"{name}.expect").read_text().strip() for name in CONFIGS)
