"""Numbers and tables, without running anything."""

from __future__ import annotations

import pytest

from bench import cases, contenders
from bench.cases import CASES
from bench.figures import Row, ratio_to, render_value, slope, values_of
from bench.report import render_report
from bench.room import Mark, parse_marks
from bench.targets import TARGETS, pss_per_process_kib


def row(contender: str, number: int, case: str = "chain-100", **figures: float) -> Row:
    return {"case": case, "contender": contender, "round": number, "figures": figures, "others": 0.1}


@pytest.mark.parametrize(
    ("values", "text"), [([], "–"), ([2.0], "2.00"), ([3.0, 1.0, 2.0], "2.00 [1.00–3.00]"), ([1.001, 1.002], "1.00")]
)
def test_a_value_is_its_median_and_its_range(values: list[float], text: str) -> None:
    assert render_value(values, 2) == text


def test_ratios_are_taken_round_by_round() -> None:
    bare = [row("bare Python", 0, wall_s=1.0), row("bare Python", 1, wall_s=10.0), row("bare Python", 2, wall_s=2.0)]
    ours = [row("thermos", 0, wall_s=2.0), row("thermos", 1, wall_s=20.0), row("thermos", 2, wall_s=8.0)]
    assert ratio_to(ours, bare, "wall_s") == 2.0
    assert ratio_to(ours, bare[:0], "wall_s") is None


def test_rows_that_lack_a_figure_are_left_out() -> None:
    assert values_of([row("s6", 0, a=1.0), row("s6", 1)], "a") == [1.0]


def test_the_slope_is_memory_per_process() -> None:
    rows = [row("thermos", 0, f"supervise-{n}", count=n, pss_mib=12 + n * 50 / 1024) for n in (1, 100, 500)]
    assert pss_per_process_kib(rows) == pytest.approx(50)
    assert slope([(1.0, 2.0), (1.0, 3.0)]) is None


def test_torn_marks_are_not_read() -> None:
    assert parse_marks("S 0 12 1000\nE 0 12 2000 17\nS 1 1") == [
        Mark("S", "0", 12, 1000),
        Mark("E", "0", 12, 2000, ("17",)),
    ]


def test_every_target_names_a_case_and_a_figure_that_exist() -> None:
    """Fed with all the figures that the cases say they yield, every target measures something."""
    rows = []
    for case in CASES:
        for name in ("bare Python", "thermos", "runit", "pm2", "circus"):
            figures = {figure.key: 1.0 for figure in case.figures} | {"count": float(len(rows))}
            rows.append(row(name, 0, case.name, **figures))
    assert [target.what for target in TARGETS if target.measure(rows) is None] == []


def test_a_target_is_met_up_to_its_bound() -> None:
    target = next(target for target in TARGETS if target.what == "chain of 100 ÷ bare")
    assert target.is_met(2.0)
    assert not target.is_met(2.01)
    assert target.bound == "≤ 2×"


def test_the_report_tells_ratios_noise_and_failures() -> None:
    rows = [
        row("bare Python", 0, wall_s=1.0, cpu_s=1.0, each_ms=1.0),
        row("thermos", 0, wall_s=1.5, cpu_s=2.0, each_ms=1.5),
    ]
    rows.append({"case": "chain-100", "contender": "s6", "round": 0, "failed": "no idea"})
    text = render_report(rows, {"kernel": "6"})
    assert "- kernel: 6" in text
    assert "| chain of 100 ÷ bare | ≤ 2× | 1.5 | met |" in text
    assert "| thermos | 1 | 1.500 | 1.50 | 2.000 | 2.00 | 1.50 | 0.10 |" in text
    assert "Not measured: s6: no idea." in text


def test_tiny_sizes_say_nothing_about_targets() -> None:
    rows = [row("bare Python", 0, wall_s=1.0), row("thermos", 0, wall_s=9.0)]
    assert "Targets" not in render_report([{**r, "quick": True} for r in rows], {})


def test_cases_and_contenders_are_chosen_by_their_beginning() -> None:
    assert [case.name for case in cases.choose(["chain", "help"])] == ["chain-100", "chain-1000", "help"]
    assert [case.name for case in cases.choose(["chain-100", "log-rotate-4k"])] == ["chain-100", "log-rotate-4k"]
    assert [c.name for c in contenders.choose(["s6"])] == ["bare Python", "s6"]
    with pytest.raises(ValueError, match="no case 'nonsense'"):
        cases.choose(["nonsense"])
    with pytest.raises(ValueError, match="no contender 'nonsense'"):
        contenders.choose(["nonsense"])
