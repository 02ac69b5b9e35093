"""Paths that come from outside, taken apart: what may name something below a sandbox, and what may not. Pure.

A path is bytes on Linux; in a URL it is percent-encoded. `split_path` turns the URL's part into names (undecodable
bytes as surrogates, as the rest of Python has them) or refuses it; `is_inside` compares *resolved* paths by whole
components, so `task-1` does not contain `task-12`. The rim resolves links, opens, and checks what it has opened.
"""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

#: A URL path longer than this names no file of ours.
MAX_PATH = 4096
MAX_NAME = 255


class Refused(Exception):
    """The path can't name anything in a sandbox; the text says why, in one line."""


def split_path(encoded: str) -> tuple[str, ...]:
    """The names of a percent-encoded relative path, decoded once; () is the sandbox itself. Raises Refused."""
    if len(encoded) > 3 * MAX_PATH:
        raise Refused("the path is too long")
    names = [name for name in (decode_name(part) for part in encoded.split("/")) if name not in ("", ".")]
    if sum(len(name) + 1 for name in names) > MAX_PATH:
        raise Refused("the path is too long")
    return tuple(names)


def decode_name(encoded: str) -> str:
    """One component. Raises Refused for what is more than one, or none."""
    raw = unquote_to_bytes(encoded)
    if b"\0" in raw:
        raise Refused("the path has a NUL byte in it")
    if b"/" in raw:
        raise Refused("the path has an encoded slash in it")
    if raw == b"..":
        raise Refused("the path goes up")
    if len(raw) > MAX_NAME:
        raise Refused("a name in the path is too long")
    return raw.decode("utf-8", "surrogateescape")


def encode_path(names: tuple[str, ...]) -> str:
    """The inverse of `split_path`, for links."""
    return "/".join(quote(name.encode("utf-8", "surrogateescape"), safe="") for name in names)


def is_inside(resolved: str, base: str) -> bool:
    """Is the one absolute, resolved path the other, or below it?"""
    if not resolved.startswith("/") or not base.startswith("/"):
        return False
    base = base.rstrip("/")
    return resolved.rstrip("/") == base or resolved.startswith(base + "/")


def shown(name: str) -> str:
    """A file name as text that any encoder takes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
