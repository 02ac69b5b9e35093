"""Who may do what: users with roles, roles with permissions, in the original's file and words (Apache Shiro's).

    [users]
    wickman = secret, admin            # name = password, role, role …
    webuser = $scrypt$…, webteam

    [roles]
    admin   = *
    webteam = thrift.AuroraSchedulerManager:*:webapp, thrift.AuroraAdmin:setQuota

A permission has parts between colons: service, call, and for calls about a job its role, environment and name. A part
is a word, several words between commas, or `*`; parts that are not written mean anything. As in Shiro, a comma between
permissions separates them; one inside of a permission needs quotes around it: `"thrift.AuroraAdmin:setQuota,snapshot"`.

Services and calls are compared whatever the case, as Shiro does; names of roles, environments and jobs exactly, as
everywhere else here (Shiro did not tell `www` from `WWW`).

Source: spec/scheduler.md §9.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scheduler.core.model import JobKey
from thermos.errors import ConfigError

SCHEDULER, ADMIN = "thrift.AuroraSchedulerManager", "thrift.AuroraAdmin"

_ANY = "*"
_FOLDED = 2  # leading parts that are compared whatever the case


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody wants to do. Its words are never taken apart: a job called `*` is that job and no other."""

    service: str
    name: str
    job: JobKey | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        of_job = () if self.job is None else (self.job.role, self.job.environment, self.job.name)
        return (self.service, self.name, *of_job)

    def __str__(self) -> str:
        """As it is written in the file to permit just this."""
        return ":".join(self.parts)


@dataclass(frozen=True, slots=True)
class Permission:
    """For each part the words that it allows; empty: any."""

    parts: tuple[frozenset[str], ...]

    def allows(self, call: Call) -> bool:
        wanted = call.parts
        for index, words in enumerate(self.parts):
            if not words:
                continue
            if index >= len(wanted):
                return False  # it speaks of less than the call does
            word = wanted[index].lower() if index < _FOLDED else wanted[index]
            if word not in words:
                return False
        return True


@dataclass(frozen=True, slots=True)
class User:
    name: str
    password: str
    roles: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the password."""
        return f"User({self.name!r}, {self.roles!r})"


@dataclass(frozen=True, slots=True)
class Users:
    by_name: Mapping[str, User] = field(default_factory=dict)
    roles: Mapping[str, tuple[Permission, ...]] = field(default_factory=dict)

    def may(self, name: str, call: Call) -> bool:
        user = self.by_name.get(name)
        if user is None:
            return False
        return any(permission.allows(call) for role in user.roles for permission in self.roles.get(role, ()))

    @property
    def unknown_roles(self) -> list[str]:
        """Roles that users have and nobody describes."""
        return sorted({role for user in self.by_name.values() for role in user.roles} - set(self.roles))


def parse_permission(text: str) -> Permission:
    """Raises ConfigError."""
    if not text.strip():
        raise ConfigError("a permission is empty")
    parts = []
    for index, part in enumerate(text.strip().split(":")):
        words = frozenset(word.strip() for word in part.split(","))
        if "" in words:
            raise ConfigError(f"the permission {text.strip()!r} has an empty part; write * for anything")
        if index < _FOLDED:
            words = frozenset(word.lower() for word in words)
        parts.append(frozenset() if _ANY in words else words)
    return Permission(tuple(parts))


def parse_users(text: str, where: str) -> Users:
    """Of the file's text; `where` is its name, for messages. Raises ConfigError with the line's number."""
    users: dict[str, User] = {}
    roles: dict[str, tuple[Permission, ...]] = {}
    for number, section, name, value in _lines(text, where):
        try:
            if section == "users":
                users[name] = _user(name, value, users)
            else:
                if name in roles:
                    raise ConfigError(f"the role {name} is there twice")
                roles[name] = tuple(parse_permission(each) for each in _split(value) if value)
        except ConfigError as error:
            raise ConfigError(f"cannot use {where}, line {number}: {error}") from None
    if not users:
        raise ConfigError(f"cannot use {where}: it has no users")
    return Users(users, roles)


def _user(name: str, value: str, known: Mapping[str, User]) -> User:
    if name in known:
        raise ConfigError(f"the user {name} is there twice")
    password, *roles = _split(value)
    if not password:
        raise ConfigError(f"the user {name} has no password")
    if ":" in name:
        raise ConfigError(f"the user {name} can't log in: basic authentication has no names with a colon")
    return User(name, password, tuple(role for role in roles if role))


def _lines(text: str, where: str) -> Iterator[tuple[int, str, str, str]]:
    """(line, section, name, value) of everything in the two sections."""
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            section = line[1:-1].strip()
            if section not in ("users", "roles"):
                raise ConfigError(f"cannot use {where}, line {number}: [users] and [roles] are all there may be")
            continue
        if not section:
            raise ConfigError(f"cannot use {where}, line {number}: it stands before [users] and [roles]")
        name, is_pair, value = line.partition("=")
        if not is_pair or not name.strip():
            raise ConfigError(f"cannot use {where}, line {number}: it has to be `name = value, value`")
        yield number, section, name.strip(), value.strip()


def _split(value: str) -> list[str]:
    """At commas that are not inside of quotes; the quotes go. Raises ConfigError."""
    found, word, is_quoted = [], "", False
    for char in value:
        if char == '"':
            is_quoted = not is_quoted
        elif char == "," and not is_quoted:
            found.append(word.strip())
            word = ""
        else:
            word += char
    if is_quoted:
        raise ConfigError("a quote is not closed")
    return [*found, word.strip()]
