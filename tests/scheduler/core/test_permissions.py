"""Who may do what: the file, and what a permission allows."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.model import JobKey
from scheduler.core.permissions import ADMIN, SCHEDULER, Call, Permission, parse_permission, parse_users
from thermos.errors import ConfigError

WEB = JobKey(role="www", environment="prod", name="web")


def call(name: str = "killTasks", job: JobKey | None = WEB, service: str = SCHEDULER) -> Call:
    return Call(service, name, job)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("*", True),
        ("*:*", True),
        ("*:*:*:*:*", True),
        ("*:*:*:*:*:*", True),
        ("thrift.AuroraSchedulerManager", True),
        ("thrift.AuroraSchedulerManager:*", True),
        ("thrift.AuroraSchedulerManager:*:www", True),
        ("thrift.AuroraSchedulerManager:killTasks", True),
        ("thrift.auroraschedulermanager:KILLTASKS:www", True),
        ("thrift.AuroraSchedulerManager:createJob,killTasks", True),
        ("thrift.AuroraSchedulerManager:createJob, killTasks : ads, www", True),
        ("thrift.AuroraSchedulerManager:killTasks:www:prod:web", True),
        ("thrift.AuroraSchedulerManager:killTasks:*:prod", True),
        ("thrift.AuroraSchedulerManager:killTasks:www:*:web", True),
        ("thrift.AuroraSchedulerManager:killTasks:www:prod,test:*", True),
        ("thrift.AuroraSchedulerManager:killTasks:www:prod:web:*", True),
        ("thrift.AuroraSchedulerManager:killTasks:www:prod:web:more", False),
        ("thrift.AuroraSchedulerManager:createJob", False),
        ("thrift.AuroraSchedulerManager:killTasks:WWW", False),
        ("thrift.AuroraSchedulerManager:killTasks:ww", False),
        ("thrift.AuroraSchedulerManager:killTasks:www:test", False),
        ("thrift.AuroraSchedulerManager:killTasks:www:prod:db", False),
        ("thrift.AuroraAdmin:*", False),
        ("thrift.AuroraAdmin", False),
        ("killTasks", False),
    ],
)
def test_what_a_permission_allows(text: str, allowed: bool) -> None:
    assert parse_permission(text).allows(call()) is allowed


def test_a_call_without_a_job() -> None:
    quota = Call(ADMIN, "setQuota")
    assert parse_permission("thrift.AuroraAdmin:setQuota").allows(quota)
    assert parse_permission("thrift.AuroraAdmin:setQuota:*").allows(quota)
    assert not parse_permission("thrift.AuroraAdmin:setQuota:www").allows(quota)
    assert str(quota) == "thrift.AuroraAdmin:setQuota"
    assert str(call()) == "thrift.AuroraSchedulerManager:killTasks:www:prod:web"


def test_the_words_of_a_call_mean_nothing_but_themselves() -> None:
    odd = JobKey(role="*", environment="a,b", name="x:y")
    assert not parse_permission("thrift.AuroraSchedulerManager:*:www").allows(call(job=odd))
    assert not parse_permission("thrift.AuroraSchedulerManager:*:*:a,b").allows(call(job=odd))
    assert parse_permission("thrift.AuroraSchedulerManager").allows(call(job=odd))


_word = st.sampled_from(["a", "b", "c"])
_part = st.lists(_word, min_size=1, max_size=3).map(",".join) | st.just("*")


@given(st.lists(_part, min_size=1, max_size=6), st.lists(_word, min_size=5, max_size=5))
def test_permissions_as_shiro_means_them(parts: list[str], words: list[str]) -> None:
    """Against the definition, written down a second time: every part that is there has the word, or is a star."""
    wanted = Call(words[0], words[1], JobKey(role=words[2], environment=words[3], name=words[4]))
    expected = all(
        "*" in part.split(",") or (index < 5 and words[index] in part.split(",")) for index, part in enumerate(parts)
    )
    assert parse_permission(":".join(parts)).allows(wanted) is expected


FILE = """
# people
[users]
wickman = secret, admin
ops = p:w=1, ops , webteam
quoted = "a, b", webteam
nobody = x
; roles
[roles]
admin = *
ops = thrift.AuroraAdmin:setQuota, "thrift.AuroraSchedulerManager:createJob,killTasks:www"
webteam = thrift.AuroraSchedulerManager:*:webapp
none =
"""


def test_the_file() -> None:
    users = parse_users(FILE, "security.ini")
    assert {name: user.roles for name, user in users.by_name.items()} == {
        "wickman": ("admin",),
        "ops": ("ops", "webteam"),
        "quoted": ("webteam",),
        "nobody": (),
    }
    assert users.by_name["quoted"].password == "a, b"
    assert users.by_name["ops"].password == "p:w=1"
    assert "secret" not in repr(users)
    assert users.roles["none"] == ()
    app = JobKey(role="webapp", environment="prod", name="x")
    allowed = {
        (user, name, job)
        for user, name, job in product([*users.by_name, "stranger"], ["killTasks", "restartShards"], [WEB, app])
        if users.may(user, call(name, job))
    }
    assert allowed == {
        ("wickman", "killTasks", WEB), ("wickman", "killTasks", app), ("wickman", "restartShards", WEB),
        ("wickman", "restartShards", app), ("ops", "killTasks", WEB), ("ops", "killTasks", app),
        ("ops", "restartShards", app), ("quoted", "killTasks", app), ("quoted", "restartShards", app),
    }  # fmt: skip


def test_roles_that_nobody_describes() -> None:
    assert parse_users("[users]\na = x, one, two\n[roles]\none = *", "f").unknown_roles == ["two"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot use f: it has no users"),
        ("[roles]\na = *", "it has no users"),
        ("a = b", "line 1: it stands before"),
        ("[main]\na = b", "line 1: [users] and [roles] are all"),
        ("[users]\na", "line 2: it has to be `name = value"),
        ("[users]\n= x", "line 2: it has to be"),
        ("[users]\na =", "line 2: the user a has no password"),
        ("[users]\na = x\na = y", "line 3: the user a is there twice"),
        ("[users]\na:b = x", "line 2: the user a:b can't log in"),
        ("[users]\na = x\n[roles]\nr = a::b", "line 4: the permission 'a::b' has an empty part"),
        ("[users]\na = x\n[roles]\nr = a, , b", "line 4: a permission is empty"),
        ("[users]\na = x\n[roles]\nr = *\nr = *", "line 5: the role r is there twice"),
        ('[users]\na = "x', "line 2: a quote is not closed"),
    ],
)
def test_a_file_that_can_not_be_used(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_users(text, "f")
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_a_permission_is_data() -> None:
    assert parse_permission("A:b,C:d") == Permission((frozenset("a"), frozenset("bc"), frozenset("d")))
