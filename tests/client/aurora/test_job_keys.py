"""Keys as people write them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.job_keys import (
    Chosen,
    ClusterJobKey,
    PartialKey,
    instance_ranges,
    parse_chosen,
    parse_instances,
    parse_job_key,
    parse_one_instance,
    parse_partial,
)
from thermos.errors import UserError

#: However busy the machine is.
PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WEB = ClusterJobKey("rz1", "www", "prod", "web")


def test_keys() -> None:
    assert parse_job_key("rz1/www/prod/web") == WEB
    assert (str(WEB), WEB.path) == ("rz1/www/prod/web", "www/prod/web")
    assert parse_chosen("rz1/www/prod/web") == Chosen(WEB, None)
    assert parse_chosen("rz1/www/prod/web/0-2,5") == Chosen(WEB, (0, 1, 2, 5))
    assert parse_one_instance("rz1/www/prod/web/3") == (WEB, 3)


@pytest.mark.parametrize(
    ("text", "key", "exact"),
    [
        ("rz1", PartialKey("rz1"), None),
        ("rz1/www", PartialKey("rz1", "www"), None),
        ("rz1/*/prod/web-[ab]?", PartialKey("rz1", "*", "prod", "web-[ab]?"), None),
        ("rz1/www/prod/web", PartialKey("rz1", "www", "prod", "web"), WEB),
    ],
)
def test_partial_keys(text: str, key: PartialKey, exact: ClusterJobKey | None) -> None:
    assert parse_partial(text) == key
    assert str(key) == text
    assert key.exact == exact


@pytest.mark.parametrize(
    ("parse", "text", "words"),
    [
        (parse_job_key, "", "bad job key '': write CLUSTER/ROLE/ENV/NAME"),
        (parse_job_key, "www/prod/web", "the cluster is missing"),
        (parse_job_key, "rz1/www/prod/web/0", "without instances"),
        (parse_job_key, "rz1//prod/web", "a part is empty"),
        (parse_job_key, "rz1/www/prod/w b", "'w b' is no name"),
        (parse_job_key, "rz1/www/prod/wéb", "'wéb' is no name"),
        (parse_job_key, "rz1/www/prod/*", "'*' is no name"),
        (parse_chosen, "rz1/www/prod/web/", "bad instances ''"),
        (parse_chosen, "rz1/www/prod/web/0/1", "bad job key"),
        (parse_chosen, "rz1/www/prod/web/x", "bad instances 'x'"),
        (parse_chosen, "rz1/www/prod/web/-1", "bad instances '-1'"),
        (parse_chosen, "rz1/www/prod/web/3-1", "3-1 ends before it begins"),
        (parse_chosen, "rz1/www/prod/web/0-999999999", "0-999999999 are too many"),
        (parse_one_instance, "rz1/www/prod/web", "bad instance"),
        (parse_one_instance, "rz1/www/prod/web/0-1", "bad instance"),
        (parse_partial, "*/www", "'*' is no name"),
        (parse_partial, "rz1/a/b/c/0", "bad key"),
        (parse_partial, "rz1/", "a part is empty"),
    ],
)
def test_bad_keys_are_named(parse: object, text: str, words: str) -> None:
    assert callable(parse)
    with pytest.raises(UserError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@PATIENT
@given(st.sets(st.integers(0, 300)))
def test_ranges_are_read_back(instances: set[int]) -> None:
    text = instance_ranges(instances)
    if instances:
        assert parse_instances(text) == tuple(sorted(instances))
    else:
        assert text == ""
