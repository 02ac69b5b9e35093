"""Who we are, for masters and agents: HTTP basic credentials of a framework, bearer tokens of an executor.

A secret is shown by nothing: not by `repr`, not by an error about the file that holds it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from thermos.errors import UserError

#: Bytes of a file with credentials that are looked at.
_LARGEST_FILE = 65536

#: Names in a properties file, as Aurora's scheduler has it, and in the JSON file that Mesos has.
_PRINCIPAL = ("principal", "aurora_authentication_principal")
_SECRET = ("secret", "aurora_authentication_secret")


@dataclass(frozen=True, slots=True)
class Credentials:
    principal: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.principal or ":" in self.principal or _controls(self.principal + self.secret):
            raise UserError("cannot use these credentials: colon in the principal, or a control character")

    def header(self) -> str:
        """Value of an Authorization header."""
        pair = f"{self.principal}:{self.secret}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


def bearer(token: str) -> str:
    """Value of an Authorization header with an executor's token. Raises UserError for what is none."""
    if not token or not token.isascii() or _controls(token) or " " in token:
        raise UserError("cannot use this authentication token: it is no word of ASCII characters")
    return f"Bearer {token}"


def read_credentials(path: Path) -> Credentials:
    """JSON with `principal` and `secret`, properties with these names (or Aurora's), or both words on one line.

    Raises UserError, which never repeats what stands in the file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise UserError(f"cannot read credentials from {path}: it is larger than {_LARGEST_FILE} bytes")
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UserError(f"cannot read credentials from {path}: {reason}") from None
    values = _json(text) if text.lstrip().startswith("{") else _properties(text)
    principal = next((values[name] for name in _PRINCIPAL if name in values), "")
    secret = next((values[name] for name in _SECRET if name in values), "")
    if not principal or not secret:
        raise UserError(
            f"cannot read credentials from {path}: write principal=NAME and secret=SECRET on two lines, "
            'or {"principal": "NAME", "secret": "SECRET"}'
        )
    return Credentials(principal, secret)


def _json(text: str) -> dict[str, str]:
    try:
        values = msgspec.json.decode(text.encode(), type=dict[str, str])
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return values


def _properties(text: str) -> dict[str, str]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) == 1 and "=" not in lines[0].split()[0] and len(words := lines[0].split()) == 2:
        return {"principal": words[0], "secret": words[1]}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _controls(text: str) -> bool:
    return any(ord(c) < 32 or ord(c) == 127 for c in text)
