"""Numbers, times and addresses as templates show them; the static files; the template environment."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermos.errors import Bug
from web import assets, format
from web.core.words import cores_words, count_words, duration_words, nice_step, size_words, time_step
from web.pages import make_environment


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1023.96 * 1024, "1 MiB"),
        (150 * 2**20, "150 MiB"), (2**40, "1 TiB"), (2**60, "1024 PiB"),
    ],
)  # fmt: skip
def test_sizes(size: float, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"), (-5, "0 ms"), (0.0504, "50 ms"), (3.27, "3.3 s"), (5, "5 s"), (59.6, "1 min"), (61, "1 min 1 s"),
        (3600, "1 h"), (3700, "1 h 1 min"), (90000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_cores_and_counts() -> None:
    assert [cores_words(c) for c in (0, 0.034, 0.999, 1.5, 12.3)] == ["0.00", "0.03", "1", "1.5", "12"]
    assert [count_words(n, "process", "processes") for n in (0, 1, 1234)] == [
        "0 processes",
        "1 process",
        "1,234 processes",
    ]


@given(st.floats(1e-3, 1e12), st.integers(1, 12))
def test_a_step_is_round_and_fits(span: float, parts: int) -> None:
    step = nice_step(span, parts)
    assert 0.3 * parts <= span / step <= parts * 1.01
    assert re.fullmatch(r"(1|2|5)e[+-]\d+", f"{step:.0e}")


def test_a_span_of_nothing_has_no_step() -> None:
    with pytest.raises(Bug, match="cannot divide"):
        nice_step(0, 3)


@pytest.mark.parametrize(("span", "step"), [(8, 1.0), (100, 15.0), (7200, 900.0), (86400 * 100, 86400 * 20)])
def test_steps_of_clocks(span: float, step: float) -> None:
    assert time_step(span, 8) == step


def test_times() -> None:
    assert format.clock(0) == '<span class="none">–</span>'
    assert format.clock(1.5, "ms") == ('<time datetime="1970-01-01T00:00:01.500Z">1970-01-01 00:00:01.500</time>')
    assert format.ago(100, 225) == '<time datetime="1970-01-01T00:01:40.000Z" data-since="100.000">2 min</time>'
    assert [format.age_words(s) for s in (-1, 59.9, 61, 7300, 200000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]


@pytest.mark.parametrize("at", [-1e300, -1.0, 1e20, 1e300])
def test_a_forged_time_breaks_nothing(at: float) -> None:
    assert "<time" in format.clock(at)


def test_addresses() -> None:
    assert format.segment("a/b ?#<") == "a%2Fb%20%3F%23%3C"
    assert format.web_url("http://h:1/") == "http://h:1/"
    assert format.web_url("javascript:alert(1)") == "#"
    assert format.shown("a\x1b[31m\nb\u202e\t") == "a␛[31m\nb⟨202E⟩\t"


def test_static_files_have_an_address_that_changes_with_them() -> None:
    for name in ("style.css", "live.js", "ansi.css", "favicon.svg"):
        asset = assets.ASSETS[name]
        assert assets.url(name) == f"/assets/{name}?v={asset.version}"
        assert asset.body and asset.content_type
    assert assets.ASSETS["live.js"].content_type == "text/javascript"


def test_static_files_fetch_nothing_from_elsewhere() -> None:
    for asset in assets.ASSETS.values():
        text = asset.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|url\(", text), asset.name
        assert "innerHTML" not in text and "eval(" not in text and "document.write" not in text


def test_every_template_escapes_and_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.html").write_text("{{ value }}")
    (tmp_path / "t.txt").write_text("{{ value }}")
    environment = make_environment(tmp_path)
    for name in ("t.html", "t.txt"):
        assert environment.get_template(name).render(value="<b>") == "&lt;b&gt;"
        with pytest.raises(jinja2.UndefinedError):
            environment.get_template(name).render()
