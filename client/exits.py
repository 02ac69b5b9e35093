"""The rim of every command: exceptions become one line on stderr and a documented exit code.

Nobody is shown a traceback, unless THERMOS_TRACEBACK is set. A reader that went away (`| head`) is no error.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable

from thermos.errors import Exit, HostError, ThermosError

#: Set it to anything to see where an internal error came from.
TRACEBACK = "THERMOS_TRACEBACK"


def complain(program: str, text: str) -> None:
    """Lines on stderr, the first one after the program's name; a stderr that is gone hears nothing."""
    try:
        sys.stderr.write(f"{program}: {text}\n")
        sys.stderr.flush()
    except OSError:
        silence(2)


def silence(fd: int) -> None:
    """Whatever is still written to `fd`, also when Python flushes at its end, goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    os.close(null)


def hold_standard_streams() -> None:
    """A standard stream that is closed becomes /dev/null, so that no file of ours gets its number."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
            setattr(sys, name, os.fdopen(fd, mode, closefd=False))


def thermos_code(error: Exception) -> int:
    """What `thermos` ends with after an error."""
    if isinstance(error, ThermosError):
        return error.exit_code
    return Exit.FAILED if isinstance(error, OSError) else Exit.INTERNAL


def guard(program: str, command: Callable[[], object], code_of: Callable[[Exception], int] = thermos_code) -> int:
    """The exit code of `command`; what it returns is its code, None is 0, and an error's is `code_of`."""
    hold_standard_streams()
    try:
        code = command()
        echo_lines([])
        return code if isinstance(code, int) else Exit.OK
    except KeyboardInterrupt:
        complain(program, "interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        silence(1)
        return Exit.OK
    except ThermosError as error:
        complain(program, str(error))
        return code_of(error)
    except OSError as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        complain(
            program, f"cannot use {error.filename}: {error.strerror}" if error.filename else f"cannot go on: {error}"
        )
        return code_of(error)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        text = " ".join(str(error).split())
        complain(program, f"internal error: {type(error).__name__}: {text}; set {TRACEBACK}=1 to see it")
        return code_of(error)


def echo_lines(lines: Iterable[str]) -> None:
    """Lines on stdout, written out. Raises HostError (BrokenPipeError when the reader went away)."""
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(1)
        raise HostError(f"cannot write to standard output: {error.strerror}") from error
