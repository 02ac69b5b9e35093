"""SVG: safe, well-formed, without inline style; graphs, timelines and charts show what they were given."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from web.core.charts import level_bar, line_chart, parts_bar, thin
from web.core.pictures import MAX_ROWS, Bar, Lane, Node, Phase, gantt_picture, graph_picture
from web.core.svg import clip, el, is_own_path, number, picture, shorten
from web.core.words import cores_words, size_words

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a' onload='x",
    "]]>&amp;",
    "x" * 300,
    "ünï ✓",
]


def parse(markup: Markup | None) -> ET.Element:
    """Well-formed, and nothing in it can run or is forbidden by the pages' policy."""
    assert markup is not None
    root = ET.fromstring(str(markup))
    for element in root.iter():
        assert element.tag.removeprefix(SVG) not in {"script", "style", "foreignObject", "image", "use", "animate"}
        for key, value in element.attrib.items():
            assert key != "style" and not key.startswith("on"), f"{element.tag} {key}"
            assert key != "href" or value.startswith("/")
    return root


def texts(root: ET.Element, tag: str = "text") -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}{tag}")]


def node(name: str, doing: str = "running", note: str = "") -> Node:
    return Node(name, doing, note, "/process/t/x")


# --- elements


def test_attributes_and_text_are_escaped() -> None:
    made = el("text", '<b>"', class_='a"b', stroke_width=1.25, x=2.0, y=None)
    assert made == '<text class="a&#34;b" stroke-width="1.2" x="2">&lt;b&gt;&#34;</text>'


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example/", "/\\evil.example", "http://evil.example/", "data:x", ""]
)
def test_a_picture_links_to_this_server_only(url: str) -> None:
    assert not is_own_path(url)
    with pytest.raises(ValueError, match="this server only"):
        el("a", href=url)


@pytest.mark.parametrize("url", ["/task/x", "#o5", "?at=3", "/"])
def test_own_addresses(url: str) -> None:
    assert is_own_path(url)


def test_a_picture_has_a_title() -> None:
    root = parse(picture(10, 20, "What <it> shows", el("rect", x=1)))
    assert texts(root, "title") == ["What <it> shows"]
    assert (root.get("viewBox"), root.get("aria-label")) == ("0 0 10 20", "What <it> shows")


def test_short_words() -> None:
    assert [number(v) for v in (1, 1.04, 1.25, -0.5)] == ["1", "1", "1.2", "-0.5"]
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert shorten("abcde", 5) == "abcde"
    assert clip("waits for it", 7) == "waits…"
    assert len(shorten("x" * 99, 8)) == 8


# --- graph


def test_the_graph_shows_every_process_as_a_link_with_its_state() -> None:
    nodes = {name: node(name, doing) for name, doing in [("a", "done"), ("b", "running"), ("z", "blocked")]}
    markup = graph_picture("G", nodes, [["a"], ["b"]], [["z"]], [("a", "b")], frozenset({("a", "b")}))
    root = parse(markup)
    links = {link.get("aria-label", "").split(":")[0]: link for link in root.iter(f"{SVG}a")}
    assert sorted(links) == ["a", "b", "z"]
    assert links["a"].get("class") == "node d-done"
    assert links["a"].get("href") == "/process/t/x"
    assert len([g for g in root.iter(f"{SVG}g") if g.get("class") == "wire critical"]) == 1
    assert "finalizers" in texts(root)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str) -> None:
    root = parse(graph_picture(name, {name: node(name, note=name)}, [[name]], [], []))
    assert texts(root, "title")[0] == name
    lanes = [Lane(name, "/x", [Bar(0, 1, "RUNNING", name, "/y")])]
    parse(gantt_picture(name, 0, 1, lanes, [Phase(0, 1, "ACTIVE")]))
    parse(line_chart(name, [(0, 1), (1, 2)], cores_words))


def test_a_thousand_processes_are_no_picture() -> None:
    names = [f"p{i}" for i in range(1000)]
    assert graph_picture("G", {name: node(name) for name in names}, [names], [], []) is None


def test_finalizers_alone() -> None:
    root = parse(graph_picture("G", {"z": node("z")}, [], [["z"]], []))
    assert "finalizers" in texts(root)


# --- timeline


