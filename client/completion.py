"""Completion scripts of shells, for each of our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from thermos.errors import Bug

#: Behind the slash of a key that is not finished comes no blank.
_NO_SPACE = '    if [[ ${#COMPREPLY[@]} == 1 && "${COMPREPLY[0]}" == */ ]]; then compopt -o nospace; fi'


def script_for(program: str, shell: str) -> str:
    """What the shell reads to complete the program's words."""
    found = get_completion_class(shell)
    if found is None:
        raise Bug(f"no completion for {shell}")
    complete = found(click.Command(program), {}, program, f"_{program.upper()}_COMPLETE")
    script = (complete.source_template % complete.source_vars()).strip()
    if shell == "bash":
        script = script.replace("    return 0\n", f"{_NO_SPACE}\n    return 0\n", 1)
    return script
