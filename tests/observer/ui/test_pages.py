"""Every page with everything on it: well-formed, complete, and nothing a task chose becomes markup or runs."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.core.views import Chunk, Counts, GraphView, Kind, Moment, ProcessRow, TaskView
from observer.pages import FRAGMENTS, TEMPLATES
from observer.ui import links, logs, pictures, render
from tests.observer.ui.samples import NOW, every_page, index_view, log_view, task_view
from thermos.core.doing import Doing

VOID = {"meta", "link", "input", "br", "img", "hr"}
PAGES = sorted(every_page())
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</textarea></title></style><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "a\u202eb\x1b]0;x\x07\x00",
    "&lt;b&gt;",
]


class Checker(HTMLParser):
    """Collects what matters: tags in balance, ids, links, inline script or style, text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.hrefs: list[str] = []
        self.text: list[str] = []
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in {"style", "iframe", "object", "embed", "base", "img"}:
            self.problems.append(f"<{tag}>")
        if tag == "script" and not (values.get("src") or "").startswith("/assets/live.js?v="):
            self.problems.append("inline script")
        for key in values:
            if key.startswith("on") or key == "style":
                self.problems.append(f"{tag} {key}=")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.ids += [values["id"] or ""] if "id" in values else []
        self.hrefs += [values[key] or "" for key in ("href", "action", "src") if key in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> inside {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(html: str) -> Checker:
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.problems == []
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids)), "an id is there twice"
    for href in checker.hrefs:
        assert href == "#" or href == "" or re.match(r"/(?![/\\])|[?#]|http://h:\d+/$", href), href
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)
    return checker


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_well_formed_and_fits_the_policy(page: str) -> None:
    checker = check(render(page, every_page()[page]))
    assert checker.headings[0] == 1 and checker.headings.count(1) == 1
    for before, after in zip(checker.headings, checker.headings[1:], strict=False):
        assert after <= before + 1, f"headings jump: {checker.headings}"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_a_task_chose_becomes_markup(page: str, name: str) -> None:
    plain, hostile = (check(render(page, every_page(n, n)[page])) for n in ("x", name))
    assert len(hostile.ids) == len(plain.ids)
    if page != "error":
        assert len(hostile.hrefs) >= len(plain.hrefs)


@given(st.text(max_size=40))
@settings(max_examples=40, deadline=None)
def test_any_name_gives_a_page(name: str) -> None:
    for page, view in every_page(name, name).items():
        check(render(page, view))


def test_every_template_of_the_table_exists() -> None:
    views = {type(view): view for view in every_page().values()}
    for kind, template in {**TEMPLATES}.items():
        assert render(template, views[kind])
    for kind, template in FRAGMENTS.items():
        fragment = render(template, views[kind])
        assert "<html" not in fragment
        checker = check(fragment)
        whole = check(render(TEMPLATES[kind], views[kind]))
        assert set(checker.ids) <= set(whole.ids), "a fragment brings nothing that the page hasn't"


def test_ports_lead_to_http_only() -> None:
    assert "javascript:" not in render("task", task_view("x"))
    assert 'href="http://h:31337/"' in render("task", task_view("x"))


# --- task


def text_of(html: str) -> str:
    checker = check(html)
    return re.sub(r"\s+", " ", " ".join(checker.text))


def test_the_task_page_tells_everything() -> None:
    text = text_of(render("task", task_view()))
    for words in (
        "www-hello", "ACTIVE", "attended by pid 4711", "31337", "1 cpu, 128 MiB, 2 GiB disk", "exit code 3",
        "runs again in 4 s", "waits for server", "critical path", "Kill receipts", "needed SIGKILL: server (1)",
        "record 23 of 23", "3 older runs left out", "CPU", "Memory", "Disk", "Config as it runs", "Problem: server",
    ):  # fmt: skip
        assert words in text, words


def test_the_past_says_that_it_is_past_and_leads_back() -> None:
    moment = Moment(5, 23, NOW - 50, "server started", 4, 6, False, NOW - 95, NOW)
    html = render("task_live", replace(task_view(), moment=moment))
    assert "The task as it was" in html and "Back to now" in html
    assert 'href="/task/www-hello?at=4"' in html and 'href="/task/www-hello?at=6"' in html