def test_bars_lie_where_their_times_are() -> None:
    lanes = [
        Lane("a", "/p/a", [Bar(0, 50, "SUCCESS", "a 0", "/l/a")]),
        Lane("b", "/p/b", [Bar(50, 100, "RUNNING", "b 0", "/l/b", critical=True, open=True)]),
    ]
    root = parse(gantt_picture("T", 0, 100, lanes, [Phase(0, 100, "ACTIVE")]))
    bars = [a for a in root.iter(f"{SVG}a") if (a.get("class") or "").startswith("bar")]
    rects = [bar.find(f"{SVG}rect") for bar in bars]
    (ax, aw), (bx, bw) = [(float(r.get("x", 0)), float(r.get("width", 0))) for r in rects if r is not None]
    assert aw == pytest.approx(bw, abs=0.2)
    assert ax + aw == pytest.approx(bx, abs=0.2)
    assert bars[1].get("class") == "bar s-running critical open"
    assert bars[0].get("aria-label") == "a 0"


def test_nothing_has_no_timeline_and_a_moment_has_one() -> None:
    assert gantt_picture("T", 0, 1, []) is None
    assert gantt_picture("T", 1, 0, [Lane("a", "/", [])]) is None
    parse(gantt_picture("T", 5, 5, [Lane("a", "/", [Bar(5, 5, "FAILED", "w", "/")])]))


def test_a_long_timeline_is_cut() -> None:
    root = parse(gantt_picture("T", 0, 1, [Lane(f"p{i}", "/", []) for i in range(MAX_ROWS + 50)]))
    assert len([g for g in root.iter(f"{SVG}g") if (g.get("class") or "").startswith("lane")]) == MAX_ROWS


@given(st.floats(0, 2e9), st.floats(0, 3e8))
@settings(max_examples=60, deadline=None)
def test_any_span_has_a_readable_axis(begin: float, span: float) -> None:
    root = parse(gantt_picture("T", begin, begin + span, [Lane("a", "/", [])]))
    ticks = [t for t in root.iter(f"{SVG}text") if t.get("class") == "tick"]
    assert 1 <= len(ticks) <= 14


# --- charts


def test_a_chart_says_what_it_shows() -> None:
    root = parse(line_chart("CPU", [(0, 0.5), (10, 2), (20, 1)], cores_words, limit=1.5, class_="cpu"))
    assert root.get("aria-label") == "CPU: now 1, peak 2"
    assert len([line for line in root.iter(f"{SVG}line") if line.get("class") == "limit"]) == 1
    assert texts(root)[-2:] == ["−20 s", "now"]


def test_a_limit_out_of_sight_is_not_drawn() -> None:
    root = parse(line_chart("CPU", [(0, 0.01), (10, 0.01)], cores_words, limit=64))
    assert not [line for line in root.iter(f"{SVG}line") if line.get("class") == "limit"]


@pytest.mark.parametrize("points", [[], [(0.0, 1.0)], [(5.0, 1.0), (5.0, 2.0)]])
def test_a_chart_without_samples_says_so(points: list[tuple[float, float]]) -> None:
    assert "no samples yet" in texts(parse(line_chart("CPU", points, cores_words)))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1, 1e13)), max_size=300))
@settings(max_examples=80, deadline=None)
def test_a_line_stays_in_its_frame(points: list[tuple[float, float]]) -> None:
    root = parse(line_chart("Memory", sorted(points), size_words, limit=1e9, binary=True))
    for path in root.iter(f"{SVG}path"):
        numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", path.get("d", ""))]
        assert all(0 <= x <= 360 for x in numbers[::2])
        assert all(0 <= y <= 150 for y in numbers[1::2])
    assert len(texts(root)) <= 12


def test_thinning_keeps_the_peak_and_the_end() -> None:
    points = [(float(i), 9.0 if i == 777 else 0.0) for i in range(5000)]
    kept = thin(points)
    assert len(kept) <= 180
    assert (777.0, 9.0) in kept
    assert kept[-1] == points[-1]


def test_every_part_of_a_bar_can_be_seen() -> None:
    root = parse(parts_bar("P", [("d-done", 10_000), ("d-failed", 1), ("d-running", 0)]))
    parts = [r for r in root.iter(f"{SVG}rect") if (r.get("class") or "").startswith("part")]
    assert [p.get("class") for p in parts] == ["part d-done", "part d-failed"]
    assert float(parts[1].get("width", 0)) >= 2
    assert len(list(parse(parts_bar("P", [])).iter(f"{SVG}rect"))) == 1


def test_a_level_warns_when_it_is_nearly_full() -> None:
    classes = [
        [r.get("class") for r in parse(level_bar("L", share)).iter(f"{SVG}rect")][1:] for share in (0, 0.5, 0.95, 7)
    ]
    assert classes == [[], ["part level"], ["part high"], ["part high"]]
