"""Did you mean: slips of the finger are mended, far-off names are not offered."""

import pytest

from config.core.nearest import nearest, slips_between
from config.schema import Job, Process, Resources

FIELDS = {kind: tuple(kind.TYPEMAP) for kind in (Job, Process, Resources)}


@pytest.mark.parametrize(
    ("kind", "word", "meant"),
    [
        (Process, "cmdlnie", "cmdline"),
        (Process, "comandline", "cmdline"),
        (Process, "cmd", "cmdline"),
        (Process, "Name", "name"),
        (Process, "maxFailures", "max_failures"),
        (Process, "deamon", "daemon"),
        (Job, "env", "environment"),
        (Job, "instance", "instances"),
        (Job, "healthcheck", "health_check_config"),
        (Resources, "rma", "ram"),
        (Resources, "cup", "cpu"),
        (Resources, "disks", "disk"),
        (Process, "command", None),
        (Process, "port", None),
        (Process, "user", None),
        (Process, "n", None),
        (Job, "port", None),
        (Job, "proceses", None),
        (Job, "bogus", None),
        (Resources, "memory", None),
        (Resources, "task", None),
        (Resources, "", None),
    ],
)
def test_what_was_meant(kind: type, word: str, meant: str | None) -> None:
    assert nearest(word, FIELDS[kind]) == meant


def test_the_nearest_of_several_is_offered_and_the_first_of_equals() -> None:
    assert nearest("webservr", ["webserver2", "webserver", "webserv"]) == "webserver"
    assert nearest("web3", ["web1", "web2"]) == "web1"


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [("", "", 0), ("ab", "ba", 1), ("abc", "abd", 1), ("abc", "ab", 1), ("kitten", "sitting", 3), ("a", "xyz", 3)],
)
def test_slips_are_counted_alike_from_both_sides(one: str, other: str, slips: int) -> None:
    assert slips_between(one, other, 9) == slips_between(other, one, 9) == slips


def test_words_that_differ_too_much_in_length_are_not_compared() -> None:
    assert slips_between("a" * 1000, "b", 2) == 3
