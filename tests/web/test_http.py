"""What both servers share of HTTP: names that are ours, who asks, numbers of a query, metrics for Prometheus."""

from __future__ import annotations

import base64

import pytest
from prometheus_client.parser import text_string_to_metric_families

from web.answers import to_json
from web.asking import parse_int, shorten
from web.prometheus import Family, Histogram, render_metrics
from web.protection import knows_host, presented
from web.streams import frame


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("localhost", True), ("LOCALHOST:80", True), ("[::1]", True), ("[::1]:80", True), ("evil", False), ("", False),
        ("localhost.evil", False), ("localhost@evil", False), ("::1", False),
    ],
)  # fmt: skip
def test_names_that_are_ours(header: str, known: bool) -> None:
    assert knows_host(frozenset({"localhost", "[::1]"}), header) is known
    assert knows_host(frozenset(), header)


def test_who_asks() -> None:
    pair = base64.b64encode(b"u:p:q").decode()
    assert presented(f"Basic {pair}") == presented(f"bAsIc   {pair}") == "basic u:p:q"
    assert presented("Bearer t") == "bearer t"
    for nobody in ("", "Basic !", "Bearer", "Digest x", "Basic " + "A" * 5000, "Basic /w=="):
        assert presented(nobody) == "", nobody


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-5", -5),
        ("007", 7),
        ("", None),
        ("-", None),
        ("1e3", None),
        ("٣", None),
        ("9" * 19, None),
        ("+1", None),
    ],
)
def test_numbers(text: str, number: int | None) -> None:
    assert parse_int(text) == number


def test_metrics_as_prometheus_reads_them() -> None:
    family = Family("a", "gauge", "Of a.")
    family.add({"b": 'x"\n\\'}, 1.5)
    family.add({}, 2)
    histogram = Histogram("h", "Of h.", (0.1, 1.0), (1, 0, 2), 7.5)
    told = {f.name: f for f in text_string_to_metric_families(render_metrics([family, histogram]).decode())}
    assert [(s.labels, s.value) for s in told["a"].samples] == [({"b": 'x"\n\\'}, 1.5), ({}, 2.0)]
    assert [(s.name, s.labels.get("le"), s.value) for s in told["h"].samples] == [
        ("h_bucket", "0.1", 1), ("h_bucket", "1.0", 1), ("h_bucket", "+Inf", 3), ("h_sum", None, 7.5),
        ("h_count", None, 3),
    ]  # fmt: skip


def test_words_on_the_wire() -> None:
    assert frame("e-1", "task", b"{}") == b"id: e-1\nevent: task\ndata: {}\n\n"
    assert to_json({"n": 2**70, "t": "ä"}) == '{"n":1180591620717411303424,"t":"ä"}'.encode()
    assert shorten("x" * 200, 10) == "x" * 10 + "…"
    assert shorten("\udcff") == "\N{REPLACEMENT CHARACTER}"
