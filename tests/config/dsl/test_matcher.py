"""Patterns over unbound references, as binding helpers use them."""

from __future__ import annotations

import pytest

from config.dsl import Matcher, String
from config.dsl.matcher import Any

IMAGE = String("{{docker.image[web][3.1]}} {{docker.image[db][1]}} {{docker.other}} {{name}}")


def test_a_match_gives_the_components() -> None:
    matcher = Matcher("docker").image[Any][Any]
    assert sorted(matcher.match(IMAGE)) == [("docker", "image", "db", "1"), ("docker", "image", "web", "3.1")]


@pytest.mark.parametrize(
    ("matcher", "count"),
    [
        (Matcher("docker"), 3),
        (Matcher(Any), 4),
        (Matcher("doc"), 0),
        (Matcher("docker").image["w.*"], 1),
        (Matcher("docker").Any, 3),
        (Matcher("docker")._("o.*"), 1),
        (Matcher("docker").image.web, 0),
        (Matcher("docker").image[Any][Any][Any], 0),
    ],
    ids=repr,
)
def test_patterns(matcher: Matcher, count: int) -> None:
    assert len(list(matcher.match(IMAGE))) == count


def test_apply_binds_each_match_and_nothing_else() -> None:
    matcher = Matcher("docker").image[Any][Any]
    done = matcher.apply(lambda docker, image, name, tag: f"{name}@sha256:{tag}", IMAGE)
    assert str(done) == "web@sha256:3.1 db@sha256:1 {{docker.other}} {{name}}"
    with pytest.raises(TypeError, match="callable"):
        matcher.apply("x", IMAGE)  # type: ignore[arg-type]


def test_a_matcher_has_a_text_and_refuses_a_wrong_root() -> None:
    assert repr(Matcher("a").b[Any]) == "Match(.a+.b+[.*])"
    with pytest.raises(ValueError, match="Invalid root"):
        Matcher(1)
