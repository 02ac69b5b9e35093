"""Users as numbers: resolved here once, so that the coordinator needs no library."""

from __future__ import annotations

import os
import pwd

from msgspec import Struct

from thermos.errors import HostError, UserError


class Identity(Struct, frozen=True):
    """A user as the kernel and the environment know it."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class UnknownUser(UserError):
    """No such user on this host."""


def resolve_user(name: str) -> Identity:
    """Raises UnknownUser."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise UnknownUser(f"unknown user {name!r} on this host; create it or choose another with --user") from error
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir)


def current_user() -> Identity:
    """Whoever runs us; a uid without a passwd entry gets its number as name."""
    uid = os.geteuid()
    try:
        return resolve_user(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return Identity(str(uid), uid, os.getegid(), tuple(os.getgroups()), os.environ.get("HOME", "/"))


def check_may_become(user: Identity) -> None:
    """Raises HostError when we may not run processes as `user`."""
    if user.uid != os.geteuid() and os.geteuid() != 0:
        raise HostError(f"cannot run as user {user.name}: only root may run processes as other users")
