"""What every page has to be: well-formed, within the policy, with links that lead somewhere of ours."""

from __future__ import annotations

import re

from tests.observer.ui.test_pages import HOSTILE, Checker

__all__ = ["HOSTILE", "Checker", "addresses", "check", "text_of"]

#: Where else pages may lead: to the observers of hosts.
_OUTSIDE = re.compile(r"http://host-\d+\.example:1338/")

#: Characters that hide or turn round what stands beside them.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def check(html: str, *, whole: bool = True) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.problems == []
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids)), "an id is there twice"
    for href in checker.hrefs:
        assert re.match(r"/(?![/\\])|[?#]", href) or _OUTSIDE.match(href), href
    assert not _HIDDEN.search(html)
    if whole:
        assert html.startswith("<!doctype html>")
        assert checker.headings[0] == 1 and checker.headings.count(1) == 1
        for before, after in zip(checker.headings, checker.headings[1:], strict=False):
            assert after <= before + 1, f"headings jump: {checker.headings}"
    else:
        assert "<html" not in html
    return checker


def text_of(html: str) -> str:
    """What people read, with single spaces."""
    checker = Checker()
    checker.feed(html)
    return re.sub(r"\s+", " ", " ".join(checker.text))


def addresses(html: str) -> set[str]:
    """Our own ones that a page leads to, without anchors."""
    checker = Checker()
    checker.feed(html)
    return {href.split("#")[0] for href in checker.hrefs if href.startswith("/")}
