"""Where the text of a config comes from: a path, an open file, or texts captured by an earlier load.

Every text that is read is kept as a *loadable* under `includer NUL included` (the includer is empty for the first
one), so `LoadedJobs.loadables` can be stored as JSON and loaded again on another machine, without the files.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from thermos.errors import ConfigError


@runtime_checkable
class Readable(Protocol):
    """An open file."""

    def read(self) -> str | bytes: ...


#: What can be loaded.
ConfigSource = str | os.PathLike[str] | Readable | Mapping[str, str]


class Text(NamedTuple):
    """One config text; `name` is shown in messages, includes are found beside it unless it is an open file."""

    name: str
    text: str
    is_open_file: bool = False


class Sources:
    """Finds the first text of a source and what it includes; remembers all of them."""

    def __init__(self, source: ConfigSource) -> None:
        self._source = source
        self.loadables: dict[str, str] = {}

    def first(self) -> Text:
        """The text of the source itself. Raises ConfigError if it can't be read."""
        if isinstance(self._source, Mapping):
            return self._captured_first(self._source)
        if isinstance(self._source, str | os.PathLike):
            return self._keep("", Text(os.fspath(self._source), read_config(os.fspath(self._source))))
        name = getattr(self._source, "name", None)
        text = self._source.read()
        shown = name if isinstance(name, str) else "<config>"
        decoded = text if isinstance(text, str) else decode_config(shown, text)
        return self._keep("", Text(shown, decoded, is_open_file=True))

    def included(self, by: Text, path: str) -> Text:
        """The text that `by` includes. Raises ConfigError if there is none."""
        if by.is_open_file:
            raise ConfigError("You may not include() anything from filelike objects.")
        if not isinstance(path, str):
            raise ConfigError(f"include() takes a path, got {type(path).__name__}")
        name = os.path.join(os.path.dirname(by.name), path)  # noqa: PTH118, PTH120 - keeps `./` as written
        if isinstance(self._source, Mapping):
            text = self._source.get(loadable_key(by.name, path))
            if text is None:
                raise ConfigError(f"Could not load resource {path}: it was not captured with {by.name}")
            return self._keep(by.name, Text(name, text), path)
        return self._keep(by.name, Text(name, read_config(name)), path)

    def _captured_first(self, captured: Mapping[str, str]) -> Text:
        for key, text in captured.items():
            includer, _, name = key.partition("\0")
            if not includer:
                return self._keep("", Text(name, text))
        raise ConfigError("Could not load resource: the captured config has no first file")

    def _keep(self, by: str, text: Text, path: str | None = None) -> Text:
        self.loadables[loadable_key(by, text.name if path is None else path)] = text.text
        return text


def loadable_key(includer: str, included: str) -> str:
    return f"{includer}\0{included}"


def read_config(path: str) -> str:
    """The text of a file. Raises ConfigError, one line that names it."""
    try:
        content = Path(path).read_bytes()
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; name a config file in it") from None
    except FileNotFoundError:
        raise ConfigError(f"Could not load resource {path}: there is no such file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"Could not load resource {path}: {reason}") from None
    return decode_config(path, content)


def decode_config(name: str, content: bytes) -> str:
    """Bytes of a Python file as text; a coding line is honoured. Raises ConfigError."""
    try:
        return importlib.util.decode_source(content)
    except (UnicodeDecodeError, SyntaxError, LookupError) as error:
        raise ConfigError(_undecodable(name, content, error)) from None


def _undecodable(name: str, content: bytes, error: Exception) -> str:
    """Which byte is the first that is no text, or why the coding line can't be followed."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as first:
        line = content.count(b"\n", 0, first.start) + 1
        return f"{name}:{line}: is not UTF-8 text (byte {content[first.start]:#04x}); save it as UTF-8"
    return f"{name}: cannot be decoded: {getattr(error, 'msg', None) or error}"


def parse_json(name: str, text: str) -> object:
    """A JSON document. Raises ConfigError with the line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name}:{error.lineno}: is not valid JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise ConfigError(f"{name}: is nested too deeply to be a config") from None
