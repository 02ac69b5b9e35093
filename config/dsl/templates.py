"""Text with `{{references}}`: taken apart once, expanded in a scope.

`{{a.b[c]}}` is a reference; `{{&a}}` says "the text {{a}}"; `{{}}` and single braces mean nothing. Expansion replaces
what it finds and looks again, so that `{{ports[{{which}}]}}` works inside out, until nothing more is found, at most
MAX_ITERATIONS times. What can't be read as a reference stays as it was written and is reported as a fault, with what
to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from config.dsl.refs import Ref

MAX_ITERATIONS = 100

#: A text that grows by more than this while it is expanded refers to itself; stop before it fills the memory.
MAX_GROWTH = 1024 * 1024

#: Longer texts are taken apart each time instead of being kept.
_CACHED = 10_000

_TAG = re.compile(r"\{\{([^{}]+)\}\}")
_SHOWN = 300

#: Where a reference was found: the value's text, or None.
Lookup = Callable[[tuple[str, ...]], str | None]


class Uninterpolatable(Exception):
    """The references go round in a circle, or on for too long; `text` is what was left then, shortened."""

    def __init__(self, text: str) -> None:
        self.text = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        super().__init__(f"Unable to interpolate {self.text}!  Maximum replacements reached.")


class Tag(NamedTuple):
    """One `{{…}}`: a reference, a literal, or neither; `fault` says what is wrong with it if nothing is found."""

    raw: str
    ref: Ref | None = None
    literal: str | None = None
    fault: str = ""


class Expansion(NamedTuple):
    """A text with all that could be replaced, the refs left in it, and what could not be read as a ref."""

    text: str
    unbound: tuple[Ref, ...] = ()
    faults: tuple[str, ...] = ()


def render_literal(content: str) -> str:
    """How to write the text `{{content}}` so that it is not a reference."""
    return f"{{{{&{content}{'&' if content.endswith('&') else ''}}}}}"


def _fault(content: str) -> str:
    """What to write instead of `{{content}}`, which is no reference."""
    raw = f"{{{{{content}}}}}"
    literal = f"`{render_literal(content)}` for a literal `{raw}`"
    inner = content.strip()
    if content.startswith("."):
        return f"`{raw}` is not bound: write `{{{{{inner[1:]}}}}}` for a reference, or {literal}"
    try:
        Ref.from_address(inner)
    except Ref.InvalidRefError:
        return f"`{raw}` is not a reference: write {literal}, or `{{{content}}}` for single braces"
    return f"`{raw}` has blanks: write `{{{{{inner}}}}}` for a reference, or {literal}"


def _parse_tag(content: str) -> Tag:
    raw = f"{{{{{content}}}}}"
    if content[0] == "&" and len(content) > 1:
        literal = content[1:]
        return Tag(raw, literal=literal[:-1] if len(literal) > 1 and literal[-1] == "&" else literal)
    try:
        ref = Ref.from_address(content)
    except Ref.InvalidRefError:
        return Tag(raw, fault=_fault(content))
    return Tag(raw, ref=ref, fault=_fault(content) if content[0] == "." else "")


def parse_template(text: str) -> tuple[str | Tag, ...]:
    """The text's pieces in order: plain text and tags."""
    return _parse_cached(text) if len(text) <= _CACHED else _parse(text)


def _parse(text: str) -> tuple[str | Tag, ...]:
    pieces: list[str | Tag] = []
    for index, piece in enumerate(_TAG.split(text)):
        if index % 2:
            pieces.append(_parse_tag(piece))
        elif piece:
            pieces.append(piece)
    return tuple(pieces)


_parse_cached = lru_cache(maxsize=8192)(_parse)


def has_tags(text: str) -> bool:
    """Whether the text has a reference, or something that looks like one (a literal is none)."""
    return "{{" in text and any(isinstance(p, Tag) and p.literal is None for p in parse_template(text))


def expand(text: str, lookup: Lookup) -> Expansion:
    """Replace every reference that `lookup` finds, again and again, then undo the literals."""
    if "{{" not in text:
        return Expansion(text)
    found: dict[Ref, str | None] = {}
    limit = len(text) + MAX_GROWTH
    for _ in range(MAX_ITERATIONS):
        again, text = _replace_once(text, lookup, found)
        if not again:
            return _finish(text)
        if len(text) > limit:
            break
    raise Uninterpolatable(text)


def open_in(text: str, lookup: Lookup) -> Expansion:
    """What is wrong with a text besides that it can't be expanded: refs without a value, and what is no ref."""

    def is_found(ref: Ref) -> bool:
        try:
            return lookup(ref.keys) is not None
        except (Uninterpolatable, ValueError):  # there is a value, which can't be read
            return True

    return Expansion(text, *_left_open(text, is_found))


def _replace_once(text: str, lookup: Lookup, found: dict[Ref, str | None]) -> tuple[bool, str]:
    """(whether anything was replaced, the new text)."""
    pieces: list[str] = []
    replaced = False
    for piece in parse_template(text):
        if isinstance(piece, str):
            pieces.append(piece)
            continue
        value = None
        if piece.ref is not None:
            if piece.ref not in found:
                found[piece.ref] = lookup(piece.ref.keys)
            value = found[piece.ref]
        replaced = replaced or value is not None
        pieces.append(piece.raw if value is None else value)
    return replaced, "".join(pieces)


def _finish(text: str) -> Expansion:
    if "{{" not in text:
        return Expansion(text)
    pieces = [_unescaped(piece) if isinstance(piece, Tag) else piece for piece in parse_template(text)]
    return Expansion("".join(pieces), *_left_open(text, lambda ref: False))


def _unescaped(tag: Tag) -> str:
    return tag.raw if tag.literal is None else f"{{{{{tag.literal}}}}}"


def _left_open(text: str, is_found: Callable[[Ref], bool]) -> tuple[tuple[Ref, ...], tuple[str, ...]]:
    """The refs in a text that have no value, and what can't be read as one."""
    tags = [piece for piece in parse_template(text) if isinstance(piece, Tag)]
    left = [tag for tag in tags if tag.ref is None or not is_found(tag.ref)]
    unbound = tuple(tag.ref for tag in left if tag.ref is not None and not tag.fault)
    return unbound, tuple(dict.fromkeys(tag.fault for tag in left if tag.fault))


class MustacheParser:
    """pystachio's name for this module, for files that import it."""

    MAX_ITERATIONS = MAX_ITERATIONS
    Error = Uninterpolatable
    Uninterpolatable = Uninterpolatable

    @staticmethod
    def split(text: str, keep_aliases: bool = False) -> list[Any]:
        """Plain texts and Refs in order; a literal is text."""
        pieces: list[Any] = []
        for piece in parse_template(text):
            if isinstance(piece, str):
                pieces.append(piece)
            elif piece.literal is not None:
                pieces.append(f"{{{{{'&' if keep_aliases else ''}{piece.literal}}}}}")
            elif piece.ref is None:
                raise Ref.InvalidRefError(piece.fault)
            else:
                pieces.append(piece.ref)
        return pieces

    @staticmethod
    def resolve(text: str, *namables: Any) -> tuple[str, list[Ref]]:
        """Expand in the namables, the first that knows a ref wins: (text, refs left)."""

        def lookup(keys: tuple[str, ...]) -> str | None:
            for namable in namables:
                hit = namable._seek(keys, None)
                if hit is not None:
                    value, scope = hit
                    return value if isinstance(value, str) else str(value._text(scope))
            return None

        done = expand(text, lookup)
        return done.text, list(done.unbound)
