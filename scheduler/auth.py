"""Who asks: basic authentication against the users of a file (`-shiro_ini_path`), read anew when told so.

A password stands in the file as it is (as the original wants it) or hashed with scrypt: `python -m scheduler.auth`
asks for one and prints what to write. Comparisons take the same time whatever is wrong. What was right once is
remembered as a digest under a key of this process, so that a hash is worked out once per user, and not per request;
a few are worked out at once, in threads, so that nobody can keep the scheduler busy with wrong passwords.

Source: spec/scheduler.md §9.2, §13.3.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import getpass
import hashlib
import hmac
import logging
import os
import secrets
import stat
import sys
from pathlib import Path

from scheduler.core.permissions import Call, User, Users, parse_users
from thermos.errors import HostError, ThermosError, UserError
from web.protection import presented

#: Who it is when nobody has to say so.
UNSECURE = "UNSECURE"

#: The file is small.
MAX_FILE = 1024 * 1024

#: Hashes that are worked out at once; each takes MEMORY for some 50 ms.
AT_ONCE = 2

_PREFIX = "$scrypt$"
_LOG_N, _BLOCK, _LANES = 14, 8, 1
_MEMORY = 64 * 1024 * 1024
_HASH_BYTES = 32

_log = logging.getLogger("aurora.scheduler")


class Unauthenticated(UserError):
    """Nobody, or not who they say."""


class Authenticator:
    """`path` None: there are no users, and everybody may do everything."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._users = Users()
        self._known: dict[str, bytes] = {}
        self._key = secrets.token_bytes(32)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self.failures = 0
        self.reload()

    @property
    def is_on(self) -> bool:
        return self._path is not None

    def reload(self) -> None:
        """Raises ConfigError, HostError; then the users stay as they were."""
        if self._path is None:
            return
        users = load_users(self._path)
        self._users, self._known = users, {}

    async def who(self, authorization: str) -> str | None:
        """The user of an `Authorization` header, None without one. Raises Unauthenticated."""
        if self._path is None:
            return UNSECURE
        if not authorization:
            return None
        scheme, _, pair = presented(authorization).partition(" ")
        name, colon, password = pair.partition(":")
        if scheme == "basic" and colon and await self._is_right(name, password):
            return name
        self.failures += 1
        raise Unauthenticated("the user or the password is wrong")

    def may(self, user: str, call: Call) -> bool:
        return self._path is None or self._users.may(user, call)

    async def _is_right(self, name: str, password: str) -> bool:
        digest = hmac.digest(self._key, f"{name}:{password}".encode(), "sha256")
        if hmac.compare_digest(self._known.get(name, b""), digest):
            return True
        users = self._users
        user = users.by_name.get(name)
        stored = user.password if user is not None else secrets.token_urlsafe()
        async with self._turns:
            is_right = await asyncio.to_thread(_matches, stored, _decoy(users, stored), password)
        if user is None or not is_right:
            return False
        if self._users is users:  # else it was read anew meanwhile
            self._known[name] = digest
        return True


def _decoy(users: Users, stored: str) -> str | None:
    """Where some passwords are hashed, the others (and those of users who are not there) have to take as long."""
    hashes = (user.password for user in users.by_name.values() if user.password.startswith(_PREFIX))
    return None if stored.startswith(_PREFIX) else next(hashes, None)


def _matches(stored: str, decoy: str | None, password: str) -> bool:
    is_right = matches_password(stored, password)
    if decoy is not None:
        matches_password(decoy, password)
    return is_right


def load_users(path: Path) -> Users:
    """Raises ConfigError, HostError; says what is careless."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_FILE + 1).decode()
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"cannot use {path}: it is not UTF-8") from error
    if len(text) > MAX_FILE:
        raise UserError(f"cannot use {path}: it is larger than {MAX_FILE} bytes")
    users = parse_users(text, str(path))
    for user in users.by_name.values():
        check_hash(user, str(path))
    if mode & stat.S_IRWXO:
        _log.warning("others may read the passwords in %s: chmod o= %s", path, path)
    for role in users.unknown_roles:
        _log.warning("nothing is permitted to the role %s: it is not in [roles] of %s", role, path)
    return users


def check_hash(user: User, where: str) -> None:
    """Raises UserError for a hash that can't be used."""
    if user.password.startswith(_PREFIX) and _parsed(user.password) is None:
        raise UserError(f"cannot use {where}: the hash of {user.name}'s password is damaged")


# --- passwords ------------------------------------------------------------------------------------------------------


def hash_password(password: str, salt: bytes) -> str:
    """What to write into the file."""
    digest = _scrypt(password, salt, _LOG_N, _BLOCK, _LANES)
    return f"{_PREFIX}{_LOG_N}${_BLOCK}${_LANES}${_encode(salt)}${_encode(digest)}"  # no commas: they have a meaning


def matches_password(stored: str, password: str) -> bool:
    if not stored.startswith(_PREFIX):
        return hmac.compare_digest(_sha256(stored), _sha256(password))
    parsed = _parsed(stored)
    if parsed is None:
        return False
    log_n, block, lanes, salt, digest = parsed
    return hmac.compare_digest(_scrypt(password, salt, log_n, block, lanes), digest)


def _parsed(stored: str) -> tuple[int, int, int, bytes, bytes] | None:
    try:
        log_n, block, lanes, salt, digest = stored.removeprefix(_PREFIX).split("$")
        parsed = int(log_n), int(block), int(lanes), _decode(salt), _decode(digest)
    except (ValueError, binascii.Error):
        return None
    return parsed if _is_bearable(*parsed[:3]) and len(parsed[4]) == _HASH_BYTES else None


def _is_bearable(log_n: int, block: int, lanes: int) -> bool:
    return 1 <= log_n <= 20 and 1 <= block <= 64 and 1 <= lanes <= 64 and 130 * block * (lanes + (1 << log_n)) < _MEMORY


def _scrypt(password: str, salt: bytes, log_n: int, block: int, lanes: int) -> bytes:
    text = password.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(text, salt=salt, n=1 << log_n, r=block, p=lanes, maxmem=_MEMORY, dklen=_HASH_BYTES)


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def main() -> int:
    """`python -m scheduler.auth`: a password from the terminal or from standard input, its hash to standard output."""
    try:
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        if not password:
            raise UserError("the password is empty")
        sys.stdout.write(hash_password(password, secrets.token_bytes(16)) + "\n")
    except ThermosError as error:
        sys.stderr.write(f"scheduler.auth: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
