"""Files that flags name: small, read once, at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from thermos.errors import ConfigError, HostError

MAX_FILE = 1024 * 1024


def read_setting(path: Path) -> bytes:
    """Raises HostError, ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise ConfigError(f"cannot use {path}: it is larger than {MAX_FILE} bytes")
    return data


def read_json(path: Path) -> Any:
    """Raises HostError, ConfigError."""
    try:
        return msgspec.json.decode(read_setting(path))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ConfigError(f"cannot use {path}: {error}") from None
