"""Log lines to markup: colours become classes, and nothing a task writes becomes markup."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from web.core.ansi import (
    GROUND,
    MAX_LINE,
    PLAIN,
    Look,
    ansi_css,
    apply_sgr,
    contrast,
    nearest,
    plain,
    render_line,
    spans,
    visible,
)

RED = "\x1b[31m"


def html(line: str, query: str = "") -> str:
    return str(render_line(line, PLAIN, query).markup)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m not", '<span class="f1">red</span> not'),
        ("\x1b[1;32mok\x1b[m", '<span class="f2 a-bold">ok</span>'),
        ("\x1b[97;44mx", '<span class="f15 b4">x</span>'),
        ("\x1b[38;5;208mx", '<span class="f208">x</span>'),
        ("\x1b[48;5;17mx", '<span class="b17">x</span>'),
        ("\x1b[38;2;255;0;0mx", '<span class="f196">x</span>'),
        ("\x1b[38:2:255:0:0mx", '<span class="f196">x</span>'),
        ("\x1b[7mx", '<span class="fi bi">x</span>'),
        ("\x1b[31;7mx", '<span class="fi b1">x</span>'),
        ("\x1b[3;4;9;2mx", '<span class="a-dim a-italic a-underline a-strike">x</span>'),
        ("\x1b[31m\x1b[39mx", "x"),
        ("\x1b[31ma\x1b[31mb", '<span class="f1">ab</span>'),
        ("\x1b[999;12345678mx", "x"),
        ("\x1b[2K\x1b[1;1Hx", "x"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bx\x1b=y", "xy"),
        ("x\x1b", "x"),
        ("x\x1b[", "x"),
        ("a\tb", "a\tb"),
        ("a\x00b\x07", "a␀b␇"),
        ("\x9b31mx", "⟨009B⟩31mx"),
        ("abc\u202egnp.exe", "abc⟨202E⟩gnp.exe"),
        ("<b>&\"'", "&lt;b&gt;&amp;&#34;&#39;"),
    ],
)
def test_a_line_as_markup(line: str, wanted: str) -> None:
    assert html(line) == wanted


def test_a_colour_goes_on_in_the_next_line() -> None:
    first = render_line("\x1b[31mred")
    assert first.look == Look(fg=1)
    assert str(render_line("still", first.look).markup) == '<span class="f1">still</span>'


def test_only_what_follows_the_last_carriage_return_is_shown() -> None:
    shown = render_line("10%\r20%\r100%")
    assert (str(shown.markup), shown.overwritten) == ("100%", 2)
    assert str(render_line("dos line\r").markup) == "dos line"


def test_a_long_line_is_cut_and_says_so() -> None:
    shown = render_line("x" * (MAX_LINE + 5))
    assert (len(shown.markup), shown.cut) == (MAX_LINE, 5)


def test_many_colours_in_a_line_stay_small() -> None:
    assert html("\x1b[31mx\x1b[32my" * 900).count("<span") <= 1000


@pytest.mark.parametrize(
    ("line", "query", "wanted"),
    [
        ("say Hello hello", "hello", "say <mark>Hello</mark> <mark>hello</mark>"),
        ("\x1b[31mhe\x1b[0mllo", "hello", '<span class="f1"><mark>he</mark></span><mark>llo</mark>'),
        ("aXbX", "x", "a<mark>X</mark>b<mark>X</mark>"),
        ("XX", "x", "<mark>X</mark><mark>X</mark>"),
        ("a.c abc", "a.c", "<mark>a.c</mark> abc"),
        ("<i>", "<i>", "<mark>&lt;i&gt;</mark>"),
        ("nothing", "", "nothing"),
    ],
)
def test_what_was_searched_is_marked(line: str, query: str, wanted: str) -> None:
    assert html(line, query) == wanted


HOSTILE = st.text(
    st.sampled_from("<>&\"'/\x1b[]0123456789;:mKHJ\x07\\\r\tabc\x00\x9b\u202e\u2066=()") | st.characters(codec="utf-8"),
    max_size=120,
)
_TAG = re.compile(r'<span class="(?:(?:[fb](?:\d{1,3}|i)|a-[a-z]+) ?)+">|</span>|<mark>|</mark>')


@given(HOSTILE, st.text("<>abc\x1b[", max_size=4))
@example("\x1b[31m<script>\x1b[0m", "script")
@settings(max_examples=500, deadline=None)
def test_no_line_becomes_markup(line: str, query: str) -> None:
    markup = html(line, query)
    rest = _TAG.sub("", markup)
    assert "<" not in rest and ">" not in rest and '"' not in rest
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", markup)
    assert markup.count("<span") == markup.count("</span>")
    shown = line.rstrip("\r").split("\r")[-1]
    assert rest == str(escape(plain(shown))), "marking and colours change no text"


@given(HOSTILE)
@settings(deadline=None)
def test_pieces_are_never_empty(line: str) -> None:
    pieces, _ = spans(line)
    assert all(text for _, text in pieces)


@given(st.text("0123456789;:", max_size=60))
def test_any_sgr_gives_a_look_with_known_classes(parameters: str) -> None:
    look = apply_sgr(PLAIN, parameters)
    assert look.fg is None or 0 <= look.fg < 256
    assert look.bg is None or 0 <= look.bg < 256


def test_hostile_sequences_take_linear_time() -> None:
    for line in ("\x1b]" * 200_000, "\x1b[" + "1;" * 400_000, "\x1b[31m" * 100_000, "\r" * 400_000):
        assert len(html(line)) < 20_000


def test_the_stylesheet_has_every_class_and_each_can_be_read() -> None:
    css = ansi_css()
    colours = dict(re.findall(r"\.f(\d+)\{color:#([0-9a-f]{6})\}", css))
    assert sorted(map(int, colours)) == list(range(256))
    assert css.count("{background:") == 256
    for number, colour in colours.items():
        rgb = tuple(bytes.fromhex(colour))
        assert contrast(rgb, GROUND) >= 4.5, f"colour {number} (#{colour})"


def test_true_colours_take_the_nearest() -> None:
    assert (nearest(0, 0, 0), nearest(255, 255, 255), nearest(250, 130, 5)) == (16, 231, 208)


def test_names_are_made_visible() -> None:
    assert visible("a\u202eb\x1b[31m\n") == "a⟨202E⟩b␛[31m␊"
