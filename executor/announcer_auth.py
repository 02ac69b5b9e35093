"""Whom an announcer talks to, as whom, and who may touch its node: `--announcer-zookeeper-auth-config`.

    {"auth": [{"scheme": "digest", "credential": "user:password"}],
     "acl": [{"scheme": "digest", "credential": "user:password", "permissions": {"read": true, "create": true, …}},
             {"scheme": "world", "credential": "anyone", "permissions": {"read": true}}]}

Both lists may be missing; a permission that is not named is not given; without `acl` a node is open to everybody. The
ACL is also that of parents made on the way. Anything unknown in the file is refused: a misspelt `"permisions"` would
otherwise be a node that nobody can touch, or everybody. Texts of errors never show a credential.
"""

from __future__ import annotations

import msgspec

from thermos.errors import UserError


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `addauth`."""

    scheme: str
    credential: str

    def __repr__(self) -> str:
        return f"Credential({self.scheme}:…)"


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    read: bool = False
    write: bool = False
    create: bool = False
    delete: bool = False
    admin: bool = False


class Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the ACL. A digest credential is `user:password` here; ZooKeeper gets its hash."""

    scheme: str
    credential: str
    permissions: Permissions = Permissions()

    def __repr__(self) -> str:
        return f"Access({self.scheme}:…, {self.permissions})"


class AnnouncerAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    auth: tuple[Credential, ...] = ()
    acl: tuple[Access, ...] = ()


class ZooKeeperOptions(msgspec.Struct, frozen=True):
    """`ensemble` as `check_ensemble` gave it. The server may grant another session timeout."""

    ensemble: str
    auth: AnnouncerAuth | None = None
    session_timeout_s: float = 10.0
    reconnect_max_s: float = 5.0  # the longest pause between two attempts to connect


def parse_announcer_auth(text: str | bytes, path: str) -> AnnouncerAuth:
    """The content of the file at `path`. Raises UserError with one line."""
    try:
        auth = msgspec.json.decode(text, type=AnnouncerAuth)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot use {path} as ZooKeeper authentication config: {reason}") from None
    refusal = _refusal(auth)
    if refusal is not None:
        raise UserError(f"cannot use {path} as ZooKeeper authentication config: {refusal}")
    return auth


def _refusal(auth: AnnouncerAuth) -> str | None:
    lists: tuple[tuple[str, tuple[Credential | Access, ...]], ...] = (("auth", auth.auth), ("acl", auth.acl))
    for name, entries in lists:
        for i, entry in enumerate(entries):
            if not entry.scheme:
                return f"the scheme is empty - at `$.{name}[{i}].scheme`"
            if entry.scheme == "sasl":
                return f"the scheme sasl is not supported, use digest - at `$.{name}[{i}].scheme`"
    for i, access in enumerate(auth.acl):
        user, colon, _ = access.credential.partition(":")
        if access.scheme == "digest" and not (user and colon):
            return f"a digest credential is user:password - at `$.acl[{i}].credential`"
    return None
