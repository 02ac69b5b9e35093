"""All that an image can say about a user and a group of this host (item 122 of the specification's checklist)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.core.user_database import Account, Conflict, with_group, with_user

WWW = Account("www", 1001, "web", 1002, "/mnt/mesos/sandbox")
LINE = b"www:x:1001:1002::/mnt/mesos/sandbox:/bin/sh\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (b"", b"web:x:1002:\n"),
        (b"root:x:0:\n", b"root:x:0:\nweb:x:1002:\n"),
        (b"root:x:0:", b"root:x:0:\nweb:x:1002:\n"),
        (b"web:x:1002:\n", None),
        (b"web:x:1002:a,b", None),
        (b"+:::\n#web:x:1:\nodd\nweb:x:words:\nweb:x:1002:\n", None),
        (b"\xff\xfe:x:7:\n", b"\xff\xfe:x:7:\nweb:x:1002:\n"),
        (b"+::0:\n", b"+::0:\nweb:x:1002:\n"),
    ],
)
def test_groups(text: bytes, after: bytes | None) -> None:
    assert with_group(text, WWW) == (text if after is None else after)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"web:x:7:\n", "group web has gid 7 in the image, 1002 on this host"),
        (b"staff:x:1002:\n", "gid 1002 is group staff in the image, web on this host"),
        (b"staff:x:1002:\nweb:x:1002:\n", "gid 1002 is group staff in the image, web on this host"),
        (b"web:x:7:\nweb:x:1002:\n", "group web has gid 7 in the image, 1002 on this host"),
        (b"\xff:x:1002:\n", r"gid 1002 is group \\xff in the image, web on this host"),
    ],
)
def test_groups_that_are_another(text: bytes, words: str) -> None:
    with pytest.raises(Conflict, match=f"^{words}$"):
        with_group(text, WWW)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (b"", LINE),
        (b"root:x:0:0:root:/root:/bin/sh", b"root:x:0:0:root:/root:/bin/sh\n" + LINE),
        (b"www:*:1001:1002:Web:/var/www:/bin/false\n", None),
        (b"www:x:1001\nwww:x:1001:words::/:\n", b"www:x:1001\nwww:x:1001:words::/:\n" + LINE),
        (b"www:x:1001:1002::/:\nwww2:x:1001:1002::/:\n", None),
    ],
)
def test_users(text: bytes, after: bytes | None) -> None:
    assert with_user(text, WWW) == (text if after is None else after)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"www:x:33:1002::/:\n", "user www has uid 33 in the image, 1001 on this host"),
        (b"www:x:1001:33::/:\n", "user www has the group 33 in the image, 1002 on this host"),
        (b"app:x:1001:1002::/:\n", "uid 1001 is user app in the image, www on this host"),
        (b"app:x:1001:1002::/:\nwww:x:1001:1002::/:\n", "uid 1001 is user app in the image, www on this host"),
        (b"www:x:33:1002::/:\napp:x:1001:1002::/:\n", "user www has uid 33 in the image, 1001 on this host"),
    ],
)
def test_users_that_are_another(text: bytes, words: str) -> None:
    with pytest.raises(Conflict, match=f"^{words}$"):
        with_user(text, WWW)


@pytest.mark.parametrize("name", ["", "a:b", "a\nroot2:x:0:0"])
def test_names_that_would_be_something_else(name: str) -> None:
    with pytest.raises(Conflict, match="can't stand in a file of users"):
        with_user(b"", Account(name, 1, "g", 1, "/"))
    with pytest.raises(Conflict, match="can't stand in a file of users"):
        with_user(b"", Account("u", 1, "g", 1, "/\n"))


@given(st.binary(max_size=200))
def test_what_is_there_stays_and_twice_is_once(text: bytes) -> None:
    try:
        after = with_user(text, WWW)
    except Conflict:
        return
    assert after.startswith(text) and with_user(after, WWW) == after


@given(st.lists(st.builds(lambda n, u: f"{n}:x:{u}:5::/:", st.sampled_from("abc"), st.integers(1, 3)), max_size=4))
def test_either_it_is_ours_both_ways_or_it_is_refused(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    try:
        after = with_user(text, Account("a", 1, "g", 5, "/")).decode()
    except Conflict:
        return
    entries = [line.split(":") for line in after.splitlines()]
    assert next(e[2] for e in entries if e[0] == "a") == "1"
    assert next(e[0] for e in entries if e[2] == "1") == "a"
