"""Who may ask: users with passwords and tokens from files that nobody else can read, compared in constant time; and,
on loopback, which host names are ours, so that no web page elsewhere can reach us by a name of its own (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from thermos.errors import HostError, UserError
from web.protection import knows_host, presented

#: A file of users or tokens is small.
MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Guard:
    """`credentials` are digests of what `Authorization` may hold; empty: everybody may ask. `hosts` are the names that
    are answered to; empty: any."""

    credentials: frozenset[bytes] = frozenset()
    hosts: frozenset[str] = frozenset()

    def admits(self, authorization: str) -> bool:
        """Every known digest is compared, whatever matched before."""
        if not self.credentials:
            return True
        given = _digest(presented(authorization))
        return sum(hmac.compare_digest(given, known) for known in self.credentials) > 0

    def knows_host(self, header: str) -> bool:
        return knows_host(self.hosts, header)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def load_guard(basic_file: str | None, token_file: str | None, hosts: frozenset[str]) -> Guard:
    """Lines `user:password`, lines with a token each; blank lines and # comments don't count. Raises UserError,
    HostError."""
    credentials = set()
    for line in _secret_lines(basic_file) if basic_file else ():
        user, colon, password = line.partition(":")
        if not user or not colon or not password:
            raise UserError(f"bad line in {basic_file}: every line has to be user:password")
        credentials.add(_digest(f"basic {line}"))
    for line in _secret_lines(token_file) if token_file else ():
        credentials.add(_digest(f"bearer {line}"))
    if (basic_file or token_file) and not credentials:
        raise UserError(f"nobody may ask: {basic_file or token_file} is empty")
    return Guard(frozenset(credentials), hosts)


def _secret_lines(name: str) -> list[str]:
    path = Path(name)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_mode & stat.S_IRWXO:
                raise UserError(f"others may read {path}: chmod o= {path}")
            text = file.read(MAX_FILE).decode()
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: it is not UTF-8") from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