def test_a_task_with_a_thousand_processes_is_a_table() -> None:
    rows = tuple(ProcessRow(f"p{i}", Doing.READY, "WAITING", "", level=i // 100) for i in range(1000))
    levels = tuple(tuple(f"p{i}" for i in range(n, n + 100)) for n in range(0, 1000, 100))
    view = replace(task_view(), processes=rows, graph=GraphView(levels), counts=Counts(1000, waiting=1000))
    html = render("task", view)
    assert pictures.graph(view) is None
    assert "Too many for a picture" in html
    assert html.count("<tr data-key") >= 1000
    assert pictures.lanes_left_out(view) == 800


def test_an_empty_task_is_a_page_too() -> None:
    view = TaskView(replace(task_view().head, state="", launched_at=0.0, name="", hostname="", user=""))
    assert "no processes" in text_of(render("task", view))


# --- lists


def test_a_list_has_pages_in_both_directions() -> None:
    html = render("index", index_view(Kind.FINISHED, query="w w"))
    assert "/main/finished?offset=0&amp;num=20&amp;q=w+w" in html
    assert "/main/finished?offset=40&amp;num=20&amp;q=w+w" in html
    assert "21 to 22 of 2002" in html


def test_nothing_found_says_what_was_searched() -> None:
    view = replace(index_view(Kind.ALL, query="<zzz>"), rows=(), total=0, offset=0)
    assert "No task matches “<zzz>”" in text_of(render("index", view))


def test_tasks_of_the_same_id_show_their_roots() -> None:
    assert "/r/hello" in render("index", index_view(Kind.ALL))


# --- logs


def lines_of(text: str, *, offset: int = 0, size: int | None = None, live: bool = False) -> logs.Lines:
    length = len(text.encode())
    return logs.lines(Chunk(offset, length, offset + length if size is None else size, 1, text), live=live)


def test_lines_have_their_byte_offsets() -> None:
    shown = lines_of("ä1\n\nb\n", offset=10)
    assert [(row.offset, str(row.markup)) for row in shown.rows] == [(10, "ä1"), (14, ""), (15, "b")]
    assert (shown.next_offset, shown.more) == (17, False)


def test_an_unfinished_line_of_a_live_log_is_asked_for_again() -> None:
    shown = lines_of("a\nunfin", live=True)
    assert [(row.offset, row.partial) for row in shown.rows] == [(0, False), (2, True)]
    assert shown.next_offset == 2


@pytest.mark.parametrize(
    ("text", "size", "live"),
    [
        ("a\nend", None, False),
        ("a\ncut here", 100, True),
        ("a\n" + "x" * 40_000, None, True),
        ("a\nbro\ufffd", None, True),
    ],
)
def test_a_follower_never_stands_still(text: str, size: int | None, live: bool) -> None:
    shown = lines_of(text, size=size, live=live)
    assert shown.next_offset == len(text.encode())
    assert not any(row.partial for row in shown.rows)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20), max_size=8), st.booleans())
@settings(deadline=None)
def test_reading_on_gives_every_line_once(texts: list[str], live: bool) -> None:
    text = "\n".join(texts)
    shown = lines_of(text, live=live)
    data = text.encode()
    for row in shown.rows:
        assert row.offset == 0 or data[row.offset - 1 : row.offset] == b"\n"
    unfinished = live and texts and texts[-1] and "\ufffd" not in texts[-1]
    assert shown.next_offset == (data.rfind(b"\n") + 1 if unfinished else len(data))


def test_a_log_page_has_what_a_follower_needs() -> None:
    html = render("log", log_view("one\ntwo", query=""))
    assert 'data-inode="55" data-next="4" data-live="1" data-follow="1"' in html
    assert '<li id="o4" class="partial">' in html
    fragment = render("log_live", log_view("one\ntwo"))
    assert 'data-parts="0:55 1:54 "' in fragment and 'data-next="4"' in fragment


def test_a_log_that_is_not_there_says_so() -> None:
    html = render("log", replace(log_view("x"), chunk=None, parts=(), live=False))
    assert "There is no stdout of this run" in text_of(html)


def test_search_marks_and_links() -> None:
    html = render("log", log_view("find Me here\n", query="me"))
    assert "<mark>Me</mark>" in html
    assert "?part=1&amp;offset=7&amp;q=me#o7" in html
    assert "search_part=1&amp;search_offset=0" in html


def test_colours_of_a_line_go_on_in_the_next() -> None:
    html = render("log", log_view("\x1b[31mred\nstill\x1b[0m\nnot\n"))
    assert '<span class="f1">still</span>' in html


# --- addresses


def test_addresses_are_quoted() -> None:
    assert links.process("a~b", "x y/<") == "/process/a~b/x%20y%2F%3C"
    assert links.log("t", "p#", 3, "stderr", part=0, q="a&b", offset=None) == "/logs/t/p%23/3/stderr?part=0&q=a%26b"
    assert links.task("t", 4) == "/task/t?at=4"
    assert links.log_download("t", "p", 0, "stdout", 2).endswith("/stdout/download?part=2")
    assert links.events("t~1") == "/api/v1/events?task=t~1"
