"""What a task wrote to its log, as safe markup: colours become classes, everything else is text.

Only SGR sequences (colours, bold, …) mean something; cursor movements, titles, links and all other escape sequences
vanish. Control and bidirectional characters are made visible, so no line can dress up as another. No byte of a log
ends up as markup: text is escaped, classes come from tables here. 256 colours are classes too (`ansi_css`), because
the pages allow no inline style; true colours take the nearest of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

#: Characters of a line that are shown.
MAX_LINE = 8_000

#: Runs of text with one look in a line: beyond them the rest is plain, so a hostile line stays small.
MAX_SPANS = 1_000

_SEQUENCE = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]{0,200})m"  # SGR
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other CSI
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC up to their end
    r"|\x1b[ -/]*[0-~]?"  # two-character and unfinished ones
)
_ODD = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
#: The ground of a log, in both colour schemes (style.css, `.log`).
GROUND = (0x14, 0x18, 0x1F)

_CUBE = (0, 95, 135, 175, 215, 255)
_BASIC = (
    (0x5C, 0x63, 0x70), (0xF2, 0x7C, 0x7C), (0x7F, 0xD0, 0x8C), (0xE5, 0xC0, 0x6B),
    (0x7A, 0xB2, 0xF5), (0xD2, 0x9B, 0xF0), (0x6F, 0xD3, 0xD6), (0xD6, 0xDB, 0xE2),
    (0x8A, 0x93, 0xA1), (0xFF, 0x9B, 0x9B), (0xA3, 0xE8, 0xAE), (0xFF, 0xDB, 0x8F),
    (0xA4, 0xCC, 0xFF), (0xE6, 0xBD, 0xFF), (0x98, 0xEE, 0xF0), (0xFF, 0xFF, 0xFF),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """How text looks at a place of the log; colours are numbers of the 256."""

    fg: int | None = None
    bg: int | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    inverse: bool = False

    @property
    def classes(self) -> str:
        fg, bg = (self.bg, self.fg) if self.inverse else (self.fg, self.bg)
        parts = [f"f{fg}"] if fg is not None else ["fi"] if self.inverse else []
        parts += [f"b{bg}"] if bg is not None else ["bi"] if self.inverse else []
        flags = ("bold", "dim", "italic", "underline", "strike")
        return " ".join(parts + [f"a-{flag}" for flag in flags if getattr(self, flag)])


PLAIN = Look()

_FLAGS: dict[int, dict[str, bool]] = {
    1: {"bold": True}, 2: {"dim": True}, 3: {"italic": True}, 4: {"underline": True}, 7: {"inverse": True},
    9: {"strike": True}, 21: {"underline": True}, 22: {"bold": False, "dim": False}, 23: {"italic": False},
    24: {"underline": False}, 27: {"inverse": False}, 29: {"strike": False},
}  # fmt: skip


def visible(text: str) -> str:
    """Control and direction characters as pictures or code points; tabs stay."""
    return _ODD.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨{code:04X}⟩"


def apply_sgr(look: Look, parameters: str) -> Look:
    """The look after one SGR sequence; what is unknown changes nothing."""
    codes = [int(part[:4]) if part else 0 for part in parameters.replace(":", ";").split(";")]
    index = 0
    while index < len(codes):
        code = codes[index]
        index += 1
        if code == 0:
            look = PLAIN
        elif code in _FLAGS:
            look = replace(look, **_FLAGS[code])
        elif code in (38, 48):
            color, used = _extended(codes[index:])
            index += used
            if color is not None:
                look = replace(look, fg=color) if code == 38 else replace(look, bg=color)
        else:
            look = _simple_color(look, code)
    return look


def _simple_color(look: Look, code: int) -> Look:
    if 30 <= code <= 37 or 90 <= code <= 97:
        return replace(look, fg=code - 30 if code < 90 else code - 82)
    if 40 <= code <= 47 or 100 <= code <= 107:
        return replace(look, bg=code - 40 if code < 100 else code - 92)
    if code == 39:
        return replace(look, fg=None)
    return replace(look, bg=None) if code == 49 else look


def _extended(codes: list[int]) -> tuple[int | None, int]:
    """(colour, how many codes it took) of what follows 38 or 48."""
    if codes[:1] == [5] and len(codes) > 1:
        return (codes[1] if codes[1] < 256 else None), 2
    if codes[:1] == [2] and len(codes) > 3:
        return nearest(codes[1], codes[2], codes[3]), 4
    return None, len(codes)


def nearest(red: int, green: int, blue: int) -> int:
    """The colour of the 6x6x6 cube nearest to a true colour."""
    steps = [min(range(6), key=lambda i, part=part: abs(_CUBE[i] - part)) for part in (red, green, blue)]  # type: ignore[misc]
    return 16 + 36 * steps[0] + 6 * steps[1] + steps[2]


def spans(line: str, look: Look = PLAIN) -> tuple[list[tuple[Look, str]], Look]:
    """A line without its end as (look, text) pieces, and the look it leaves behind."""
    pieces: list[tuple[Look, str]] = []
    at = 0
    for match in _SEQUENCE.finditer(line):
        if match.start() > at:
            _add(pieces, look, line[at : match.start()])
        at = match.end()
        if match["sgr"] is not None:
            look = apply_sgr(look, match["sgr"])
    if at < len(line):
        _add(pieces, look, line[at:])
    return pieces, look


def _add(pieces: list[tuple[Look, str]], look: Look, text: str) -> None:
    shown = visible(text)
    if pieces and (pieces[-1][0] == look or len(pieces) >= MAX_SPANS):
        pieces[-1] = (pieces[-1][0], pieces[-1][1] + shown)
    else:
        pieces.append((look, shown))


def plain(line: str) -> str:
    """The text of a line without its colours."""
    return "".join(text for _, text in spans(line)[0])


@dataclass(frozen=True, slots=True)
class Rendered:
    """`cut` characters were not shown; `overwritten`: parts before a carriage return are hidden."""

    markup: Markup
    look: Look
    cut: int = 0
    overwritten: int = 0


def render_line(line: str, look: Look = PLAIN, query: str = "") -> Rendered:
    """One line as spans, with what matches `query` marked. Like a terminal, only what follows the last carriage
    return is shown."""
    *hidden, shown = line.rstrip("\r").split("\r")
    for part in hidden:
        look = spans(part[:MAX_LINE], look)[1]
    pieces, after = spans(shown[:MAX_LINE], look)
    marks = _matches("".join(text for _, text in pieces), query)
    out = [_span(look, text, marked=marked) for look, text, marked in _cut(pieces, marks)]
    return Rendered(Markup("").join(out), after, max(0, len(shown) - MAX_LINE), len(hidden))


def _matches(text: str, query: str) -> list[tuple[int, int]]:
    """Where `query` occurs, ignoring case."""
    if not query:
        return []
    return [match.span() for match in re.finditer(re.escape(query), text, re.IGNORECASE)]


def _cut(pieces: list[tuple[Look, str]], marks: list[tuple[int, int]]) -> Iterator[tuple[Look, str, bool]]:
    """The pieces, cut where a match begins or ends."""
    edges = [edge for mark in marks for edge in mark]
    at = which = 0
    for look, text in pieces:
        start, end = at, at + len(text)
        while which < len(edges) and edges[which] < end:
            if edges[which] > at:
                yield look, text[at - start : edges[which] - start], which % 2 == 1
                at = edges[which]
            which += 1
        if at < end:
            yield look, text[at - start :], which % 2 == 1
        at = end


def _span(look: Look, text: str, *, marked: bool) -> Markup:
    inner = Markup("<mark>%s</mark>") % text if marked else escape(text)
    return Markup('<span class="%s">%s</span>') % (look.classes, inner) if look.classes else inner


def ansi_css() -> str:
    """The classes f0…f255 and b0…b255."""
    return "".join(
        f".f{n}{{color:{_hex(_readable(_rgb(n)))}}}.b{n}{{background:{_hex(_rgb(n))}}}\n" for n in range(256)
    )


def _readable(rgb: tuple[int, ...]) -> tuple[int, ...]:
    """The colour, made lighter until it can be read on the dark ground of a log (contrast 4.5)."""
    while contrast(rgb, GROUND) < 4.5:
        rgb = tuple(min(255, part + 8) for part in rgb)
    return rgb


def luminance(rgb: tuple[int, ...]) -> float:
    """Relative luminance as WCAG has it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _hex(rgb: tuple[int, ...]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def _rgb(index: int) -> tuple[int, ...]:
    if index < 16:
        return _BASIC[index]
    if index < 232:
        rest = index - 16
        return (_CUBE[rest // 36], _CUBE[rest // 6 % 6], _CUBE[rest % 6])
    return (8 + 10 * (index - 232),) * 3
