"""The command-line library's own complaints as ours, one line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from thermos.errors import Exit, UserError


def call(
    command: click.Command, program: str, words: Sequence[str] | None = None, *, usage: int = Exit.USAGE, **more: Any
) -> object:
    """What the verb returns; `usage` where help is all there is to say; `more` is for the command's context. Raises
    UserError (from click's own) for words that nobody understands."""
    try:
        return command.main(args=words, prog_name=program, standalone_mode=False, **more)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        return usage
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else program
        raise UserError(f"{error.format_message()} (see `{where} --help`)") from error
    except click.ClickException as error:
        raise UserError(error.format_message()) from error
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as error:  # so the library takes a reader that went away; verbs return their codes
        raise BrokenPipeError from error
