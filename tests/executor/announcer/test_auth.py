"""The authentication config: strict, and one line for what is wrong (spec/thermos.md §4.6)."""

from __future__ import annotations

import pytest

from executor.announcer_auth import Access, AnnouncerAuth, Credential, Permissions, parse_announcer_auth
from thermos.errors import UserError

GOOD = """
{"auth": [{"scheme": "digest", "credential": "me:secret"}],
 "acl": [{"scheme": "digest", "credential": "me:secret", "permissions": {"read": true, "write": true, "create": true,
          "delete": true, "admin": true}},
         {"scheme": "world", "credential": "anyone", "permissions": {"read": true}}]}
"""


def test_a_good_config() -> None:
    """Spec §6.2 item 119: ACL and auth parsing."""
    auth = parse_announcer_auth(GOOD, "/etc/auth.json")
    assert auth.auth == (Credential("digest", "me:secret"),)
    assert auth.acl == (
        Access("digest", "me:secret", Permissions(True, True, True, True, True)),
        Access("world", "anyone", Permissions(read=True)),
    )


@pytest.mark.parametrize("text", ["{}", '{"auth": []}', '{"acl": []}', '{"auth": [], "acl": []}'])
def test_nothing_is_open_to_the_world(text: str) -> None:
    assert parse_announcer_auth(text, "x") == AnnouncerAuth()


def test_a_permission_that_is_not_named_is_not_given() -> None:
    auth = parse_announcer_auth('{"acl": [{"scheme": "world", "credential": "anyone"}]}', "x")
    assert auth.acl[0].permissions == Permissions()


#: The six of spec §6.2 item 119, then some more.
BAD = {
    "no JSON": ("{", "truncated"),
    "an unknown key": ('{"auths": []}', "unknown field `auths`"),
    "an unknown key within": (
        '{"auth": [{"scheme": "digest", "credential": "SECRET", "user": "u"}]}', "unknown field `user`",
    ),
    "a missing credential": ('{"auth": [{"scheme": "digest"}]}', "missing required field `credential`"),
    "a permission that is none": (
        '{"acl": [{"scheme": "world", "credential": "SECRET", "permissions": {"reed": true}}]}', "unknown field `reed`",
    ),
    "a digest without a password": ('{"acl": [{"scheme": "digest", "credential": "SECRET"}]}', "user:password"),
    "a word for a truth": (
        '{"acl": [{"scheme": "world", "credential": "SECRET", "permissions": {"read": "yes"}}]}', "Expected `bool`",
    ),
    "no list": ('{"auth": {"scheme": "digest", "credential": "SECRET"}}', "Expected `array`"),
    "no object": ("[]", "Expected `object`"),
    "nothing": ("", "truncated"),
    "an empty scheme": ('{"auth": [{"scheme": "", "credential": "SECRET"}]}', "scheme is empty"),
    "sasl": ('{"auth": [{"scheme": "sasl", "credential": "u:SECRET"}]}', "sasl is not supported"),
    "a digest without a user": ('{"acl": [{"scheme": "digest", "credential": ":SECRET"}]}', "user:password"),
    "too deep": ("[" * 100_000, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_config_is_one_line_without_secrets(name: str) -> None:
    """Spec §6.2 item 119: strict validation."""
    text, words = BAD[name]
    with pytest.raises(UserError) as caught:
        parse_announcer_auth(text, "/etc/auth.json")
    line = str(caught.value)
    assert line.startswith("cannot use /etc/auth.json as ZooKeeper authentication config: ")
    assert words in line
    assert "SECRET" not in line
    assert "\n" not in line


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(UserError):
        parse_announcer_auth(b'{"auth": [{"scheme": "\xff", "credential": "x"}]}', "x")


def test_no_repr_shows_a_secret() -> None:
    assert "secret" not in repr(parse_announcer_auth(GOOD, "x"))
