"""The tokens by which executors prove who they are: JWT with HS256, claims `fid`, `eid`, `cid` as Mesos has them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

_HEADER = {"alg": "HS256", "typ": "JWT"}


def sign(key: bytes, framework_id: str, executor_id: str, container_id: str) -> str:
    claims = {"cid": container_id, "eid": executor_id, "fid": framework_id}
    signed = f"{_encode(msgspec.json.encode(_HEADER))}.{_encode(msgspec.json.encode(claims))}"
    return f"{signed}.{_encode(_signature(key, signed))}"


def verify(key: bytes, token: str) -> dict[str, str] | str:
    """The claims; or what is wrong with the token."""
    parts = token.split(".")
    if len(parts) != 3:
        return f"Expected 3 components in token, got {len(parts)}"
    try:
        header, claims, signature = (_decode(part) for part in parts)
        decoded: Any = msgspec.json.decode(header)
        payload: Any = msgspec.json.decode(claims)
    except (ValueError, binascii.Error):
        return "Failed to decode the token"
    if not isinstance(decoded, dict) or decoded.get("alg") != "HS256":
        return "Token 'alg' value is not supported"
    if not hmac.compare_digest(signature, _signature(key, f"{parts[0]}.{parts[1]}")):
        return "Token signature does not match"
    if not isinstance(payload, dict):
        return "Token claims are no object"
    return {name: value for name, value in payload.items() if isinstance(value, str)}


def _signature(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
