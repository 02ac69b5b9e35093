"""SVG elements as markup: attributes and text are escaped here and nowhere else.

Pictures carry classes and presentation attributes only, never `style`: the pages' Content-Security-Policy forbids it.
A link leads to a path of the same server; anything else is a bug in the caller.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from web.core.ansi import visible

Value = str | int | float | None


def number(value: float) -> str:
    """At most one decimal, no trailing zero: pictures stay small."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def attributes(values: dict[str, Value]) -> str:
    """` a="b"…`; a trailing underscore is dropped, others become dashes, None leaves the attribute out."""
    parts = []
    for key, value in values.items():
        if value is None:
            continue
        name = key.rstrip("_").replace("_", "-")
        text = number(value) if isinstance(value, int | float) else value
        if name == "href" and not is_own_path(text):
            raise ValueError(f"a picture may link to this server only, not to {text!r}")
        parts.append(f' {name}="{escape(visible(text))}"')
    return "".join(parts)


def is_own_path(url: str) -> bool:
    """A path, query or anchor of this server; `//host` and `/\\host` are other servers."""
    return url[:1] in {"#", "?"} or (url[:1] == "/" and url[1:2] not in {"/", "\\"})


def el(tag: str, *children: str, **values: Value) -> Markup:
    """`<tag …>children</tag>`; children that are no Markup are escaped."""
    body = Markup("").join(_safe(child) for child in children)
    return Markup(f"<{tag}{attributes(values)}>{body}</{tag}>")


def _safe(text: str) -> str:
    return text if isinstance(text, Markup) else visible(text)


def join(parts: Iterable[str]) -> Markup:
    return Markup("").join(parts)


def picture(
    width: float, height: float, title: str, *children: str, class_: str = "picture", natural: bool = False
) -> Markup:
    """A whole picture with a title that screen readers say. `natural`: it keeps its size and is scrolled."""
    sizes: dict[str, Value] = {"width": width, "height": height} if natural else {}
    return el(
        "svg",
        el("title", title),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(width)} {number(height)}",
        class_=class_,
        role="group",
        aria_label=title,
        **sizes,
    )


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters; the middle goes first, because names differ at their ends."""
    if len(text) <= limit:
        return text
    head = limit // 2
    return text[:head] + "…" + text[len(text) - (limit - 1 - head) :]


def clip(text: str, limit: int) -> str:
    """At most `limit` characters; the end goes first, because sentences begin with what matters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
