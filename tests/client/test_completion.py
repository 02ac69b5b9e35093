"""Completion, asked the way the shells ask."""

from __future__ import annotations

import shutil

import pytest

from tests.client.room import Room


def complete(room: Room, line: str, shell: str = "bash") -> list[str]:
    """What bash offers for the last word of `line` (which ends in a blank for a new word)."""
    words = line.split(" ")
    listed = " ".join(f"'{word}'" for word in words)
    script = f"""
        source <(thermos completion bash)
        COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}
        _thermos_completion thermos
        compgen -W "${{COMPREPLY[*]}}" -- '{words[-1]}'
    """
    return room.shell(script).out.split()


def test_verbs(room: Room) -> None:
    assert complete(room, "thermos ins") == ["inspect"]
    assert {"run", "status", "tail", "gc"} <= set(complete(room, "thermos "))


def test_options_and_choices(room: Room) -> None:
    assert complete(room, "thermos gc --keep-l") == ["--keep-last"]
    assert complete(room, "thermos completion z") == ["zsh"]


def test_task_ids_and_processes(room: Room) -> None:
    room.run(room.task("Process(name = 'web', cmdline = 'true')"), task_id="over-1")
    root = room.root
    assert complete(room, f"thermos tail --root {root} ov") == ["over-1"]
    assert complete(room, f"thermos tail --root {root} over-1 ") == ["web"]
    assert complete(room, f"thermos kill --root {root} ") == [], "it is not active"
    assert complete(room, f"thermos --root {root} read ") == ["over-1"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(room: Room, shell: str) -> None:
    done = room.thermos("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_THERMOS_COMPLETE" in done.out
    if shutil.which(shell):
        (room.path / "script").write_text(done.out)
        assert room.shell(f"{shell} -n script").code == 0


def test_an_unknown_shell(room: Room) -> None:
    done = room.thermos("completion", "tcsh")
    assert done.code == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.err
