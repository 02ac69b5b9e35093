"""Runs a user's config file and puts everything that can go wrong with it into one line with a place.

A config is Python with the language's names in its globals; `include()` runs further files in the same globals. User
code may do anything: raise, exit, print, import what isn't there. Whatever it raises becomes a ConfigError at the
innermost line of the user's own files. What it prints goes to stderr, so that it can't spoil what a command prints.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from config.dsl.aliases import serving
from config.dsl.places import tracking
from config.namespace import serving_schema
from config.sources import Sources, Text
from thermos.errors import ConfigError

#: What `__name__` is in a config.
_MODULE = "__config__"

#: So much of an exception's text is shown.
_LONGEST = 1000

#: Names that Python 2 had, and what to write instead.
_PYTHON2 = {
    "unicode": "str",
    "basestring": "str",
    "long": "int",
    "xrange": "range",
    "raw_input": "input",
    "unichr": "chr",
    "reduce": "functools.reduce",
    "file": "open",
    "execfile": "include",
}


class UserFile:
    """One run of a config and what it includes; `env` is the shared globals."""

    def __init__(self, sources: Sources, names: dict[str, Any]) -> None:
        self.sources = sources
        self._module = ModuleType(_MODULE)  # dataclasses, for one, look for the module of a class
        self.env: dict[str, Any] = self._module.__dict__
        self.env.update(names, include=self._include)
        self.name = "<config>"
        self._running: list[Text] = []
        self._files: set[str] = set()

    def run(self) -> None:
        """Run the source's first text. Raises ConfigError."""
        text = self.sources.first()
        self.name = text.name
        beside = None if text.is_open_file else os.path.dirname(os.path.abspath(text.name))  # noqa: PTH100, PTH120
        with serving(beside), serving_schema(), tracking(), _output_to_stderr(text.name):
            before = sys.modules.get(_MODULE)
            sys.modules[_MODULE] = self._module
            try:
                self._run(text)
            finally:
                del sys.modules[_MODULE]
                if before is not None:
                    sys.modules[_MODULE] = before

    def _include(self, path: str) -> None:
        if not self._running:
            raise ConfigError(f"cannot include {path!r} now: include() works only while the config is loaded")
        by = self._running[-1]
        text = self.sources.included(by, path)
        if any(os.path.realpath(text.name) == os.path.realpath(other.name) for other in self._running):
            chain = " -> ".join([*(other.name for other in self._running), text.name])
            raise ConfigError(f"include() goes round in a circle: {chain}")
        self._run(text)

    def _run(self, text: Text) -> None:
        before = self.env.get("__file__")
        self._files.add(text.name)
        self._running.append(text)
        self.env["__file__"] = text.name
        try:
            exec(compile(text.text, text.name, "exec", dont_inherit=True), self.env)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # user code may raise anything; it becomes a ConfigError with a place
            if isinstance(error, _Placed):
                raise
            raise _Placed(self._tell(error, text)) from None
        finally:
            self._running.pop()
            self.env["__file__"] = before

    def _tell(self, error: BaseException, text: Text) -> str:
        """One line for whatever the user's code raised."""
        if isinstance(error, SyntaxError) and error.filename == text.name:
            return f"{text.name}:{error.lineno or 1}: SyntaxError: {_syntax_hint(error.msg)}"
        return f"{self._place(error) or text.name}: {_one_line(error)}"

    def _place(self, error: BaseException) -> str | None:
        """The innermost line of the user's files in the traceback."""
        place = None
        for frame, line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename in self._files:
                place = f"{frame.f_code.co_filename}:{line}"
        return place


class _Placed(ConfigError):
    """Has its place already; an including file adds nothing."""


def _syntax_hint(message: str) -> str:
    if "Missing parentheses in call to 'print'" in message:
        return f"{message} (this looks like Python 2)"
    return message


def _one_line(error: BaseException) -> str:
    text = _text_of(error)
    if isinstance(error, SystemExit):
        return f"the config calls sys.exit({error.code!r}); a config only defines jobs, it must not end the command"
    if isinstance(error, ConfigError) or type(error).__module__.startswith("config."):
        return text
    if isinstance(error, ModuleNotFoundError):
        return f"cannot import `{error.name}`: there is no such module here; install it or don't import it"
    if isinstance(error, NameError) and error.name in _PYTHON2:
        return f"NameError: {text} (it was in Python 2; write {_PYTHON2[error.name]})"
    if isinstance(error, RecursionError):
        return "RecursionError: a function of the config calls itself without end"
    if isinstance(error, KeyError):
        return f"KeyError: there is no {text}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text_of(error: BaseException) -> str:
    """The text of an exception in one line of a bearable length."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # __str__ is user code, too
        return "(its text can't be shown)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class _Noted:
    """A stdout for user code: writes to stderr, after one line that says whose words these are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._noted = False

    def write(self, text: str) -> int:
        if sys.stderr is None:  # a daemon may have closed it
            return len(text)
        if not self._noted and text:
            self._noted = True
            sys.stderr.write(f"{self._name}: prints while it is loaded; its output goes to stderr:\n")
        return sys.stderr.write(text)

    def flush(self) -> None:
        if sys.stderr is not None:
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


@contextlib.contextmanager
def _output_to_stderr(name: str) -> Iterator[None]:
    """What user code prints goes to stderr; what commands that it starts print, too."""
    with contextlib.ExitStack() as undo:
        undo.enter_context(contextlib.redirect_stdout(_Noted(name)))
        with contextlib.suppress(OSError):  # a daemon may have closed its stdout or stderr
            saved = os.dup(1)
            undo.callback(os.close, saved)
            os.dup2(2, 1)
            undo.callback(os.dup2, saved, 1)
        yield
