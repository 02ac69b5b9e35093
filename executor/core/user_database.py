"""The user and group files of an image, with a user and a group of this host added.

As groupadd and useradd would do it, but nothing of the image is run: it needs no such programs, and has no say. What is
there already must be the same in both directions, name to number and number to name (the first entry counts, as for
everybody who looks them up); another user under our name, or our number under another name, would have processes act
as somebody else.

Source: spec/thermos.md §4.4.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

SHELL = "/bin/sh"


class Conflict(ValueError):
    """The image has the name or the number for something else; the text says what."""


class Account(Struct, frozen=True):
    """A user as this host knows it. `home` is where the image has it."""

    user: str
    uid: int
    group: str
    gid: int
    home: str


class _Entry(Struct, frozen=True):
    name: bytes
    number: int
    gid: int | None


def with_group(text: bytes, account: Account) -> bytes:
    """What /etc/group shall hold; the same when the group is there. Raises Conflict."""
    return _with(text, "group", "gid", account.group, account.gid, None, f"{account.group}:x:{account.gid}:")


def with_user(text: bytes, account: Account) -> bytes:
    """What /etc/passwd shall hold; the same when the user is there. Raises Conflict."""
    line = f"{account.user}:x:{account.uid}:{account.gid}::{account.home}:{SHELL}"
    return _with(text, "user", "uid", account.user, account.uid, account.gid, line)


def _with(text: bytes, kind: str, number_is: str, name: str, number: int, gid: int | None, line: str) -> bytes:
    if any(ord(letter) < 32 for letter in line) or ":" in name or not name:
        raise Conflict(f"{kind} {name!r} has a name that can't stand in a file of users")
    by_name = by_number = None
    for entry in _entries(text, with_gid=gid is not None):
        if by_name is None and entry.name == name.encode():
            by_name = entry
        if by_number is None and entry.number == number:
            by_number = entry
    if by_name is not None and by_name.number != number:
        raise Conflict(f"{kind} {name} has {number_is} {by_name.number} in the image, {number} on this host")
    if by_number is not None and by_number.name != name.encode():
        there = by_number.name.decode("utf-8", "backslashreplace")
        raise Conflict(f"{number_is} {number} is {kind} {there} in the image, {name} on this host")
    if by_name is not None:
        if by_name.gid != gid:
            raise Conflict(f"{kind} {name} has the group {by_name.gid} in the image, {gid} on this host")
        return text
    return text + (b"\n" if text and not text.endswith(b"\n") else b"") + line.encode() + b"\n"


def _entries(text: bytes, with_gid: bool) -> Iterator[_Entry]:
    """What can't be an entry (comments, leftovers of NIS, damage) is passed over, as by everybody."""
    for line in text.split(b"\n"):
        fields = line.split(b":")
        if len(fields) < 4 or line[:1] in (b"+", b"-", b"#") or not fields[2].isdigit():
            continue
        if with_gid and not fields[3].isdigit():
            continue
        yield _Entry(fields[0], int(fields[2]), int(fields[3]) if with_gid else None)
