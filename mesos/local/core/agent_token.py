"""The tokens by which executors prove who they are: JWT with HS256, claims `fid`, `eid`, `cid` as Mesos has them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

_HEADER = {"alg": "HS256", "typ": "JWT"}
_CLAIMS = ("fid", "eid", "cid")

#: Characters of the longest token that is looked at.
MAX_TOKEN = 8192

Claims = dict[str, str]


class BadToken(Exception):
    """The text is what a real agent says in its WWW-Authenticate."""


def sign(key: bytes, framework_id: str, executor_id: str, container_id: str) -> str:
    claims = {"cid": container_id, "eid": executor_id, "fid": framework_id}
    signed = f"{_encode(msgspec.json.encode(_HEADER))}.{_encode(msgspec.json.encode(claims))}"
    return f"{signed}.{_encode(_signature(key, signed))}"


def verify(key: bytes, token: str, now: float) -> Claims:
    """The claims of a token that this key signed. `now` in epoch seconds. Raises BadToken."""
    parts = token[:MAX_TOKEN].split(".")
    if len(parts) != 3:
        raise BadToken(f"Invalid JWT: Expected 3 components in token, got {len(parts)}")
    algorithm = _object(parts[0], "header").get("alg")
    if algorithm != "HS256":
        raise BadToken(f'Invalid JWT: Token \'alg\' value "{algorithm}" does not match, expected "HS256"')
    claims = _object(parts[1], "payload")
    if not hmac.compare_digest(_bytes(parts[2], "signature"), _signature(key, f"{parts[0]}.{parts[1]}")):
        raise BadToken("Invalid JWT: Token signature does not match")
    expiry = claims.get("exp")
    if isinstance(expiry, int | float) and expiry < now:
        raise BadToken(f"Invalid JWT: Token has expired: exp({int(expiry)}) < now({int(now)})")
    if not all(isinstance(claims.get(name), str) for name in _CLAIMS):
        raise BadToken("JWT claims missing")
    return {name: claims[name] for name in _CLAIMS}


def _object(part: str, name: str) -> dict[str, Any]:
    data = _bytes(part, name)
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = f"Invalid JWT: Failed to decode token {name}: Failed to parse into JSON: syntax error at line 1 near: "
        raise BadToken(text) from error
    if not isinstance(value, dict):
        raise BadToken(f"Invalid JWT: Token {name} is no object")
    return value


def _signature(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(part: str, name: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadToken(f"Invalid JWT: Failed to decode token {name}") from error
